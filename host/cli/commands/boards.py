"""`spikeveil boards`: the supported boards."""

from typing import Any

import click

from spikeveil.boards.board import Board
from spikeveil.boards.catalogue import BOARDS, find
from spikeveil.host.cli.options.common import json_option
from spikeveil.host.cli.screens.boards import print_boards
from spikeveil.host.cli.screens.tables import print_json


@click.command(epilog="Example: spikeveil boards")
@json_option
def boards(as_json: bool) -> None:
    """List the supported boards: chip, clock, serial line and loader.

    A board of your own is a Python file of some 20 lines (docs/boards.md): give it as --board FILE.py:NAME.
    """
    reports = [_report(find(name)) for name in BOARDS]
    if as_json:
        print_json(reports)
    else:
        print_boards(reports)


def _report(board: Board) -> dict[str, Any]:
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
