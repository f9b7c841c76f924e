"""`Board`: an FPGA board as data: its Amaranth platform, clock, serial line and programmer."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

from spikeveil.boards.chips import Chip, chip
from spikeveil.boards.pll import Ecp5Pll, Ice40Pll
from spikeveil.hdl.engine.plan import Plan
from spikeveil.pysim.device.unpack import indices_are_shorter
from spikeveil.pysim.model import checks

PLLS = ("none", "core", "pad")
MIN_CLOCKS_A_BIT = 4  # of the UART


@dataclass(frozen=True)
class Board:
    """An FPGA board.

    | field | meaning |
    |---|---|
    | `name`, `title` | short name for commands, full name for tables |
    | `platform` | makes a new Amaranth platform with a resource `uart` (`rx`, `tx`) and `leds` resources `led` |
    | `clock_hz` | clock of the design; without a PLL it must be the platform's default clock |
    | `pll` | `none`; `core`: a PLL behind the clock's input buffer; `pad`: iCE40, with the clock at the PLL's own pad |
    | `baud` | of the serial line; at least four clocks a bit |
    | `leds` | number of LEDs, 0 to 3 |
    | `buffer` | bytes of the device's input buffer, and of its output buffer; a power of two |
    | `loader` | command that loads a bitstream until power is lost; `{}` stands for the file |
    | `flasher` | command that stores a bitstream permanently |

    ValueError where a field is out of range or the clock is too slow for the baud rate.
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
        checks.integer("clock_hz", self.clock_hz, self.baud * MIN_CLOCKS_A_BIT, 400_000_000)

    def at(self, *, clock_hz: int | None = None, baud: int | None = None) -> "Board":
        """This board at another clock or baud rate."""
        return replace(self, clock_hz=clock_hz or self.clock_hz, baud=baud or self.baud)

    @cached_property
    def chip(self) -> Chip:
        """The board's FPGA."""
        return chip(self.platform())

    @cached_property
    def input_hz(self) -> int:
        """Frequency of the board's oscillator."""
        return int(self.platform().default_clk_frequency)

    def suited(self, plan: Plan) -> Plan:
        """The plan adapted to this board.

        Loaded weights go into single-port RAMs where the chip has them. A private device whose input steps are bitmaps
        in any case does not decode indices.
        """
        private = plan.schedule == "private"
        return replace(
            plan,
            spram=self.chip.spram if plan.loadable else 0,
            tagged=plan.tagged and (indices_are_shorter(plan.spec) or not private),
        )

    def dividers(self) -> Ice40Pll | Ecp5Pll | None:
        """The PLL's settings, None without a PLL. ValueError where the clock cannot be generated."""
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
