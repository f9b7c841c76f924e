"""`spikeveil check`: the design that the tools made, simulated against the golden model."""

import json
from typing import TYPE_CHECKING, Any

import click

from spikeveil.host.cli.commands.build import (
    baud_option,
    choose_board,
    clock_option,
    plan_of,
    seed_option,
    target_options,
    widest,
)
from spikeveil.host.cli.options.network import data_options, load_records, network_argument
from spikeveil.host.cli.options.privacy import json_option
from spikeveil.host.networks.catalogue import load as load_network

if TYPE_CHECKING:
    from spikeveil.boards.board import Board
    from spikeveil.host.bitstream.build import Build
    from spikeveil.host.bitstream.simulation_levels import Level
    from spikeveil.host.bitstream.verification import VerificationResult
    from spikeveil.host.cli.options.network import Records
    from spikeveil.host.cli.screens.build import Screen
    from spikeveil.pysim.model.spec import NetworkSpec

LEVELS = ("synthesised", "routed", "bitstream")
SHOWN = ("board", "chip", "level", "lanes", "data", "records", "steps", "bits_compared", "different", "cycles")


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
    """Simulate the built design with records, through its link, and compare each released spike with the golden model.

    What is simulated is what the tools made of the device, cell by cell, pins and serial line included; steps of the
    build that are missing are made first. Exit code 1 where a spike differs. The lease is opened with the published
    demonstration key: nothing is booked and nothing is private, so this is for public data. Whether the clock is met,
    `spikeveil build` says.

    NETWORK is a file that `NetworkSpec.save` wrote, or `digits` for the trained network of the example.
    """
    from rich.console import Console

    from spikeveil.host.bitstream.simulation_levels import default_level, require_level
    from spikeveil.host.bitstream.verification import Secret, verify
    from spikeveil.host.cli.options.keys import demonstration
    from spikeveil.host.cli.screens.build import Screen

    spec, board = load_network(network), choose_board(options)
    level: Level = options["level"] or default_level(board.chip.family)
    require_level(level, board.chip.family)
    records = load_records(options["data"], spec.inputs, options["skip"], options["records"])
    key = demonstration(options["source"], len(spec.flipped))
    with Screen(Console(stderr=True, highlight=False)) as screen:
        built = _build(spec, board, options, screen)
        outcome = verify(built, level, options["seed"], records.spikes, Secret(key.key, key.seeds), screen)
    record = _record(built, level, options["seed"], records, outcome)
    if options["as_json"]:
        click.echo(json.dumps(record, indent=2))
    else:
        _print(record)
    if outcome.difference is not None:
        raise click.ClickException(f"the {level} design does not release what the model says; {outcome.difference}")


def _build(spec: "NetworkSpec", board: "Board", options: dict[str, Any], screen: "Screen") -> "Build":
    """The build; with no lanes asked for, the one that `spikeveil build` chooses."""
    from spikeveil.host.bitstream.build import Build

    if options["lanes"] is None:
        return widest(spec, board, options, options["seed"], screen)
    return Build.of(plan_of(spec, options, options["lanes"]), board)


def _record(built: "Build", level: str, seed: int, records: "Records", outcome: "VerificationResult") -> dict[str, Any]:
    from spikeveil.host.cli.options.keys import PUBLIC

    plan, board = built.plan, built.board
    return {
        "board": board.name,
        "chip": board.chip.name,
        "level": level,
        "fingerprint": plan.spec.fingerprint,
        "lanes": plan.lanes,
        "source": plan.source,
        "schedule": plan.schedule,
        "loadable": plan.loadable,
        "build": built.folder.name,
        "seed": seed,
        "key": PUBLIC,
        "data": records.name,
        "records": len(records.spikes),
        "steps": records.spikes.shape[1],
        "bits_compared": outcome.compared,
        "different": outcome.different,
        "cycles": outcome.cycles,
        "cycles_a_second": outcome.cycles / outcome.seconds,
    }


def _print(record: dict[str, Any]) -> None:
    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    table = Table(box=SIMPLE, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column()
    for name in SHOWN:
        value = record[name]
        table.add_row(name.replace("_", " "), f"{value:,}" if isinstance(value, int) else str(value))
    console = Console(highlight=False)
    console.print(table)
    verdict = "every released spike equals the golden model's" if not record["different"] else "NOT the same spikes"
    console.print(f"{verdict}; opened with {record['key']}", soft_wrap=True)
