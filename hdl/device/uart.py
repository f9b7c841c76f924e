"""UART with 8 data bits, no parity and one stop bit, at any clock and baud rate."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from spikeveil.pysim.model import checks

MIN_CLOCKS = 4  # clock cycles of a bit
TOLERANCE = 1 / 1000  # largest relative error of the bit rate
FRAME_BITS = 10  # start bit, data, stop bit
MAX_RATE_HZ = 10**9


def rate(clock_hz: int, baud: int) -> tuple[int, int]:
    """(step, bits): an accumulator of `bits` bits that adds `step` every clock cycle overflows `baud` times a second.

    The fewest bits with which the rate is within `TOLERANCE`. ValueError where a bit would take fewer than `MIN_CLOCKS`
    cycles.
    """
    checks.integer("clock_hz", clock_hz, 1, MAX_RATE_HZ)
    checks.integer("baud", baud, 1, MAX_RATE_HZ)
    if clock_hz < MIN_CLOCKS * baud:
        raise ValueError(f"baud must be at most clock_hz / {MIN_CLOCKS} = {clock_hz // MIN_CLOCKS}, not {baud}")
    bits = 2
    while True:
        step = (baud * 2**bits + clock_hz // 2) // clock_hz
        if abs(step * clock_hz - baud * 2**bits) <= TOLERANCE * baud * 2**bits:
            return step, bits
        bits += 1


def idle_high(flow: Any) -> Any:
    """A port of one bit that is high while nothing is sent."""
    return flow(1, init=1)


class UartReceiver(wiring.Component):
    """Receives bytes at a pin.

    | port | width | direction | meaning |
    |---|---|---|---|
    | `rx` | 1 | in | the pin, asynchronous |
    | `o` | stream, 8 | out | bytes; one that is not accepted before the next arrives is lost |

    Timing: each bit is sampled once, within a clock cycle of its middle, counted from the start bit's falling edge.
    At 4 clocks a bit the sender's clock may be 2 % off. `o` is valid from the middle of the stop bit on. A byte whose
    start or stop bit is wrong is dropped, and the next start bit is awaited once the line is high again. Reset drops
    the current byte.
    """

    rx: Signal
    o: stream.Interface

    def __init__(self, *, clock_hz: int, baud: int) -> None:
        self.step, self.phase_bits = rate(clock_hz, baud)
        super().__init__({"rx": idle_high(In), "o": Out(stream.Signature(8))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        rx = Signal(init=1)
        busy = Signal()
        line_break = Signal()  # the stop bit was low: wait until the line is high
        tick = Signal()
        m.submodules.pin = FFSynchronizer(self.rx, rx, init=1)
        phase = Signal(self.phase_bits)
        shift_register = Signal(FRAME_BITS - 1)
        m.d.comb += tick.eq((phase + self.step)[-1])
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(busy):
            m.d.sync += phase.eq(phase + self.step)
        with m.Else():
            m.d.sync += [
                # the edge came up to a cycle ago, and a tick comes up to a cycle late: together, on average, one cycle
                phase.eq((1 << self.phase_bits - 1) + self.step),
                shift_register.eq(~0),
                busy.eq(~rx & ~line_break),
                line_break.eq(line_break & ~rx),
            ]
        with m.If(busy & tick):
            with m.If(shift_register[0]):
                m.d.sync += [
                    shift_register.eq(Cat(shift_register[1:], rx)),
                    busy.eq(~(shift_register.all() & rx)),  # without a start bit the edge was a glitch
                ]
            with m.Else():  # the start bit has been shifted through: this is the stop bit
                m.d.sync += [
                    busy.eq(0),
                    line_break.eq(~rx),
                    self.o.payload.eq(shift_register[1:]),
                    self.o.valid.eq(rx),
                ]
        return m


class UartTransmitter(wiring.Component):
    """Sends bytes at a pin, back to back: exactly 10 bits a byte.

    | port | width | direction | meaning |
    |---|---|---|---|
    | `i` | stream, 8 | in | bytes; the first waits up to one bit for its start |
    | `tx` | 1 | out | the pin |

    Timing: edges are within a clock cycle of their ideal time. Reset sets the line high at once.
    """

    i: stream.Interface
    tx: Signal

    def __init__(self, *, clock_hz: int, baud: int) -> None:
        self.step, self.phase_bits = rate(clock_hz, baud)
        super().__init__({"i": In(stream.Signature(8)), "tx": idle_high(Out)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        phase = Signal(self.phase_bits)
        tick = Signal()
        m.d.sync += Cat(phase, tick).eq(phase + self.step)
        remaining = Signal(range(FRAME_BITS))  # bits to send
        shift_register = Signal(8)
        m.d.comb += self.i.ready.eq(tick & (remaining == 0))
        with m.If(tick):
            m.d.sync += [
                remaining.eq(Mux(remaining == 0, 0, remaining - 1)),
                shift_register.eq(Cat(shift_register[1:], Const(1, 1))),
                self.tx.eq(Mux(remaining == 0, 1, shift_register[0])),
            ]
            with m.If((remaining == 0) & self.i.valid):
                m.d.sync += [remaining.eq(FRAME_BITS - 1), shift_register.eq(self.i.payload), self.tx.eq(0)]
        return m
