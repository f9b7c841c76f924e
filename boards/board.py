"""What a board is to the build: its Amaranth platform, its clock, its serial line and its loader, as data."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

from spikeveil.boards.chips import Chip, chip
from spikeveil.boards.pll import Ecp5Pll, Ice40Pll
from spikeveil.hdl.engine.plan import Plan
from spikeveil.pysim.device.unpack import events
from spikeveil.pysim.model import checks

PLLS = ("none", "core", "pad")
CLOCKS_A_BIT = 4  # of the UART, at least


@dataclass(frozen=True)
class Board:
    """A board.

    - `platform`: makes a fresh Amaranth platform with a `uart` resource (pins `rx`, `tx`) and `leds` resources `led`.
    - `clock_hz`: what the design runs at. Without a PLL (`none`) that must be the platform's default clock. `core`
      feeds the PLL from the clock's input buffer; `pad` is for iCE40 boards whose clock comes in at the PLL's own pad.
    - `baud`: of the serial line; at least four clocks a bit.
    - `buffer`: bytes of the device's input buffer and of its output buffer, a power of two.
    - `loader`: the command that loads a bitstream into the chip until power is lost; `flasher`: the one that keeps it.
      `{}` stands for the file.
    - `suffix`: of the file that the loader takes.

    ValueError where the clock cannot be made or is too slow for the baud rate.
    """

    name: str
    title: str
    platform: Callable[[], Any]
    clock_hz: int
    pll: Literal["none", "core", "pad"] = "none"
    baud: int = 1_000_000
    leds: int = 3
    buffer: int = 2048
    loader: tuple[str, ...] = ()
    flasher: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        checks.choice("pll", self.pll, PLLS)
        checks.integer("leds", self.leds, 0, 3)
        checks.integer("buffer", self.buffer, 256, 32768)
        checks.integer("baud", self.baud, 300, 12_000_000)
        checks.integer("clock_hz", self.clock_hz, self.baud * CLOCKS_A_BIT, 400_000_000)

    def at(self, *, clock_hz: int | None = None, baud: int | None = None) -> "Board":
        """The same board at another clock or baud rate."""
        return replace(self, clock_hz=clock_hz or self.clock_hz, baud=baud or self.baud)

    @cached_property
    def chip(self) -> Chip:
        """The chip on it."""
        return chip(self.platform())

    @cached_property
    def input_hz(self) -> int:
        """The frequency of the clock that the board supplies."""
        return int(self.platform().default_clk_frequency)

    def suited(self, plan: Plan) -> Plan:
        """The plan as this board builds it: single-port RAMs for loaded weights where the chip has them, and no engine
        for input indices where steps of one length are bitmaps in any case.
        """
        private = plan.schedule == "private"
        return replace(
            plan,
            spram=self.chip.spram if plan.loadable else 0,
            tagged=plan.tagged and not (private and events(plan.spec) is None),
        )

    def dividers(self) -> Ice40Pll | Ecp5Pll | None:
        """The PLL's settings; None without one. ValueError where the clock cannot be had."""
        if self.pll == "none":
            if self.clock_hz != self.input_hz:
                raise ValueError(
                    f"clock of board {self.name} must be {self.input_hz} Hz, the crystal's: it is built without PLL, "
                    f"not {self.clock_hz}"
                )
            return None
        if self.chip.family == "ice40":
            return Ice40Pll.solve(self.input_hz, self.clock_hz)
        if self.chip.family == "ecp5":
            return Ecp5Pll.solve(self.input_hz, self.clock_hz)
        raise ValueError(f"pll of board {self.name} must be 'none' on a {self.chip.family} chip, not {self.pll!r}")
