"""`spikeveil estimate`: what a build would take, before any tool is run."""

import json
from typing import TYPE_CHECKING, Any

import click

from spikeveil.host.cli.commands.build import (
    baud_option,
    choose_board,
    clock_option,
    plan_of,
    target_options,
    workload_options,
)
from spikeveil.host.cli.options.network import network_argument
from spikeveil.host.cli.options.privacy import json_option
from spikeveil.host.networks.catalogue import load as load_network

if TYPE_CHECKING:
    from spikeveil.boards.board import Board
    from spikeveil.hdl.engine.plan import Plan

DEFAULT_LANES = 16


@click.command(epilog="Example: spikeveil estimate digits --board ulx3s-85f --lanes 16")
@network_argument
@target_options
@clock_option
@baud_option
@workload_options
@json_option
def estimate(network: str, **options: Any) -> None:
    """Estimate LUTs, flip-flops and block RAMs of a build, and the time of an inference. Runs no tool.

    Resources are a fit to real builds, shown with the largest error that it has made on a build it did not know; cycles
    are exact, and the time is theirs at the board's clock, if the build meets it. Without --lanes: 16.

    NETWORK is a file that `NetworkSpec.save` wrote, or `digits` for the trained network of the example.
    """
    from spikeveil.host.bitstream.workload import Workload

    board = choose_board(options)
    workload = Workload(options["steps"], options["activity"])
    plan = plan_of(load_network(network), options, DEFAULT_LANES if options["lanes"] is None else options["lanes"])
    record = _record(plan, board, workload)
    if options["as_json"]:
        click.echo(json.dumps(record, indent=2))
    else:
        _print(record)


def _record(plan: "Plan", board: "Board", workload: Any) -> dict[str, Any]:
    from spikeveil.host.bitstream.estimate import estimate_resources
    from spikeveil.host.bitstream.workload import timing

    found = estimate_resources(plan, board)
    return {
        "board": board.name,
        "chip": board.chip.name,
        "fingerprint": plan.spec.fingerprint,
        "lanes": plan.lanes,
        "source": plan.source,
        "schedule": plan.schedule,
        "builds": found.builds,
        "resources": {
            name: {"estimate": figure.value, "error": figure.error, "available": board.chip.available(name)}
            for name, figure in found.resources.items()
        },
        "clock_hz": board.clock_hz,
        "timing": timing(plan, board.clock_hz, workload),
    }


def _print(record: dict[str, Any]) -> None:
    from rich.console import Console

    from spikeveil.host.cli.screens import build_report as show

    console = Console(highlight=False)
    title = f"{record['board']}, {record['lanes']} lanes: estimated from {record['builds']} builds"
    table = show.table(title, "resource", "estimate", "error seen", "available", "%")
    for name, figure in record["resources"].items():
        share = f"{100 * figure['estimate'] / figure['available']:.0f}"
        seen = f"{100 * figure['error']:.0f} %"
        table.add_row(show.LABELS[name], str(figure["estimate"]), seen, str(figure["available"]), share)
    console.print(table)
    show.print_timing(console, record["timing"], record["clock_hz"])
