"""The position in the stream of input bytes."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from spikeveil.hdl.device.byte_counter import COUNTER_BYTES, ByteCounter, ByteReadout


class InputPosition(wiring.Component):
    """Counts accepted input bytes, modulo 2^32; compares a received position with the count.

    | port | width | direction | meaning |
    |---|---|---|---|
    | `byte` | 8 | in | byte of a received position, least significant byte first |
    | `compare` | 1 | in | one cycle for each of its four bytes |
    | `match` | 1 | out | after the four bytes: the position is the count |
    | `length` | 8 | in | bytes that are added |
    | `add` | 1 | in | high for four cycles: add `length` |
    | `added` | 1 | out | high in the fourth of them |
    | `readout` | `ByteReadout` | in | reads the count |
    | `clear` | 1 | in | one cycle, dominant: the count is 0 |

    `compare`, `add` and `readout.shift` exclude each other. Reset is `clear`.
    """

    byte: Signal
    compare: Signal
    match: Signal
    length: Signal
    add: Signal
    added: Signal
    readout: Any
    clear: Signal

    def __init__(self) -> None:
        super().__init__(
            {
                "byte": In(8),
                "compare": In(1),
                "match": Out(1),
                "length": In(8),
                "add": In(1),
                "added": Out(1),
                "readout": In(ByteReadout()),
                "clear": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.counter = counter = ByteCounter()
        first_byte = counter.byte_index == 0
        m.d.comb += [
            counter.clear.eq(self.clear),
            counter.store.eq(1),
            counter.addend.eq(Mux(self.add & first_byte, self.length, 0)),
            counter.shift.eq(self.compare | self.add | self.readout.shift),
            self.readout.byte.eq(counter.byte),
            self.added.eq(self.add & (counter.byte_index == COUNTER_BYTES - 1)),
        ]
        with m.If(self.compare):
            m.d.sync += self.match.eq((self.match | first_byte) & (self.byte == counter.byte))
        return m
