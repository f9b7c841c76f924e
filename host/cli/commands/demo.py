"""`spikeveil demo`: from the trained network to compared gateware, with its claim."""

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from spikeveil.host.cli import demo_comparison
from spikeveil.host.cli.demo_comparison import Comparison, DemoCore
from spikeveil.host.cli.demo_decisions import DecisionFigures, SmallEpsilon
from spikeveil.host.cli.options import keys
from spikeveil.host.cli.options.common import json_option
from spikeveil.host.cli.options.network import lanes_option
from spikeveil.host.cli.options.privacy import delta_option, read_delta
from spikeveil.host.cli.screens import demo as screen
from spikeveil.host.cli.screens import demo_decisions as decision_screen
from spikeveil.host.cli.screens import demo_plots
from spikeveil.host.cli.screens.aggregate import draw_shares
from spikeveil.host.cli.screens.tables import print_json
from spikeveil.host.cosim import verilator_build
from spikeveil.host.data import accuracy, classify
from spikeveil.host.networks.digits_example import CLASSES, held_out, load_float, load_network
from spikeveil.host.privacy.claim import Claim
from spikeveil.host.privacy.units import Unit
from spikeveil.host.privacy.wording import up

PLOTTED_RECORDS = 3  # records in the raster plot
RASTER, SHARES, WAVE = "raster.png", "shares.png", "digits.vcd"


@click.command(epilog="Example: spikeveil demo --images 40 --output out")
@click.option("--images", type=click.IntRange(1), help="How many test images; without it, all of them.")
@click.option("-o", "--output", type=click.Path(file_okay=False), default="out", show_default=True, help="Folder.")
@click.option("--demonstration-key", is_flag=True, help="The published key, so that every figure can be reproduced.")
@lanes_option
@delta_option
@json_option
def demo(**options: Any) -> None:
    """Run the trained example: golden model against simulated gateware.

    The network reads real images. Builds four cores of it: three that release flipped spikes (Trivium and LFSR on the
    fixed cadence, Trivium on the fast schedule), and one that releases one randomised decision a record. Simulates each
    in Verilator, compares everything released, estimates class shares from the decisions, and writes two plots and a
    waveform. Exit code 1 where anything differs, where the simulator is missing, or where a file cannot be written.
    """
    verilator_build.verilator_root()  # reports what is missing before anything is computed
    console = Console(quiet=options["as_json"], highlight=False)
    delta, folder = read_delta(options["delta"]), Path(options["output"])
    folder.mkdir(parents=True, exist_ok=True)
    report = _run(console, options["images"], options["lanes"], options["demonstration_key"], delta, folder)
    if options["as_json"]:
        print_json(report)
    differing = [core for core in report["cores"] if core["first_difference"]]
    if differing:
        raise click.ClickException(
            f"the gateware does not release what the model does; {differing[0]['core']}, "
            f"{differing[0]['first_difference']}"
        )


@dataclass(frozen=True, eq=False)
class _Demo:
    """Everything that was simulated, before it is shown: cores in the order of `demo_comparison.cores`."""

    spikes: NDArray[np.bool_]
    labels: NDArray[np.int64]
    comparisons: list[Comparison]
    claims: list[Claim]
    figures: DecisionFigures
    small: SmallEpsilon


def _run(
    console: Console, images: int | None, lanes: int, demonstration: bool, delta: float, folder: Path
) -> dict[str, Any]:
    start = time.perf_counter()
    spec, (spikes, labels) = load_network(), held_out()
    spikes, labels = spikes[:images], labels[:images]
    cores = demo_comparison.cores(spec, lanes, demonstration)
    claims = [_claim(core, spikes.shape[1], delta) for core in cores]
    screen.header(console, spec, spikes.shape[0], claims[0], claims[3])
    models = [demo_comparison.run_model(core, spikes) for core in cores]
    comparisons = _simulate(console, cores, spikes, models)
    figures = DecisionFigures.of(comparisons[3], labels)
    made = _Demo(spikes, labels, comparisons, claims, figures, SmallEpsilon(len(labels)))
    report = _show(console, made)
    files = _write_files(folder, made)
    screen.closing(console, comparisons, files, time.perf_counter() - start)
    return {"fingerprint": spec.fingerprint, **report, "files": [str(path) for path, _ in files]}


def _show(console: Console, made: _Demo) -> dict[str, Any]:
    """Print the four questions with their answers; the same, ready for JSON."""
    accuracies = _accuracies(made.comparisons, made.figures, made.spikes, made.labels)
    busy = demo_comparison.utilisation(made.comparisons[2], made.spikes)
    titled = [(one.core.title, claim) for one, claim in zip(made.comparisons, made.claims, strict=True)]
    screen.accuracies(console, accuracies)
    screen.comparison_table(console, made.comparisons)
    screen.utilisation(console, busy)
    screen.claims(console, [titled[index] for index in (0, 3, 1)], CLASSES)
    decision_screen.shares(console, made.figures, made.small)
    return {
        "images": len(made.labels),
        "accuracy": {name: share for name, share, _ in accuracies},
        "cores": [_report(one, claim) for one, claim in zip(made.comparisons, made.claims, strict=True)],
        "lane_utilisation_fast": busy,
        "decisions": made.figures.to_dict(),
        "small_epsilon": made.small.to_dict(),
    }


