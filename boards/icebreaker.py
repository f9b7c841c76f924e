"""iCEBreaker: iCE40 UP5K, 12 MHz at the PLL's pad, an FT2232H's second port as the serial line."""

from typing import Any

from spikeveil.boards.board import Board


def platform() -> Any:
    from amaranth_boards.icebreaker import ICEBreakerPlatform

    board = ICEBreakerPlatform()
    board.add_resources(board.break_off_pmod[:1])  # a third light, on the section that can be broken off
    return board


BOARD = Board(
    name="icebreaker",
    title="iCEBreaker 1.0",
    platform=platform,
    clock_hz=24_000_000,
    pll="pad",
    baud=3_000_000,
    buffer=512,
    loader=("iceprog", "-S", "{}"),
    flasher=("iceprog", "{}"),
)
