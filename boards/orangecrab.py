"""OrangeCrab r0.2 with an ECP5 25F: 48 MHz; the serial line is on the pins 0 (to the FPGA) and 1 (from it)."""

from typing import Any

from spikeveil.boards.board import Board


def platform() -> Any:
    from amaranth.build import Attrs
    from amaranth_boards.orangecrab_r0_2 import OrangeCrabR0_2_25FPlatform
    from amaranth_boards.resources import LEDResources, UARTResource

    board = OrangeCrabR0_2_25FPlatform()
    level = Attrs(IO_TYPE="LVCMOS33")
    board.add_resources(
        [
            UARTResource(0, rx="0", tx="1", conn=("io", 0), attrs=Attrs(IO_TYPE="LVCMOS33", PULLMODE="UP")),
            *LEDResources(pins="M3 J3 K4", invert=True, attrs=level),  # green, blue and red of one RGB LED
        ]
    )
    return board


BOARD = Board(
    name="orangecrab",
    title="OrangeCrab r0.2 25F",
    platform=platform,
    clock_hz=96_000_000,
    pll="core",
    baud=1_000_000,
    loader=("openFPGALoader", "-b", "orangeCrab", "{}"),
    flasher=("dfu-util", "-a", "0", "-D", "{}"),
)
