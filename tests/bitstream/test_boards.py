"""Boards: clocks that are exact, pins that exist, refusals; and a board in a user's file."""

import json
import re
import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from support.commands import invoke
from support.paths import DOCS

from spikeveil.boards.board import Board
from spikeveil.boards.catalogue import BOARDS, find
from spikeveil.boards.chips import chip
from spikeveil.boards.design import BoardDesign
from spikeveil.boards.pll import Ecp5Pll, Ice40Pll

pytest.importorskip("amaranth_boards")
BOARD_FILE = """
from amaranth.build import Attrs, Clock, Pins, Resource, Subsignal
from amaranth.vendor import LatticeICE40Platform

from spikeveil.boards import Board


class Platform(LatticeICE40Platform):
    device, package, default_clk = "iCE40HX8K", "CT256", "clk12"
    resources = [
        Resource("clk12", 0, Pins("J3", dir="i"), Clock(12e6), Attrs(GLOBAL=True, IO_STANDARD="SB_LVCMOS")),
        Resource("uart", 0, Subsignal("rx", Pins("B10", dir="i")), Subsignal("tx", Pins("B12", dir="o"))),
        Resource("led", 0, Pins("B5", dir="o")),
    ]
    connectors = []


BOARD = Board("mine", "a board of my own", Platform, clock_hz=36_000_000, pll="core", leds=1)
"""


class Echo(wiring.Component):
    """Stands for a device: its line goes in and out."""

    rx: Signal
    tx: Signal
    reset: Signal
    leds: Signal

    def __init__(self) -> None:
        super().__init__({"rx": In(1), "tx": Out(1), "reset": In(1), "leds": Out(3)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.d.sync += [self.tx.eq(self.rx), self.leds.eq(self.leds + 1)]
        return m


def files(board: Board) -> dict[str, str]:
    """What Amaranth writes for an echo on the board."""
    written: dict[str, Any] = board.platform().prepare(BoardDesign(board, Echo()), "top", debug_verilog=False).files
    return {name: text if isinstance(text, str) else text.decode() for name, text in written.items()}


@pytest.mark.parametrize("name", BOARDS)
def test_board_has_its_clock_and_its_pins(name: str) -> None:
    board = find(name)
    assert board.name == name
    dividers = board.dividers()
    assert (board.input_hz if dividers is None else dividers.output(board.input_hz)) == board.clock_hz
    written = files(board)
    suffix = {"ice40": "pcf", "ecp5": "lpf", "gowin": "cst"}[board.chip.family]
    constraints, design = written[f"top.{suffix}"], written["top.il"]
    ports = ["uart_0__rx__io", "uart_0__tx__io", *(f"led_{index}__io" for index in range(board.leds))]
    assert all(port in constraints for port in ports)
    cell = {"ice40": "SB_PLL40", "ecp5": "EHXPLLL", "gowin": "rPLL"}[board.chip.family]
    assert (cell in design) == (board.pll != "none")


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (
            lambda: Ice40Pll.solve(12_000_000, 61_234_567),
            "the PLL cannot make 61.2346 MHz from 12 MHz; the nearest it ",
        ),
        (lambda: Ecp5Pll.solve(25_000_000, 7_000_000), "output_hz must be 10000000 to 400000000, not 7000000"),
        (lambda: find("nexys"), "board must be one of colorlight, hx8k, icebreaker, .* or FILE.py:NAME, not 'nexys'"),
        (lambda: find("gone.py:BOARD"), "board file gone.py does not exist"),
        (lambda: find("hx8k").at(baud=20_000_000), "baud must be 300 to 12000000, not 20000000"),
        (lambda: find("hx8k").at(clock_hz=1_000_000), "clock_hz must be 12000000 to 400000000, not 1000000"),
        (
            lambda: find("tang-nano-9k").at(clock_hz=54_000_000).dividers(),
            "clock of board tang-nano-9k must be 27000000",
        ),
        (
            lambda: chip(SimpleNamespace(device="XC7A35T")),
            "the board's chip must be one of iCE40UP5K, .*, not 'XC7A35T'",
        ),
    ],
)
def test_refusals(make: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{sentence}"):
        make()


def test_a_board_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(BOARD_FILE)
    board = find(f"{tmp_path / 'mine.py'}:BOARD")
    assert (board.name, board.chip.lut, board.chip.options) == ("mine", 7680, ("--hx8k", "--package", "ct256"))
    assert "set_io uart_0__rx__io B10" in files(board)["top.pcf"]
    with pytest.raises(ValueError, match=re.escape("must hold a Board named 'OTHER', not None")):
        find(f"{tmp_path / 'mine.py'}:OTHER")
    page = (DOCS / "boards.md").read_text()
    assert BOARD_FILE.strip() in page  # the page shows the board that is tested here


def test_program_shows_the_loaders_command(tmp_path: Path) -> None:
    bitstream = tmp_path / "core.bit"
    bitstream.write_bytes(b"bits")
    arguments = "program", bitstream, "--board", "ulx3s-85f", "--dry-run"
    result = invoke(*arguments)
    assert result.output == f"openFPGALoader -b ulx3s {bitstream}\n"
    as_json = invoke(*arguments, "--json")
    assert shlex.join(json.loads(as_json.stdout)["command"]) == result.stdout.strip()
    flashed = invoke(*arguments, "--flash")
    assert flashed.output == f"openFPGALoader -b ulx3s --write-flash {bitstream}\n"
    refused = invoke("program", bitstream, "--board", "icebreaker", code=2)
    assert "board icebreaker takes a .bin file, not core.bit" in refused.output


def test_boards_lists_all() -> None:
    result = invoke("boards").stdout
    assert all(name in result for name in BOARDS)
