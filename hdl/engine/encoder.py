"""Rows of spikes to events: one event a set bit, lowest neuron first, then an end-of-step marker."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from spikeveil.hdl.engine.spikes import SpikeEvent, SpikeRow, index_bits
from spikeveil.pysim.model.lanes import rows


class Encoder(wiring.Component):
    """Turns the spike rows of `i` into the events of `o`.

    A row of b spikes takes 1 + b cycles and the step's end one more, so a step of s spikes in R rows takes R + s +
    1 cycles while `o` is ready. With `cap`, only the first `cap` spikes of a step are events: the rest are dropped
    where they stand, at no cost in cycles. Bits at or beyond `inputs` are ignored.

    `o` is valid two cycles after its row was taken. Reset forgets the row in hand and starts a new step.
    """

    i: stream.Interface
    o: stream.Interface

    def __init__(self, *, inputs: int, lanes: int, cap: int | None = None) -> None:
        self.inputs, self.lanes, self.cap = inputs, lanes, cap
        super().__init__({"i": In(stream.Signature(SpikeRow(lanes))), "o": Out(stream.Signature(SpikeEvent(inputs)))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        row: Any = Signal(SpikeRow(self.lanes))
        busy = Signal()
        base, next_base = (Signal(range(rows(self.inputs, self.lanes) * self.lanes + 1)) for _ in range(2))

        others = row.bits & (row.bits - 1)[: self.lanes]  # without the lowest spike
        spike, ending, emit, done, go = (Signal() for _ in range(5))
        m.d.comb += [
            spike.eq(row.bits.any()),
            ending.eq(row.step_end & ~spike),
            emit.eq(busy & (spike | row.step_end)),
            done.eq(busy & Mux(row.step_end, ending, ~spike | (others == 0))),
            go.eq(self.o.ready | ~self.o.valid | ~emit),  # a row that emits nothing needs no room at the output
            self.i.ready.eq(~busy),
        ]
        if self.cap is not None:
            room = Signal(range(self.cap + 1), init=self.cap)
            m.d.comb += spike.eq(row.bits.any() & (room != 0))
            with m.If(busy & go & spike):
                m.d.sync += room.eq(room - 1)
            with m.If(busy & go & ending):
                m.d.sync += room.eq(self.cap)

        with m.If(self.o.ready | ~self.o.valid):
            m.d.sync += [
                self.o.valid.eq(emit),
                self.o.p.index.eq(base + self._lowest(m, row.bits)),
                self.o.p.step_end.eq(ending),
                self.o.p.record_end.eq(ending & row.record_end),
            ]
        with m.If(busy & go):
            m.d.sync += [row.bits.eq(others), busy.eq(~done)]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [row.eq(self.i.p), busy.eq(self.i.p.bits.any() | self.i.p.step_end)]
            m.d.sync += [base.eq(next_base), next_base.eq(Mux(self.i.p.step_end, 0, next_base + self.lanes))]
            surplus = rows(self.inputs, self.lanes) * self.lanes - self.inputs
            with m.If(self.i.p.step_end):
                m.d.sync += row.bits.eq(self.i.p.bits[: self.lanes - surplus])
        return m

    def _lowest(self, m: Module, bits: Value) -> Signal:
        """The position of the lowest bit that is set."""
        lane = Signal(index_bits(self.lanes))
        for number in reversed(range(self.lanes)):
            with m.If(bits[number]):
                m.d.comb += lane.eq(number)
        return lane
