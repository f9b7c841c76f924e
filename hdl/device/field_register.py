"""Shift register for the fields of a request."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out


class FieldRegister(wiring.Component):
    """Collects the field bytes of a message: the field that was received last is in the top bits.

    | port | width | direction | meaning |
    |---|---|---|---|
    | `i` | stream, 8 | in | field bytes |
    | `enable` | 1 | in | accept bytes |
    | `size` | 0 to `max_bytes` | in | bytes of the fields |
    | `start` | 1 | in | one cycle, without `enable`: sample `size` |
    | `clear` | 1 | in | one cycle, without `enable`: `count` is 0 |
    | `shift` | 1 | out | a byte is accepted in this cycle |
    | `count` | 0 to `max_bytes` | out | bytes accepted |
    | `accepted` | 1 | out | a byte was accepted in the cycle before |
    | `complete` | 1 | out | all bytes are there, for at least one cycle |
    | `fields` | 8 * `max_bytes` | out | the bytes, the last one on top |

    Timing: a byte every two cycles. Reset clears everything.
    """

    i: stream.Interface
    enable: Signal
    size: Signal
    start: Signal
    clear: Signal
    shift: Signal
    count: Signal
    accepted: Signal
    complete: Signal
    fields: Signal

    def __init__(self, max_bytes: int) -> None:
        super().__init__(
            {
                "i": In(stream.Signature(8)),
                "enable": In(1),
                "size": In(range(max_bytes + 1)),
                "start": In(1),
                "clear": In(1),
                "shift": Out(1),
                "count": Out(range(max_bytes + 1)),
                "accepted": Out(1),
                "complete": Out(1),
                "fields": Out(8 * max_bytes),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        size_register = Signal.like(self.size)
        incomplete = Signal()  # more bytes are wanted
        m.d.comb += [
            self.shift.eq(self.i.valid & incomplete & ~self.accepted & self.enable),
            self.i.ready.eq(self.shift),
            self.complete.eq(~incomplete & ~self.accepted),
        ]
        m.d.sync += self.accepted.eq(0)
        with m.If(self.enable):
            with m.If(self.shift):
                m.d.sync += [
                    self.fields.eq(Cat(self.fields, self.i.payload)[8:]),
                    self.accepted.eq(1),
                    self.count.eq(self.count + 1),
                ]
            with m.If(self.accepted):
                m.d.sync += incomplete.eq(self.count != size_register)
        with m.If(self.start):
            m.d.sync += [size_register.eq(self.size), incomplete.eq(self.size != 0)]
        with m.If(self.clear):
            m.d.sync += self.count.eq(0)
        return m
