"""A netlist in the virtual board's place."""

import pytest

from spikeveil.boards.catalogue import find
from spikeveil.host.bitstream.netlist_board import board_wrapper, clock_port, two_valued

pytest.importorskip("amaranth_boards")


def test_unknown_bits_are_zero() -> None:
    text = "  assign a = 8'hx3;\n  always @(posedge 1'h0) begin\n  end\n  assign x = 4'bx01x;\n"
    assert two_valued(text) == "  assign a = 8'h03;\n  assign x = 4'b0010;\n"


def test_pins_are_the_boards() -> None:
    board = find("ulx3s-12f")
    assert clock_port(board) == "clk25_0__io"
    text = board_wrapper(board)
    for wired in (".clk25_0__io(clk)", ".uart_0__rx__io(rx)", ".uart_0__tx__io(tx)", ".led_2__io(leds[2])"):
        assert wired in text


def test_lights_that_a_board_lacks_are_dark() -> None:
    board = find("colorlight")
    assert board.leds < 3
    assert board_wrapper(board).count("1'b0") == 3 - board.leds
