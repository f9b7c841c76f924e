"""UART, 8 data bits, no parity, one stop bit: a pin to bytes and bytes to a pin, at any clock and baud rate."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from spikeveil.pysim.model import checks

LEAST_CLOCKS = 4  # a bit
TOLERANCE = 1 / 1000  # of a bit, that the rate made may differ from the rate asked for
FRAME_BITS = 10


def rate(clock_hz: int, baud: int) -> tuple[int, int]:
    """(step, bits): an accumulator of `bits` bits that adds `step` every clock cycle overflows `baud` times a second.

    The fewest bits that come within `TOLERANCE`. ValueError where a bit would take fewer than `LEAST_CLOCKS` cycles.
    """
    checks.integer("clock_hz", clock_hz, 1, 10**9)
    checks.integer("baud", baud, 1, 10**9)
    if clock_hz < LEAST_CLOCKS * baud:
        raise ValueError(f"baud must be at most clock_hz / {LEAST_CLOCKS} = {clock_hz // LEAST_CLOCKS}, not {baud}")
    bits = 2
    while True:
        step = (baud * 2**bits + clock_hz // 2) // clock_hz
        if abs(step * clock_hz - baud * 2**bits) <= TOLERANCE * baud * 2**bits:
            return step, bits
        bits += 1


def idle(flow: Any) -> Any:
    """The port of a pin that is high while nothing is sent."""
    return flow(1, init=1)


class UartReceiver(wiring.Component):
    """The bytes that come in at pin `rx`.

    Each bit is sampled once, within a clock cycle of its middle, counted from the falling edge of the start bit: at 4
    clocks a bit the sender's clock may be 2 % off. A byte whose start or stop bit is wrong is dropped, and the next is
    looked for when the line is high again. `o` is valid from the middle of the stop bit until it is taken; a
    byte that is not taken before the next is there is lost. Reset forgets the byte in hand.
    """

    rx: Signal
    o: stream.Interface

    def __init__(self, *, clock_hz: int, baud: int) -> None:
        self.step, self.bits = rate(clock_hz, baud)
        super().__init__({"rx": idle(In), "o": Out(stream.Signature(8))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        rx, busy, broken, tick = Signal(init=1), Signal(), Signal(), Signal()
        m.submodules.pin = FFSynchronizer(self.rx, rx, init=1)
        phase, shift = Signal(self.bits), Signal(FRAME_BITS - 1)
        m.d.comb += tick.eq((phase + self.step)[-1])
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(busy):
            m.d.sync += phase.eq(phase + self.step)
        with m.Else():
            # the edge came up to a cycle ago, and a tick comes up to a cycle late: together, on average, one cycle
            m.d.sync += [phase.eq((1 << self.bits - 1) + self.step), shift.eq(~0)]
            m.d.sync += [busy.eq(~rx & ~broken), broken.eq(broken & ~rx)]
        with m.If(busy & tick):
            with m.If(shift[0]):
                m.d.sync += [shift.eq(Cat(shift[1:], rx)), busy.eq(~(shift.all() & rx))]  # no start bit: a glitch
            with m.Else():  # the start bit has come through, this is the stop bit
                m.d.sync += [busy.eq(0), broken.eq(~rx)]
                m.d.sync += [self.o.payload.eq(shift[1:]), self.o.valid.eq(rx)]
        return m


class UartTransmitter(wiring.Component):
    """Sends the bytes of `i` at pin `tx`, back to back while there are any: exactly 10 bits a byte.

    Edges lie within a clock cycle of their place. A byte waits up to one bit for its start. Reset lets the line go
    high at once.
    """

    i: stream.Interface
    tx: Signal

    def __init__(self, *, clock_hz: int, baud: int) -> None:
        self.step, self.bits = rate(clock_hz, baud)
        super().__init__({"i": In(stream.Signature(8)), "tx": idle(Out)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        phase, tick = Signal(self.bits), Signal()
        m.d.sync += Cat(phase, tick).eq(phase + self.step)
        left, shift = Signal(range(FRAME_BITS)), Signal(8)
        m.d.comb += self.i.ready.eq(tick & (left == 0))
        with m.If(tick):
            m.d.sync += [left.eq(Mux(left == 0, 0, left - 1)), shift.eq(Cat(shift[1:], Const(1, 1)))]
            m.d.sync += self.tx.eq(Mux(left == 0, 1, shift[0]))
            with m.If((left == 0) & self.i.valid):
                m.d.sync += [left.eq(FRAME_BITS - 1), shift.eq(self.i.payload), self.tx.eq(0)]
        return m
