"""From the sums of a row to the neurons that are scanned: all at once, or some in each of several cycles."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from spikeveil.hdl.engine.sequencer import Work
from spikeveil.hdl.engine.spikes import index_bits
from spikeveil.pysim.model.lanes import LayerLanes, rows

SUMS_LATENCY = 4  # cycles from a row's last work to its sums


class ScanRequest(data.StructLayout):
    """The neurons of row `row`, counted in rows of those that are scanned at once, are updated.

    `fresh`, `step_end`, `record_end` as in `Work`; the last two only in the last row of the step.
    """

    def __init__(self, *, rows: int) -> None:
        flags = ("valid", "fresh", "step_end", "record_end")
        super().__init__({"row": unsigned(index_bits(rows)), **{flag: unsigned(1) for flag in flags}})


class SumFolder(wiring.Component):
    """Hands the sums of a row of `layer_lanes.lanes` neurons on, `layer_lanes.scan` of them at a time, the lowest
    first.

    `o` says which; its sums are on `part` `SUMS_LATENCY` cycles after it. With `scan` = `lanes`, `o` is valid in the
    cycle of the `work` that is valid and marked last, and `part` is `sums`. Otherwise the sums are caught in a register
    when they are there, and `o` is valid in the `lanes / scan` cycles that follow that work, in a step's last row only
    in as many as there are neurons for: rows must end at least `lanes / scan` cycles apart. Reset drops the row in
    hand.
    """

    work: Any
    sums: Signal
    o: Any
    part: Signal

    def __init__(self, *, neurons: int, inputs: int, layer_lanes: LayerLanes, bits: int) -> None:
        self.fold = layer_lanes.fold
        self.rows, self.scanned_rows = rows(neurons, layer_lanes.lanes), rows(neurons, layer_lanes.scan)
        super().__init__(
            {
                "work": In(Work(weights=inputs * self.rows)),
                "sums": In(layer_lanes.lanes * bits),
                "o": Out(ScanRequest(rows=self.scanned_rows)),
                "part": Out(layer_lanes.scan * bits),
            }
        )

    @property
    def last_fold(self) -> int:
        """Parts of a step's last row."""
        return self.scanned_rows - (self.rows - 1) * self.fold

    def elaborate(self, platform: object) -> Module:
        m = Module()
        ended = Signal()
        m.d.comb += ended.eq(self.work.valid & self.work.last)
        with m.If(self.o.valid):
            m.d.sync += self.o.row.eq(Mux(self.o.step_end, 0, self.o.row + 1))
        if self.fold == 1:
            m.d.comb += [self.part.eq(self.sums), self.o.valid.eq(ended)]
            m.d.comb += [self.o[flag].eq(self.work[flag]) for flag in ("fresh", "step_end", "record_end")]
            return m
        self._count(m, ended)
        done, held = Signal(SUMS_LATENCY), Signal(len(self.sums), reset_less=True)
        m.d.sync += [
            done.eq(Cat(ended, done)),
            held.eq(Mux(done[-1], self.sums, held >> len(self.part))),
        ]
        m.d.comb += self.part.eq(held)
        return m

    def _count(self, m: Module, ended: Signal) -> None:
        """The parts of a row, one a cycle from the one after its end on."""
        left, step_end, record_end = Signal(range(self.fold)), Signal(), Signal()
        last = left == 0
        m.d.comb += [self.o.step_end.eq(step_end & last), self.o.record_end.eq(record_end & last)]
        with m.If(self.o.valid):
            m.d.sync += [left.eq(left - 1), self.o.valid.eq(~last)]
        with m.If(ended):
            m.d.sync += [self.o.valid.eq(1), self.o.fresh.eq(self.work.fresh)]
            m.d.sync += [step_end.eq(self.work.step_end), record_end.eq(self.work.record_end)]
            m.d.sync += left.eq(Mux(self.work.step_end, self.last_fold - 1, self.fold - 1))
