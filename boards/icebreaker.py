"""iCEBreaker: iCE40 UP5K, 12 MHz at the PLL's pad, an FT2232H's second port as the serial line."""

from typing import Any

from spikeveil.boards.board import Board


def platform() -> Any:
    from amaranth_boards.icebreaker import ICEBreakerPlatform

    return ICEBreakerPlatform()


BOARD = Board(
    name="icebreaker",
    title="iCEBreaker 1.0",
    platform=platform,
    clock_hz=24_000_000,
    pll="pad",
    baud=3_000_000,
    leds=1,  # more LEDs would take cells that a large network needs
    buffer=512,
    loader=("iceprog", "-S", "{}"),
    flasher=("iceprog", "{}"),
)
