"""Hands the sums of a row of lanes to the neuron update, all at once or `scan` neurons a cycle."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from spikeveil.hdl.engine.sequencer import Work
from spikeveil.hdl.engine.spikes import index_bits
from spikeveil.pysim.model.lanes import LayerLanes, rows

SUMS_LATENCY = 4  # cycles from the last work of a row to its sums


class ScanRequest(data.StructLayout):
    """Request to update the `scan` neurons of one scan row.

    | field | width | meaning |
    |---|---|---|
    | `row` | index_bits(rows) | scan row: neurons row * scan to row * scan + scan - 1 |
    | `valid` | 1 | the request is made in this cycle |
    | `record_start` | 1 | first step of a record: the old potentials count as 0 |
    | `step_end` | 1 | last row of the step |
    | `record_end` | 1 | last row of the record; only set together with `step_end` |
    """

    def __init__(self, *, rows: int) -> None:
        flags = ("valid", "record_start", "step_end", "record_end")
        super().__init__({"row": unsigned(index_bits(rows)), **{flag: unsigned(1) for flag in flags}})


class SumFolder(wiring.Component):
    """Splits the sums of a row of `lanes` neurons into `fold` = lanes / scan parts, one a cycle, lowest neurons first.

    | port | width | direction | meaning |
    |---|---|---|---|
    | `work` | Work | in | work of this cycle, as for the accumulator |
    | `sums` | lanes * bits | in | sums of a row, `SUMS_LATENCY` cycles after its `work.last` |
    | `o` | ScanRequest | out | scan row to update |
    | `part` | scan * bits | out | sums of the row in `o`, `SUMS_LATENCY` cycles after it |

    | parameter | type | meaning |
    |---|---|---|
    | `neurons`, `inputs` | int | size of the layer |
    | `layer_lanes` | LayerLanes | `lanes` and `scan` |
    | `bits` | int | width of a sum |

    Timing: with fold = 1, `o` is valid in the cycle of `work.last` and `part` is `sums`. With fold > 1 the sums are
    captured in a register of their own, and `o` is valid in the `fold` cycles after `work.last`, or fewer in the last
    row of a step if it is not full. Rows must end at least `fold` cycles apart. There is no back-pressure.

    Reset drops the row in progress and restarts at row 0.
    """

    work: Any
    sums: Signal
    o: Any
    part: Signal

    def __init__(self, *, neurons: int, inputs: int, layer_lanes: LayerLanes, bits: int) -> None:
        self.fold = layer_lanes.fold
        self.rows, self.scan_rows = rows(neurons, layer_lanes.lanes), rows(neurons, layer_lanes.scan)
        super().__init__(
            {
                "work": In(Work(weights=inputs * self.rows)),
                "sums": In(layer_lanes.lanes * bits),
                "o": Out(ScanRequest(rows=self.scan_rows)),
                "part": Out(layer_lanes.scan * bits),
            }
        )

    @property
    def last_fold(self) -> int:
        """Parts of the last row of a step."""
        return self.scan_rows - (self.rows - 1) * self.fold

    def elaborate(self, platform: object) -> Module:
        m = Module()
        row_ended = Signal()
        m.d.comb += row_ended.eq(self.work.valid & self.work.last)
        row = Signal.like(self.o.row)
        m.d.comb += self.o.row.eq(row)
        with m.If(self.o.valid):
            m.d.sync += row.eq(Mux(self.o.step_end, 0, row + 1))
        if self.fold == 1:
            m.d.comb += [self.part.eq(self.sums), self.o.valid.eq(row_ended)]
            m.d.comb += [self.o[flag].eq(self.work[flag]) for flag in ("record_start", "step_end", "record_end")]
            return m
        self._request_parts(m, row_ended)
        sums_valid = Signal(SUMS_LATENCY)  # shift register; its last bit is aligned with `sums`
        pending_sums = Signal(len(self.sums), reset_less=True)
        m.d.sync += [
            sums_valid.eq(Cat(row_ended, sums_valid)),
            pending_sums.eq(Mux(sums_valid[-1], self.sums, pending_sums >> len(self.part))),
        ]
        m.d.comb += self.part.eq(pending_sums)
        return m

    def _request_parts(self, m: Module, row_ended: Signal) -> None:
        """Drive `o` in the cycles after the end of a row, once a part."""
        valid = Signal()
        record_start = Signal()
        remaining = Signal(range(self.fold))
        step_end = Signal()
        record_end = Signal()
        last = remaining == 0
        m.d.comb += [
            self.o.valid.eq(valid),
            self.o.record_start.eq(record_start),
            self.o.step_end.eq(step_end & last),
            self.o.record_end.eq(record_end & last),
        ]
        with m.If(valid):
            m.d.sync += [remaining.eq(remaining - 1), valid.eq(~last)]
        with m.If(row_ended):
            m.d.sync += [valid.eq(1), record_start.eq(self.work.record_start)]
            m.d.sync += [step_end.eq(self.work.step_end), record_end.eq(self.work.record_end)]
            m.d.sync += remaining.eq(Mux(self.work.step_end, self.last_fold - 1, self.fold - 1))
