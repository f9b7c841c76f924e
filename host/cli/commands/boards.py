"""`spikeveil boards`: what can be built for."""

import json
from typing import TYPE_CHECKING, Any

import click

from spikeveil.host.cli.options.privacy import json_option

if TYPE_CHECKING:
    from spikeveil.boards.board import Board


@click.command(epilog="Example: spikeveil boards")
@json_option
def boards(**options: Any) -> None:
    """List the boards: chip, clock, serial line and the program that loads a bitstream.

    A board of your own is a Python file of some 20 lines (docs/boards.md): give it as --board FILE.py:NAME.
    """
    from spikeveil.boards.catalogue import BOARDS, find

    records = [_record(find(name)) for name in BOARDS]
    if options["as_json"]:
        click.echo(json.dumps(records, indent=2))
    else:
        _print(records)


def _record(board: "Board") -> dict[str, Any]:
    chip = board.chip
    return {
        "name": board.name,
        "title": board.title,
        "chip": chip.name,
        "family": chip.family,
        "lut": chip.lut,
        "bram": chip.bram,
        "spram": chip.spram,
        "input_hz": board.input_hz,
        "clock_hz": board.clock_hz,
        "pll": board.pll,
        "baud": board.baud,
        "loader": list(board.loader),
        "flasher": list(board.flasher),
    }


def _print(records: list[dict[str, Any]]) -> None:
    from rich.console import Console

    from spikeveil.host.cli.screens.build_report import table

    shown = table("boards", "name", "chip", "LUT", "RAM", "MHz", "baud", "loader")
    for record in records:
        shown.add_row(
            *(record["name"], record["chip"], f"{record['lut']:,}", str(record["bram"])),
            *(f"{record['clock_hz'] / 1e6:g}", f"{record['baud']:,}"),
            record["loader"][0],
        )
    Console(highlight=False).print(shown)
