"""`spikeveil estimate`: what a build would take, before any tool is run."""

from typing import Any

import click
from rich.console import Console

from spikeveil.boards.board import Board
from spikeveil.hdl.engine.plan import Plan
from spikeveil.host.bitstream.estimate import estimate_resources
from spikeveil.host.bitstream.fit import find_fits, shortfalls
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
from spikeveil.pysim import NetworkSpec

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

    Block RAMs are counted; LUTs and flip-flops come from a fit to real builds, with the largest error of the fit on
    builds that were left out of it. Cycles are exact; the time assumes the board's clock. Without --lanes: 16. Exit
    code 1 where it does not fit, with the first thing that would help.

    NETWORK is a file that `NetworkSpec.save` wrote, or `digits` for the trained network of the example.
    """
    board = read_board(options)
    workload = Workload(options["steps"], options["activity"])
    lanes = DEFAULT_LANES if options["lanes"] is None else options["lanes"]
    spec = catalogue.load(network)
    report = _report(read_device_plan(spec, options, lanes), board, workload)
    if not report["fits"]:
        report["helps"] = _first_help(spec, board, options)
    if options["as_json"]:
        print_json(report)
    else:
        _print(report)
    if not report["fits"]:
        raise SystemExit(1)


def _first_help(spec: NetworkSpec, board: Board, options: dict[str, Any]) -> str | None:
    """What would make the network fit, in words: the first that `spikeveil fit` finds; None where it finds nothing."""

    def make_plan(network: NetworkSpec, lanes: int, loadable: bool) -> Plan:
        return read_device_plan(network, {**options, "loadable": loadable}, lanes)

    found = next(find_fits(spec, board, make_plan, most=1), None)
    if found is None:
        return None
    parts = [f"--lanes {found.plan.lanes}", *["--loadable"] * found.plan.loadable]
    bits = [] if found.weight_bits is None else [f"weights of {found.weight_bits} bits"]
    bits += [] if found.state_bits is None else [f"potentials of {found.state_bits} bits"]
    return " ".join(parts) + (f" with {' and '.join(bits)}" if bits else "")


def _report(plan: Plan, board: Board, workload: Workload) -> dict[str, Any]:
    estimated = estimate_resources(plan, board)
    missing = shortfalls(estimated, board)
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
        "fits": not missing,
        "shortfalls": missing,
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
    if report["fits"]:
        console.print("it fits, by the estimate")
    else:
        helps = report["helps"] or "a larger board, or a smaller network"
        console.print(f"it does not fit: it needs {'; '.join(report['shortfalls'])}", soft_wrap=True)
        console.print(f"what would help first: {helps} (`spikeveil fit` searches)", soft_wrap=True)
    print_timing(console, report["timing"], report["clock_hz"])
