"""Output rows to bytes, for the host. Twin of pysim/device/pack.py."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from spikeveil.hdl.engine.plan import Plan


class Packer(wiring.Component):
    """Rows of `plan.o_row` to bytes: each step begins with a byte of its own, and zeros fill its last one.

    A neuron has one bit, or `state_bits` in a readout; the first neuron's come first, lowest bit first. Bits move one
    by one: a row of b bits takes b + 1 cycles, a step's end up to 7 more, while bytes are taken at `o`. `clear` (one
    cycle, dominant) and reset drop what is inside.
    """

    i: stream.Interface
    o: stream.Interface
    clear: Signal

    def __init__(self, plan: Plan) -> None:
        last = plan.spec.layers[-1]
        bits = last.state_bits if last.readout else 1
        self.row_bits = bits * plan.o_lanes
        self.last_bits = bits * (plan.spec.outputs - (plan.o_rows - 1) * plan.o_lanes)
        super().__init__(
            {"i": In(stream.Signature(plan.o_row)), "o": Out(stream.Signature(8)), "clear": In(1)},
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        row, left = Signal(self.row_bits), Signal(range(max(3, self.row_bits + 1)))
        ending = Signal()  # the row in hand is its step's last
        filled, room = Signal(3), Signal()  # bits of the byte in hand
        filling = Signal()  # there are bits to move: of a row, or zeros to the end of its step's last byte
        payload: Any = self.i.payload
        m.d.comb += [
            room.eq(self.o.ready | ~self.o.valid),
            self.i.ready.eq(~filling),
        ]
        with m.If(room):
            m.d.sync += self.o.valid.eq(filling & (filled == 7))
            with m.If(filling):
                m.d.sync += [self.o.payload.eq(Cat(self.o.payload, row[0] & (left != 0))[1:]), filled.eq(filled + 1)]
                m.d.sync += [row.eq(row >> 1), left.eq(left - (left != 0))]
                m.d.sync += filling.eq((left > 1) | (ending & (filled != 7)))
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [row.eq(payload.bits), ending.eq(payload.step_end), filling.eq(1)]
            m.d.sync += left.eq(Mux(payload.step_end, self.last_bits, self.row_bits))
        with m.If(self.clear):
            m.d.sync += [filling.eq(0), filled.eq(0), self.o.valid.eq(0)]
        return m
