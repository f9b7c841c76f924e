"""A 32-bit counter that is read, compared and added to one byte at a time, in the byte order of the wire."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from spikeveil.pysim.device.wire import POSITION_BITS

COUNTER_BYTES = POSITION_BITS // 8


class ByteReadout(wiring.Signature):
    """Reads a counter byte by byte, least significant byte first; directions as its reader sees them.

    | port | width | direction | meaning |
    |---|---|---|---|
    | `byte` | 8 | in | the current byte |
    | `shift` | 1 | out | one cycle: go to the next byte; after four it is the first again |
    """

    def __init__(self) -> None:
        super().__init__({"byte": In(8), "shift": Out(1)})


class ByteCounter(wiring.Component):
    """Serialises a 32-bit counter one byte per cycle, least significant byte first, and adds to it on the way.

    | port | width | direction | meaning |
    |---|---|---|---|
    | `addend` | 8 | in | byte of the number that is added, in step with `byte` |
    | `store` | 1 | in | replaces the byte by that of the sum when `shift` is high |
    | `shift` | 1 | in | one cycle: go to the next byte; after four the first is current again |
    | `clear` | 1 | in | one cycle: the counter is 0 and its first byte is current |
    | `byte` | 8 | out | current byte of the counter |
    | `sum_byte` | 8 | out | current byte of counter + addend, modulo 2^32 |
    | `byte_index` | 2 | out | index of the current byte |

    `store` must be the same in all four shifts of a sum. Reset is `clear`, but the counter is `init`.
    """

    addend: Signal
    store: Signal
    shift: Signal
    clear: Signal
    byte: Signal
    sum_byte: Signal
    byte_index: Signal

    def __init__(self, init: int = 0) -> None:
        self.init = init
        super().__init__(
            {
                "addend": In(8),
                "store": In(1),
                "shift": In(1),
                "clear": In(1),
                "byte": Out(8),
                "sum_byte": Out(8),
                "byte_index": Out(range(COUNTER_BYTES)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        count = Signal(POSITION_BITS, init=self.init)
        carry_in = Signal()
        carry_out = Signal()
        m.d.comb += [
            self.byte.eq(count),
            Cat(self.sum_byte, carry_out).eq(self.byte + self.addend + carry_in),
        ]
        with m.If(self.shift):
            m.d.sync += [
                count.eq(Cat(count[8:], Mux(self.store, self.sum_byte, self.byte))),
                self.byte_index.eq(self.byte_index + 1),
                carry_in.eq(carry_out & (self.byte_index != COUNTER_BYTES - 1)),
            ]
        with m.If(self.clear):
            m.d.sync += [count.eq(0), self.byte_index.eq(0), carry_in.eq(0)]
        return m
