"""iCE40-HX8K breakout board (ICE40HX8K-B-EVN): 12 MHz, an FT2232H's second port as the serial line."""

from typing import Any

from spikeveil.boards.board import Board


def platform() -> Any:
    from amaranth_boards.ice40_hx8k_b_evn import ICE40HX8KBEVNPlatform

    return ICE40HX8KBEVNPlatform()


BOARD = Board(
    name="hx8k",
    title="iCE40-HX8K breakout",
    platform=platform,
    clock_hz=60_000_000,
    pll="core",
    baud=3_000_000,
    buffer=512,
    loader=("iceprog", "-S", "{}"),
    flasher=("iceprog", "{}"),
)
