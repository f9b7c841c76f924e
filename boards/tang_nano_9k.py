"""Tang Nano 9K: Gowin GW1NR-9C, 27 MHz without PLL, a BL702 as the serial line and the programmer."""

from typing import Any

from spikeveil.boards.board import Board


def platform() -> Any:
    from amaranth_boards.tang_nano_9k import TangNano9kPlatform

    return TangNano9kPlatform()


BOARD = Board(
    name="tang-nano-9k",
    title="Tang Nano 9K",
    platform=platform,
    clock_hz=27_000_000,
    baud=1_000_000,
    loader=("openFPGALoader", "-b", "tangnano9k", "{}"),
    flasher=("openFPGALoader", "-b", "tangnano9k", "-f", "{}"),
)
