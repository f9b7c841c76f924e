"""ULX3S with an ECP5 12F or 85F: 25 MHz, an FT231X as the serial line and the programmer."""

from typing import Any

from spikeveil.boards.board import Board


def platform_12f() -> Any:
    from amaranth_boards.ulx3s import ULX3S_12F_Platform

    return ULX3S_12F_Platform()


def platform_85f() -> Any:
    from amaranth_boards.ulx3s import ULX3S_85F_Platform

    return ULX3S_85F_Platform()


LOADER = ("openFPGALoader", "-b", "ulx3s", "{}")
FLASHER = ("openFPGALoader", "-b", "ulx3s", "--write-flash", "{}")
BOARD_12F = Board(
    "ulx3s-12f", "ULX3S 12F", platform_12f, 100_000_000, "core", 3_000_000, loader=LOADER, flasher=FLASHER
)
BOARD_85F = Board(
    "ulx3s-85f", "ULX3S 85F", platform_85f, 100_000_000, "core", 3_000_000, loader=LOADER, flasher=FLASHER
)
