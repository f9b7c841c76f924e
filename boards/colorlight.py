"""Colorlight 5A-75B v7.0 with an ECP5 25F: 25 MHz; serial line and programmer are connected by wires.

The serial line is J19: KEY+ to the FPGA, DATA_LED- from it, 3.3 V. No LED remains.
"""

from typing import Any

from spikeveil.boards.board import Board


def platform() -> Any:
    from amaranth_boards.colorlight_5a75b_r7_0 import Colorlight_5A75B_R70Platform

    return Colorlight_5A75B_R70Platform()


BOARD = Board(
    name="colorlight",
    title="Colorlight 5A-75B v7.0",
    platform=platform,
    clock_hz=100_000_000,
    pll="core",
    baud=1_000_000,
    leds=0,
    loader=("openFPGALoader", "-b", "colorlight", "{}"),
    flasher=("openFPGALoader", "-b", "colorlight", "--unprotect-flash", "--write-flash", "{}"),
)
