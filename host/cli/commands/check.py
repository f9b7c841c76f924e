"""`spikeveil check`: the design that the tools made, simulated against the golden model."""

from typing import Any

import click
from rich.console import Console

from spikeveil.boards.board import Board
from spikeveil.host.bitstream import verification
from spikeveil.host.bitstream.build import Build
from spikeveil.host.bitstream.simulation_levels import Level, default_level, require_level
from spikeveil.host.bitstream.verification import Secret, VerificationResult
from spikeveil.host.cli.options import keys
from spikeveil.host.cli.options.build import (
    baud_option,
    clock_option,
    read_board,
    read_device_plan,
    seed_option,
    target_options,
    widest_build,
)
from spikeveil.host.cli.options.common import json_option
from spikeveil.host.cli.options.data import Records, data_options, load_records
from spikeveil.host.cli.options.network import network_argument
from spikeveil.host.cli.screens.build_progress import BuildProgress
from spikeveil.host.cli.screens.tables import facts_table, print_json
from spikeveil.host.networks import catalogue
from spikeveil.pysim import NetworkSpec

LEVELS = ("synthesised", "routed", "bitstream")
PRINTED_KEYS = (
    "board",
    "chip",
    "level",
    "lanes",
    "data",
    "records",
    "steps",
    "bits_compared",
    "decisions_compared",
    "different",
    "cycles",
)


@click.command(epilog="Example: spikeveil check digits --board ulx3s-12f --lanes 8 --data digits --records 20")
@network_argument
@click.option(
    "--level",
    type=click.Choice(LEVELS),
    help="Which design: Yosys' netlist, nextpnr's, or (iCE40) the bitstream unpacked again.  [default: routed; on "
    "Gowin synthesised]",
)
@data_options
@target_options
@clock_option
@baud_option
@seed_option
@json_option
def check(network: str, **options: Any) -> None:
    """Simulate a built design and compare it with the golden model.

    Every released spike or decision is compared. The design is what the tools made of the device, cell by cell, pins
    and serial line included; records enter and releases leave through its link. Steps of the build that are missing are
    made first. Exit code 1 where one differs. The lease is opened on the device's own guard with a fresh key. Nothing
    is charged, so this is for public data. `spikeveil build` reports whether the clock is met.

    NETWORK is a file that `NetworkSpec.save` wrote, or `digits` for the trained network of the example.
    """
    spec, board = catalogue.load(network), read_board(options)
    level: Level = options["level"] or default_level(board.chip.family)
    require_level(level, board.chip.family)
    records = load_records(spec, options, network)
    key = keys.fresh(options["source"], len(spec.randomised))
    with BuildProgress(Console(stderr=True, highlight=False)) as progress:
        design = _build(spec, board, options, progress)
        secret = Secret(key.key, key.seeds)
        result = verification.verify(design, level, options["seed"], records.spikes, secret, progress)
    report = _report(design, level, options["seed"], records, result)
    if options["as_json"]:
        print_json(report)
    else:
        _print(report)
    if result.difference is not None:
        raise click.ClickException(f"the {level} design does not release what the model does; {result.difference}")


def _build(spec: NetworkSpec, board: Board, options: dict[str, Any], progress: BuildProgress) -> Build:
    """The build; without a number of lanes, the one that `spikeveil build` chooses."""
    if options["lanes"] is None:
        return widest_build(spec, board, options, options["seed"], progress)
    return Build.of(read_device_plan(spec, options, options["lanes"]), board)


def _report(design: Build, level: str, seed: int, records: Records, result: VerificationResult) -> dict[str, Any]:
    plan, board = design.plan, design.board
    return {
        "board": board.name,
        "chip": board.chip.name,
        "level": level,
        "fingerprint": plan.spec.fingerprint,
        "lanes": plan.lanes,
        "source": plan.source,
        "schedule": plan.schedule,
        "loadable": plan.loadable,
        "build": design.folder.name,
        "seed": seed,
        "key": keys.FRESH,
        "data": records.name,
        "records": len(records.spikes),
        "steps": records.spikes.shape[1],
        "released_accuracy": None if result.released is None else records.accuracy(result.released),
        "bits_compared" if plan.spec.decision is None else "decisions_compared": result.compared,
        "different": result.different,
        "cycles": result.cycles,
        "cycles_per_second": result.cycles / result.seconds,
    }


def _print(report: dict[str, Any]) -> None:
    values = {
        name: f"{report[name]:,}" if isinstance(report[name], int) else str(report[name])
        for name in PRINTED_KEYS
        if name in report
    }
    console = Console(highlight=False)
    if report["released_accuracy"] is not None:
        values["released_accuracy"] = f"{100 * report['released_accuracy']:.1f} %"
    console.print(facts_table((name.replace("_", " "), value) for name, value in values.items()))
    what = "decision" if "decisions_compared" in report else "spike"
    verdict = f"NOT the same {what}s" if report["different"] else f"every released {what} equals the golden model's"
    console.print(f"{verdict}; key: {report['key']}", soft_wrap=True)