def _write_files(folder: Path, made: _Demo) -> list[tuple[Path, str]]:
    """Write the plots and the waveform; their paths, and what is in them."""
    first, shares = made.comparisons[0], made.figures.shares
    opening = keys.demonstration("trivium", 1)
    wave = demo_comparison.write_wave(first.core.plan, made.spikes[:1], folder / WAVE, opening)
    _draw(folder / RASTER, first, made.spikes, made.labels, _caption(made.claims[0]))
    draw_shares(folder / SHARES, shares, made.figures.true, title=_shares_caption(made.figures))
    return [
        (folder / RASTER, "raw spikes beside released ones"),
        (folder / SHARES, "class shares estimated from the decisions, beside the raw ones"),
        (folder / WAVE, f"every signal of {wave.cycles:,} cycles, for GTKWave or Surfer (demonstration key)"),
    ]


def _accuracies(
    comparisons: list[Comparison], figures: DecisionFigures, spikes: NDArray[np.bool_], labels: NDArray[np.int64]
) -> list[tuple[str, float, str]]:
    """Name, accuracy and remark: of the floats, of the integers, and of what three of the cores released."""

    def share(rows: Any) -> float:
        return accuracy(classify(rows, CLASSES), labels)

    return [
        ("float network", share(load_float().run(spikes)[-1]), "as trained"),
        ("integer network", share(comparisons[0].model.raw[-1]), "raw spikes, which stay on the chip"),
        *(
            (f"released, {comparison.core.title}", share(comparison.result.released), "flipped, out of the gateware")
            for comparison in comparisons[:2]
        ),
        ("released decisions", figures.accuracy, decision_screen.accuracy_remark(figures)),
    ]


def _draw(
    path: Path, comparison: Comparison, spikes: NDArray[np.bool_], labels: NDArray[np.int64], caption: str
) -> None:
    plotted = slice(0, PLOTTED_RECORDS)
    released = comparison.result.released[plotted]
    raw, guesses = comparison.model.raw[-1][plotted], classify(released, CLASSES)
    demo_plots.raster(path, spikes[plotted], raw, released, labels[plotted], guesses, CLASSES, caption)


def _simulate(console: Console, cores: tuple[DemoCore, ...], spikes: Any, models: Any) -> list[Comparison]:
    """Every core, with a progress bar each."""
    if not verilator_build.cache_folder().exists():
        console.print("First run on this machine: four simulators are compiled, which takes a minute or two.")
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    progress = Progress(*columns, console=console, transient=True, disable=console.quiet)

    def bar(title: str) -> Callable[[int | None], None]:
        task = progress.add_task(f"{title}: waiting", total=None)

        def update(done: int | None) -> None:
            activity = "building the simulator" if done is None else "images simulated"
            total = None if done is None else len(spikes)
            progress.update(task, description=f"{title}: {activity}", completed=done or 0, total=total)

        return update

    with ExitStack() as stack:
        stack.enter_context(progress)
        return demo_comparison.compare_all(cores, spikes, models, [bar(core.title) for core in cores])


def _claim(core: DemoCore, steps: int, delta: float) -> Claim:
    plan, origin = core.plan, core.opening.origin
    return Claim.of(
        plan.spec,
        steps,
        source=plan.source,
        schedule=plan.schedule,
        delta=delta,
        key_origin=origin,
        key_public=origin == keys.PUBLIC,
    )


def _caption(claim: Claim) -> str:
    spike, record = claim.nominal(Unit.SPIKE), claim.nominal(Unit.RECORD)
    mechanism = "" if claim.wall is None else claim.wall.text
    return (
        f"Output spikes of the digits network before and after the flipper (Trivium core, simulated in Verilator)\n"
        f"{mechanism}; epsilon {up(record.epsilon)} for the whole record at delta {up(claim.delta)}, "
        f"for ONE spike of it {up(spike.epsilon)}"
    )


def _shares_caption(figures: DecisionFigures) -> str:
    return (
        f"Shares from {figures.shares.reports} decisions of the digits network (simulated in Verilator)\n"
        f"epsilon {up(figures.decision.epsilon)} for the whole record at delta 0"
    )


def _report(comparison: Comparison, claim: Claim) -> dict[str, Any]:
    result, plan = comparison.result, comparison.core.plan
    return {
        "core": comparison.core.title,
        "source": plan.source,
        "schedule": plan.schedule,
        "lanes": plan.lanes,
        "compared": comparison.compared,
        "different": 0 if comparison.difference is None else comparison.difference.count,
        "first_difference": None if comparison.difference is None else str(comparison.difference),
        "cycles_per_image": result.cycles_per_record,
        "cycles_simulated": result.cycles,
        "simulation_seconds": result.seconds,
        "claim": claim.to_dict(),
    }
