"""Contribution bounding: caps the spikes that a layer releases in one step and in one record."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

LATENCY = 2


class FlowRow(data.StructLayout):
    """A spike row inside a layer, where there is no back-pressure.

    | field | width | meaning |
    |---|---|---|
    | `valid` | 1 | there is a row in this cycle |
    | `bits`, `step_end`, `record_end` | lanes, 1, 1 | as in `SpikeRow` |
    """

    def __init__(self, lanes: int) -> None:
        super().__init__(
            {"valid": unsigned(1), "bits": unsigned(lanes), "step_end": unsigned(1), "record_end": unsigned(1)}
        )


class Limiter(wiring.Component):
    """Passes the first `per_record` spikes of a record and the first `per_step` of each step; clears the others.

    | port | width | direction | meaning |
    |---|---|---|---|
    | `i` | FlowRow(lanes) | in | rows of raw spikes, lowest neurons first |
    | `o` | FlowRow(lanes) | out | the same rows with the excess spikes cleared |

    | parameter | type | meaning |
    |---|---|---|
    | `lanes` | int | bits of a row |
    | `per_record`, `per_step` | int or None | limits; None for no limit, but not both |

    Timing: one row a cycle; `o` follows `i` by `LATENCY` cycles. Within a row the lowest lane comes first.

    Counters restart after a row with `step_end` or `record_end`, and on reset.
    """

    i: Any
    o: Any

    def __init__(self, *, lanes: int, per_record: int | None, per_step: int | None) -> None:
        self.lanes, self.per_record, self.per_step = lanes, per_record, per_step
        super().__init__({"i": In(FlowRow(lanes)), "o": Out(FlowRow(lanes))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        counted_row = Signal.like(self.i)
        m.d.sync += [counted_row.eq(self.i), self.o.eq(counted_row)]
        counts: list[Value] = [Const(0, 1)]  # spikes of the row below each lane, then in all lanes
        total: Value = counts[0]
        for lane in range(self.lanes):
            total = total + self.i.bits[lane]
            count = Signal(range(lane + 2), name=f"count_{lane + 1}")
            m.d.sync += count.eq(total)
            counts.append(count)

        allowance = self._allowance(m, counted_row, counts[-1])
        passes = Cat(counts[lane] < allowance for lane in range(self.lanes))
        m.d.sync += self.o.bits.eq(counted_row.bits & passes)
        return m

    def _allowance(self, m: Module, row: Any, spikes: Value) -> Signal:
        """Spikes that the row may pass: the smaller remainder of the two limits. `spikes` is what the row has."""
        limits = [limit for limit in (self.per_record, self.per_step) if limit is not None]
        allowance = Signal(range(max(limits) + 1))
        remainders: list[Signal] = []
        for name, limit, period_end in (
            ("record_remaining", self.per_record, row.record_end),
            ("step_remaining", self.per_step, row.step_end),
        ):
            if limit is not None:
                remaining = Signal(range(limit + 1), init=limit, name=name)
                remainders.append(remaining)
                with m.If(row.valid & period_end):
                    m.d.sync += remaining.eq(limit)
                with m.Elif(row.valid):
                    m.d.sync += remaining.eq(remaining - Mux(spikes < allowance, spikes, allowance))
        smallest: Value = remainders[0]
        for remaining in remainders[1:]:
            smallest = Mux(remaining < smallest, remaining, smallest)
        m.d.comb += allowance.eq(smallest)
        return allowance
