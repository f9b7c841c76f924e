"""`spikeveil estimate`: what a build would take, before any tool is run."""

from typing import Any

import click
from rich.console import Console

from spikeveil.boards.board import Board
from spikeveil.hdl.engine.plan import Plan
from spikeveil.host.bitstream.estimate import estimate_resources
from spikeveil.host.bitstream.workload import Workload, timing
from spikeveil.host.cli.options.build import (
    baud_option,
    clock_option,
    read_board,
    read_device_plan,
    target_options,
    workload_options,
)
from spikeveil.host.cli.options.common import json_option
from spikeveil.host.cli.options.network import network_argument
from spikeveil.host.cli.screens.build_report import LABELS, print_timing
from spikeveil.host.cli.screens.tables import figures_table, print_json
from spikeveil.host.networks import catalogue

DEFAULT_LANES = 16


@click.command(epilog="Example: spikeveil estimate digits --board ulx3s-85f --lanes 16")
@network_argument
@target_options
@clock_option
@baud_option
@workload_options
@json_option
def estimate(network: str, **options: Any) -> None:
    """Estimate a build's resources and speed without running a tool.

    LUTs, flip-flops and block RAMs come from a fit to real builds, with the largest error of the fit on builds that
    were left out of it. Cycles are exact; the time assumes the board's clock. Without --lanes: 16.

    NETWORK is a file that `NetworkSpec.save` wrote, or `digits` for the trained network of the example.
    """
    board = read_board(options)
    workload = Workload(options["steps"], options["activity"])
    lanes = DEFAULT_LANES if options["lanes"] is None else options["lanes"]
    report = _report(read_device_plan(catalogue.load(network), options, lanes), board, workload)
    if options["as_json"]:
        print_json(report)
    else:
        _print(report)


def _report(plan: Plan, board: Board, workload: Workload) -> dict[str, Any]:
    estimated = estimate_resources(plan, board)
    return {
        "board": board.name,
        "chip": board.chip.name,
        "fingerprint": plan.spec.fingerprint,
        "lanes": plan.lanes,
        "source": plan.source,
        "schedule": plan.schedule,
        "builds": estimated.builds,
        "resources": {
            name: {"estimate": figure.value, "error": figure.error, "available": board.chip.available(name)}
            for name, figure in estimated.resources.items()
        },
        "clock_hz": board.clock_hz,
        "timing": timing(plan, board.clock_hz, workload),
    }


def _print(report: dict[str, Any]) -> None:
    console = Console(highlight=False)
    title = f"{report['board']}, {report['lanes']} lanes: estimated from {report['builds']} builds"
    table = figures_table(title, "resource", "estimate", "error seen", "available", "%")
    for name, figure in report["resources"].items():
        share = f"{100 * figure['estimate'] / figure['available']:.0f}"
        error = f"{100 * figure['error']:.0f} %"
        table.add_row(LABELS[name], str(figure["estimate"]), error, str(figure["available"]), share)
    console.print(table)
    print_timing(console, report["timing"], report["clock_hz"])
