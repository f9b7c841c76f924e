"""`spikeveil aggregate`: class shares from many released decisions."""

import json
from pathlib import Path
from typing import Any

import click
import numpy as np

from spikeveil.host.cli.options.common import json_option
from spikeveil.host.cli.screens.aggregate import draw_shares, print_plan, print_shares
from spikeveil.host.cli.screens.tables import print_json
from spikeveil.host.privacy import frequency, report_files
from spikeveil.host.privacy.frequency import ReportCounts, Shares
from spikeveil.pysim import Decision
from spikeveil.pysim.model import array_file

EXAMPLE = "Example: spikeveil aggregate monday.npz tuesday.csv --plot shares.png"


@click.command(epilog=EXAMPLE)
@click.argument("files", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--confidence", type=float, default=0.95, show_default=True, help="Of the intervals.")
@click.option("--population", is_flag=True, help="Estimate the population that the records were drawn from.")
@click.option(
    "--correct",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Confusion matrix (.npy or JSON; rows: true classes) of labelled public records, to be inverted.",
)
@click.option("--simplex", is_flag=True, help="Also the nearest shares that are 0 or more and sum to 1.")
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="Draw the shares to this PNG file.")
@click.option("--half-width", type=float, help="Without FILES: how many records this half-width of an interval needs.")
@click.option("--epsilon", type=float, help="With --half-width: epsilon of a record.")
@click.option("--share", type=float, help="With --half-width: of a class of that share, not of any class.")
@click.option("--classes", type=click.IntRange(2, 64), default=10, show_default=True, help="With --half-width.")
@json_option
def aggregate(files: tuple[Path, ...], **options: Any) -> None:
    """Estimate class shares from released decisions, with intervals.

    What is estimated is what the NETWORK decides. FILES are .npz, .csv or .parquet files, each with its mechanism;
    devices of different epsilon are combined. Nothing is charged: decisions that were released are computed with.
    """
    if (options["half_width"] is None) == (not files):
        raise click.UsageError("give either FILES, or --half-width and --epsilon to plan with")
    if not files:
        _plan(options)
        return
    counts = frequency.add(report_files.count(path) for path in files)
    shares = frequency.estimate_shares(counts, confidence=options["confidence"], population=options["population"])
    if options["correct"]:
        shares = frequency.correct(shares, _confusion(options["correct"]))
    report = _report(counts, shares, simplex=options["simplex"])
    if options["plot"]:
        draw_shares(options["plot"], shares)
    if options["as_json"]:
        print_json(report)
    else:
        print_shares(report)


def _plan(options: dict[str, Any]) -> None:
    """Records for a half-width at an epsilon."""
    if options["epsilon"] is None:
        raise click.UsageError("--half-width needs --epsilon, a record's")
    decision = Decision.for_epsilon(options["epsilon"], classes=options["classes"])
    report = {
        "half_width": options["half_width"],
        "record_epsilon": decision.epsilon,
        "delta": 0.0,
        "classes": decision.classes,
        "confidence": options["confidence"],
        "share": options["share"],
        "records": frequency.reports_for(decision, options["half_width"], options["confidence"], options["share"]),
    }
    if options["as_json"]:
        print_json(report)
    else:
        print_plan(report)


def _confusion(path: Path) -> Any:
    """A confusion matrix from a .npy or JSON file."""
    if path.suffix == ".npy":
        return array_file.read_arrays(path, f"confusion file {path}", "a .npy file of counts")[array_file.ONLY]
    try:
        return np.array(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise ValueError(f"confusion file {path} must be .npy, or a JSON list of lists of counts: {error}") from error


def _report(counts: list[ReportCounts], shares: Shares, *, simplex: bool) -> dict[str, Any]:
    return {
        "estimand": shares.estimand,
        "reports": shares.reports,
        "confidence": shares.confidence,
        "mechanisms": [
            {"record_epsilon": part.decision.epsilon, "delta": 0.0, "reports": part.reports, "text": str(part.decision)}
            for part in counts
        ],
        "shares": shares.shares.tolist(),
        "low": shares.low.tolist(),
        "high": shares.high.tolist(),
        "simultaneous_low": shares.simultaneous_low.tolist(),
        "simultaneous_high": shares.simultaneous_high.tolist(),
        "covariance": shares.covariance.tolist(),
        "on_simplex": shares.on_simplex().tolist() if simplex else None,
    }
