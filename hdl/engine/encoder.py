"""Converts spike rows to spike events: one event a spike, lowest neuron first, then an end-of-step marker."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from spikeveil.hdl.engine.spikes import SpikeEvent, SpikeRow, index_bits
from spikeveil.pysim.model.lanes import rows


class Encoder(wiring.Component):
    """Serialises spike rows into events and enforces the input cap.

    | port | width | direction | meaning |
    |---|---|---|---|
    | `i` | stream of SpikeRow(lanes) | in | rows of a step in order; bits at or beyond `inputs` are ignored |
    | `o` | stream of SpikeEvent(inputs) | out | spikes in ascending order, then the end of the step |

    | parameter | type | meaning |
    |---|---|---|
    | `inputs` | int | inputs of the layer |
    | `lanes` | int | bits of a row |
    | `cap` | int or None | input cap: spikes of a step that become events; the others are dropped |

    Timing: a row of b spikes takes 1 + b cycles and the end of a step one more. A step of s spikes in R rows therefore
    takes R + s + 1 cycles while `o` is ready. Dropped spikes take none. `o` is valid two cycles after its row is
    accepted.

    Reset discards the row in progress and starts a new step.
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
        has_spike = Signal()
        end_event = Signal()
        advance = Signal()
        emit = Signal()
        row_done = Signal()
        without_lowest = row.bits & (row.bits - 1)[: self.lanes]
        m.d.comb += [
            has_spike.eq(row.bits.any()),
            end_event.eq(row.step_end & ~has_spike),
            emit.eq(busy & (has_spike | row.step_end)),
            row_done.eq(busy & Mux(row.step_end, end_event, ~has_spike | (without_lowest == 0))),
            advance.eq(self.o.ready | ~self.o.valid | ~emit),  # a row that emits nothing needs no space at the output
            self.i.ready.eq(~busy),
        ]
        if self.cap is not None:
            self._limit(m, self.cap, row.bits, has_spike, busy & advance & has_spike, busy & advance & end_event)
        row_base = self._track_base(m)
        with m.If(self.o.ready | ~self.o.valid):
            m.d.sync += [
                self.o.valid.eq(emit),
                self.o.p.index.eq(row_base + self._lowest(m, row.bits)),
                self.o.p.step_end.eq(end_event),
                self.o.p.record_end.eq(end_event & row.record_end),
            ]
        with m.If(busy & advance):
            m.d.sync += [row.bits.eq(without_lowest), busy.eq(~row_done)]
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += [row.eq(self.i.p), busy.eq(self.i.p.bits.any() | self.i.p.step_end)]
            surplus = rows(self.inputs, self.lanes) * self.lanes - self.inputs
            with m.If(self.i.p.step_end):
                m.d.sync += row.bits.eq(self.i.p.bits[: self.lanes - surplus])
        return m

    def _limit(self, m: Module, cap: int, bits: Value, has_spike: Signal, spike_sent: Value, step_sent: Value) -> None:
        """Count the events that the cap still allows; at 0 the remaining spikes of the step are dropped."""
        cap_remaining = Signal(range(cap + 1), init=cap)
        m.d.comb += has_spike.eq(bits.any() & (cap_remaining != 0))
        with m.If(spike_sent):
            m.d.sync += cap_remaining.eq(cap_remaining - 1)
        with m.If(step_sent):
            m.d.sync += cap_remaining.eq(cap)

    def _track_base(self, m: Module) -> Signal:
        """The index of the lowest input in the current row."""
        row_base = Signal(range(rows(self.inputs, self.lanes) * self.lanes + 1))
        next_row_base = Signal.like(row_base)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += row_base.eq(next_row_base)
            m.d.sync += next_row_base.eq(Mux(self.i.p.step_end, 0, next_row_base + self.lanes))
        return row_base

    def _lowest(self, m: Module, bits: Value) -> Signal:
        """The position of the lowest bit that is set; 0 if none is."""
        lowest_lane = Signal(index_bits(self.lanes))
        for lane in reversed(range(self.lanes)):
            with m.If(bits[lane]):
                m.d.comb += lowest_lane.eq(lane)
        return lowest_lane
