"""The top level on a board: clock, power-on reset, serial line and LEDs around a device."""

from math import ceil
from typing import Any

from amaranth.hdl import ClockDomain, ClockSignal, Const, Elaboratable, Instance, Module, Signal
from amaranth.lib import io
from amaranth.lib.cdc import FFSynchronizer

from spikeveil.boards.board import Board
from spikeveil.boards.pll import Ecp5Pll, Ice40Pll

SETTLE_SECONDS = 15e-6  # iCE40 block RAMs cannot be read for some microseconds after configuration


class BoardDesign(Elaboratable):
    """Connects `device` to the pins of `board`.

    | device port | width | direction | meaning |
    |---|---|---|---|
    | `rx`, `tx` | 1 | in, out | serial line |
    | `reset` | 1 | in | synchronous reset |
    | `leds` | up to 3 | out | LEDs |

    Clock: `sync` runs at `board.clock_hz` and has no reset of its own. Reset: `reset` is asserted until the PLL has
    locked and 15 microseconds have passed, and again whenever the PLL loses its lock.
    """

    def __init__(self, board: Board, device: Any) -> None:
        self.board, self.device, self.dividers = board, device, board.dividers()

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.submodules.device = self.device
        self._reset(m, self._clock(m, platform))
        uart = platform.request("uart", dir="-")
        m.submodules.rx_buffer = rx = io.Buffer(io.Direction.Input, uart.rx)
        m.submodules.tx_buffer = tx = io.Buffer(io.Direction.Output, uart.tx)
        m.d.comb += [self.device.rx.eq(rx.i), tx.o.eq(self.device.tx)]
        for index in range(self.board.leds):
            m.submodules[f"led_{index}"] = led = io.Buffer(io.Direction.Output, platform.request("led", index, dir="-"))
            m.d.comb += led.o.eq(self.device.leds[index])
        return m

    def _clock(self, m: Module, platform: Any) -> Signal:
        """Create the domain `sync`; the PLL's lock, 1 without a PLL."""
        m.domains.sync = ClockDomain("sync", reset_less=True)  # the device has its own reset
        pin = platform.request(platform.default_clk, dir="-")
        locked = Signal()
        if self.board.pll == "pad" and isinstance(self.dividers, Ice40Pll):
            m.submodules.pll = ice40_pll(self.dividers, ClockSignal("sync"), locked, pad=pin.io)
            return locked
        m.submodules.clock_buffer = buffer = io.Buffer(io.Direction.Input, pin)
        if self.dividers is None:
            m.d.comb += [ClockSignal("sync").eq(buffer.i), locked.eq(1)]
        elif isinstance(self.dividers, Ice40Pll):
            m.submodules.pll = ice40_pll(self.dividers, ClockSignal("sync"), locked, core=buffer.i)
        else:
            m.submodules.pll = ecp5_pll(self.dividers, ClockSignal("sync"), locked, buffer.i)
        return locked

    def _reset(self, m: Module, locked: Signal) -> None:
        """Hold the device in reset for `SETTLE_SECONDS` after the PLL has locked."""
        locked_sync = Signal()
        m.submodules.lock_sync = FFSynchronizer(locked, locked_sync)
        settle_cycles = ceil(SETTLE_SECONDS * self.board.clock_hz)
        settle_count = Signal(range(settle_cycles + 1))
        ready = Signal()
        with m.If(~locked_sync):
            m.d.sync += [settle_count.eq(0), ready.eq(0)]
        with m.Elif(settle_count == settle_cycles):
            m.d.sync += ready.eq(1)
        with m.Else():
            m.d.sync += settle_count.eq(settle_count + 1)
        m.d.comb += self.device.reset.eq(~ready)


def ice40_pll(pll: Ice40Pll, clock: Any, locked: Signal, *, core: Any = None, pad: Any = None) -> Instance:
    """SB_PLL40_CORE with the input signal `core`, or SB_PLL40_PAD with the PLL's own pin `pad`."""
    source: dict[str, Any] = {"i_REFERENCECLK": core} if pad is None else {"io_PACKAGEPIN": pad}
    return Instance(
        "SB_PLL40_CORE" if pad is None else "SB_PLL40_PAD",
        p_FEEDBACK_PATH="SIMPLE",
        p_DIVR=Const(pll.divr, 4),
        p_DIVF=Const(pll.divf, 7),
        p_DIVQ=Const(pll.divq, 3),
        p_FILTER_RANGE=Const(pll.filter_range, 3),
        i_RESETB=Const(1),
        i_BYPASS=Const(0),
        o_PLLOUTCORE=clock,  # may use any global buffer; that of PLLOUTGLOBAL is one of the four for resets
        o_LOCK=locked,
        **source,
    )


def ecp5_pll(pll: Ecp5Pll, clock: Any, locked: Signal, source: Any) -> Instance:
    """EHXPLLL with feedback from its first output."""
    return Instance(
        "EHXPLLL",
        a_ICP_CURRENT="12",  # loop filter settings of Lattice's tools for these frequencies
        a_LPF_RESISTOR="8",
        a_MFG_ENABLE_FILTEROPAMP="1",
        a_MFG_GMCREF_SEL="2",
        p_FEEDBK_PATH="CLKOP",
        p_CLKI_DIV=pll.reference,
        p_CLKFB_DIV=pll.feedback,
        p_CLKOP_DIV=pll.divider,
        p_CLKOP_ENABLE="ENABLED",
        p_CLKOP_CPHASE=pll.divider - 1,
        p_CLKOP_FPHASE=0,
        p_OUTDIVIDER_MUXA="DIVA",
        i_CLKI=source,
        i_CLKFB=clock,
        i_RST=Const(0),
        i_STDBY=Const(0),
        i_ENCLKOP=Const(0),
        o_CLKOP=clock,
        o_LOCK=locked,
    )
