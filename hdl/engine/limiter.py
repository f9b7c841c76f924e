"""Contribution bounding: lets at most so many spikes of a step, of a record, go on to the flipper."""

from typing import Any

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

LATENCY = 2


class FlowRow(data.StructLayout):
    """A row of spikes on its way out, without back-pressure: `valid`, and the rest as in `SpikeRow`."""

    def __init__(self, lanes: int) -> None:
        super().__init__(
            {"valid": unsigned(1), "bits": unsigned(lanes), "step_end": unsigned(1), "record_end": unsigned(1)}
        )


class Limiter(wiring.Component):
    """Passes the first `per_record` spikes of a record and the first `per_step` of a step; None is no limit.

    Rows arrive lowest neuron first, one a cycle at most; within a row the lowest lane comes first. `o` follows
    `i` by `LATENCY` cycles. Counting starts afresh after a row marked step_end, record_end, and on reset.
    """

    i: Any
    o: Any

    def __init__(self, *, lanes: int, per_record: int | None, per_step: int | None) -> None:
        self.lanes, self.per_record, self.per_step = lanes, per_record, per_step
        super().__init__({"i": In(FlowRow(lanes)), "o": Out(FlowRow(lanes))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        counted = Signal.like(self.i)
        m.d.sync += [counted.eq(self.i), self.o.eq(counted)]
        before: list[Value] = [Const(0, 1)]  # the row's spikes in the lanes below each lane
        total: Value = before[0]
        for lane in range(self.lanes):
            total = total + self.i.bits[lane]
            count = Signal(range(lane + 2), name=f"before_{lane + 1}")
            m.d.sync += count.eq(total)
            before.append(count)

        room = self._room(m, counted, before[-1])
        passes = Cat(before[lane] < room for lane in range(self.lanes))
        m.d.sync += self.o.bits.eq(counted.bits & passes)
        return m

    def _room(self, m: Module, row: Any, wanted: Value) -> Signal:
        """How many spikes of the row may pass: what is left of the tighter limit."""
        limits = [limit for limit in (self.per_record, self.per_step) if limit is not None]
        room = Signal(range(max(limits) + 1))
        lefts = [
            (Signal(range(limit + 1), init=limit, name=name), limit, end)
            for name, limit, end in (
                ("left_in_record", self.per_record, row.record_end),
                ("left_in_step", self.per_step, row.step_end),
            )
            if limit is not None
        ]
        smallest: Value = lefts[0][0]
        for left, _, _ in lefts[1:]:
            smallest = Mux(left < smallest, left, smallest)
        m.d.comb += room.eq(smallest)
        for left, limit, end in lefts:
            with m.If(row.valid & end):
                m.d.sync += left.eq(limit)
            with m.Elif(row.valid):
                m.d.sync += left.eq(left - Mux(wanted < room, wanted, room))
        return room
