"""The scan: leak, compare, reset and saturate one row of neurons a cycle. Twin of pysim/neuron.py."""

from itertools import pairwise
from typing import Any

import numpy as np
from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from spikeveil.hdl.accumulator import by_row, pack, sum_bits
from spikeveil.hdl.fold import SUMS_LATENCY, Scan
from spikeveil.hdl.memories import UNCHECKED, Write, read, table, word_of
from spikeveil.hdl.spikes import memory_depth, rows
from spikeveil.pysim.image import number_bits
from spikeveil.pysim.leak import Leak
from spikeveil.pysim.spec import LayerSpec, signed_bits

LATENCY = SUMS_LATENCY + 3  # cycles from a row to its new potentials
DISTANCE = LATENCY + 1  # cycles between two visits of a row, so that the second reads what the first wrote


def leak(v: Value, decay: Leak) -> Value:
    """leak(v) as a signed value no wider than `v`."""
    if decay.kind == "shift":
        return (v - (v >> decay.shift_by))[: len(v)].as_signed()
    if decay.kind == "scale":
        return ((v * Const(decay.factor)) >> decay.shift_by)[: len(v)].as_signed()
    return v


def saturate(u: Value, bits: int) -> Value:
    """`u` clipped to `bits` bits of two's complement."""
    if len(u) <= bits:
        return u
    sign, kept = u[-1], u[:bits]
    fits = (u[bits - 1 :].all()) | ~(u[bits - 1 :].any())
    return Mux(fits, kept, Cat((~sign).replicate(bits - 1), sign)).as_signed()


class ScannedRow(data.StructLayout):
    """A row after its step: spikes and new potentials (lane 0 lowest), with the markers of `Scan`."""

    def __init__(self, *, lanes: int, state_bits: int) -> None:
        super().__init__(
            {
                "valid": unsigned(1),
                "spikes": unsigned(lanes),
                "potentials": unsigned(lanes * state_bits),
                "step_end": unsigned(1),
                "record_end": unsigned(1),
            }
        )


class Neurons(wiring.Component):
    """The neuron equations of pysim, for one row of `lanes` neurons a cycle.

    `o` is valid `LATENCY` cycles after `i` is, whose sums must be on `sums` `SUMS_LATENCY` cycles after it. The potentials live in
    a memory of one word a row; a row must not be visited again within `DISTANCE` cycles. A row marked fresh takes the
    potentials as zero, so reset need not clear the memory.

    With `load`, the thresholds are written through that port, as its last memory, and stay over a reset; `spec` then
    only says how wide everything is.
    """

    i: Any
    sums: Signal
    o: Any
    load: Any

    def __init__(self, spec: LayerSpec, *, lanes: int, load: Write | None = None) -> None:
        self.spec, self.lanes, self.loadable = spec, lanes, load is not None
        self.rows = rows(spec.neurons, lanes)
        super().__init__(
            {
                "i": In(Scan(rows=self.rows)),
                "sums": In(lanes * sum_bits(spec)),
                "o": Out(ScannedRow(lanes=lanes, state_bits=spec.state_bits)),
                **({} if load is None else {"load": In(load)}),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        width = self.spec.state_bits
        memory: Memory = Memory(
            shape=unsigned(self.lanes * width), depth=memory_depth(self.rows), init=[], attrs=UNCHECKED
        )
        m.submodules.potentials = memory
        write = memory.write_port()
        stages = [self.i] + [Signal.like(self.i, name=f"row_{n}") for n in range(1, LATENCY + 1)]
        for before, after in pairwise(stages):
            m.d.sync += after.eq(before)

        begin = SUMS_LATENCY - 3  # the potentials are read, held and leaked meanwhile
        v = Signal(self.lanes * width, reset_less=True)
        m.d.sync += v.eq(read(m, memory, stages[begin].row))
        thresholds = self._thresholds(m, stages[begin + 2].row)
        for lane in range(self.lanes):
            place = self._lane(m, lane, v.word_select(lane, width).as_signed(), stages[begin + 2].fresh, thresholds[lane])
            m.d.sync += self.o.potentials.word_select(lane, width).eq(place)
        m.d.comb += [
            self.o.valid.eq(stages[LATENCY].valid),
            self.o.step_end.eq(stages[LATENCY].step_end),
            self.o.record_end.eq(stages[LATENCY].record_end),
            write.addr.eq(stages[LATENCY].row),
            write.data.eq(self.o.potentials),
            write.en.eq(self.o.valid),
        ]
        return m

    def _lane(self, m: Module, lane: int, v: Value, fresh: Value, threshold: Value | None) -> Value:
        """u = leak(v) + sum, then u - threshold, then the choice: a register after each. Drives the spike of the
        lane.
        """
        spec, bits = self.spec, sum_bits(self.spec)
        leaked = Signal(signed(spec.state_bits), name=f"leaked_{lane}")
        u = Signal(signed(spec.potential_bits), name=f"u_{lane}")
        u_held = Signal.like(u, name=f"u_held_{lane}")
        m.d.sync += [
            leaked.eq(Mux(fresh, 0, leak(v, spec.leak))),
            u.eq(leaked + self.sums.word_select(lane, bits).as_signed()),
            u_held.eq(u),
        ]
        if threshold is None:
            return saturate(u_held, spec.state_bits)
        over = Signal(signed(1 + max(spec.potential_bits, len(threshold))), name=f"over_{lane}")
        m.d.sync += over.eq(u - threshold)
        fires = ~over[-1]
        m.d.sync += self.o.spikes[lane].eq(fires)
        after_spike = over[: spec.potential_bits].as_signed() if spec.reset == "subtract" else Const(0, signed(1))
        return saturate(Mux(fires, after_spike, u_held).as_signed(), spec.state_bits)

    def _thresholds(self, m: Module, row: Value) -> list[Value | None]:
        """The threshold of each lane, ready two cycles after `row`. Lanes without a neuron stay at potential 0, which
        is below every threshold.
        """
        threshold = self.spec.threshold
        if threshold is None:
            return [None] * self.lanes
        if self.loadable:
            return self._loaded_thresholds(m, row)
        each = np.broadcast_to(np.asarray(threshold, np.int64), self.spec.neurons)
        values = by_row(each, self.lanes, fill=int(each[0]))
        bits = signed_bits(0, int(values.max()))
        if (values == values[0, 0]).all():
            return [Const(int(values[0, 0]), signed(bits))] * self.lanes
        return self._each(m, row, bits, init=[pack(line, bits) for line in values])

    def _each(self, m: Module, row: Value, bits: int, **words: Any) -> list[Value | None]:
        """Thresholds of `bits` bits out of a memory."""
        held = Signal(self.lanes * bits)
        m.d.sync += held.eq(table(m, "thresholds", depth=self.rows, width=len(held), address=row, **words))
        return [held.word_select(lane, bits).as_signed() for lane in range(self.lanes)]

    def _loaded_thresholds(self, m: Module, row: Value) -> list[Value | None]:
        """The same out of a memory that can be written, or of one register for the whole layer."""
        bits, place = number_bits(self.spec), len(self.load.to) - 1
        if not isinstance(self.spec.threshold, np.ndarray):
            only = Signal(signed(bits), reset_less=True)
            with m.If(self.load.to[place]):
                m.d.sync += only.eq(word_of(self.load, bits))
            return [only] * self.lanes
        return self._each(m, row, bits, load=self.load, place=place)
