"""The scan: leak, compare, reset and saturate one row of neurons a cycle. Twin of pysim/model/neuron.py."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from spikeveil.hdl.engine.accumulator import lane_rows, pack_fields
from spikeveil.hdl.engine.memories import NO_RW_CHECK, ImageWrite, lookup_memory, unchecked_read, word_of
from spikeveil.hdl.engine.spikes import memory_depth
from spikeveil.hdl.engine.sum_folder import SUMS_LATENCY, ScanRequest
from spikeveil.pysim.model.image import number_bits
from spikeveil.pysim.model.lanes import rows
from spikeveil.pysim.model.layer_spec import LayerSpec, signed_bits
from spikeveil.pysim.model.leak import Leak

LATENCY = SUMS_LATENCY + 3  # cycles from a row to its new potentials
MIN_REVISIT_CYCLES = LATENCY + 1  # cycles between two visits of a row, so that the second reads what the first wrote


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
    """A row after its step: spikes and new potentials (lane 0 lowest), with the markers of `ScanRequest`."""

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

    `o` is valid `LATENCY` cycles after `i` is, whose sums W x must be on `sums` `SUMS_LATENCY` cycles after it. Rows
    come in order, from 0 in each step. The potentials live in a memory of one word a row; a row must not be visited
    again within `MIN_REVISIT_CYCLES` cycles. A row marked fresh takes the potentials as zero, so reset need not clear
    the memory.

    With `load`, biases and thresholds are written through that port, as its last memories, and stay over a reset;
    `spec` then only says how wide everything is.
    """

    i: Any
    sums: Signal
    o: Any
    load: Any

    def __init__(self, spec: LayerSpec, *, lanes: int, load: ImageWrite | None = None) -> None:
        self.spec, self.lanes, self.loadable = spec, lanes, load is not None
        self.rows = rows(spec.neurons, lanes)
        super().__init__(
            {
                "i": In(ScanRequest(rows=self.rows)),
                "sums": In(lanes * spec.accumulator_bits),
                "o": Out(ScannedRow(lanes=lanes, state_bits=spec.state_bits)),
                **({} if load is None else {"load": In(load)}),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        width = self.spec.state_bits
        memory: Memory = Memory(
            shape=unsigned(self.lanes * width), depth=memory_depth(self.rows), init=[], attrs=NO_RW_CHECK
        )
        m.submodules.potentials = memory
        write = memory.write_port()
        flags = [Signal(4, name=f"flags_{n}") for n in range(LATENCY + 1)]
        m.d.comb += flags[0].eq(Cat(self.i.valid, self.i.step_end, self.i.record_end, self.i.fresh))
        for before, after in pairwise(flags):
            m.d.sync += after.eq(before)
        self._at: list[Signal] = [self.i.row]  # the row in each of the first stages

        begin = SUMS_LATENCY - (3 if self.spec.bias is None else 4)  # read, held, leaked, and biased meanwhile
        v = Signal(self.lanes * width, reset_less=True)
        m.d.sync += v.eq(unchecked_read(m, memory, self._row(m, begin)))
        biases, thresholds = self._biases(m, begin + 1), self._thresholds(m, SUMS_LATENCY - 1)
        for lane in range(self.lanes):
            own = v.word_select(lane, width).as_signed()
            place = self._lane(m, lane, own, flags[begin + 2][3], biases[lane], thresholds[lane])
            m.d.sync += self.o.potentials.word_select(lane, width).eq(place)
        m.d.comb += [
            Cat(self.o.valid, self.o.step_end, self.o.record_end).eq(flags[-1]),
            write.data.eq(self.o.potentials),
            write.en.eq(self.o.valid),
        ]
        with m.If(self.o.valid):
            m.d.sync += write.addr.eq(Mux(self.o.step_end, 0, write.addr + 1))
        return m

    def _row(self, m: Module, stage: int) -> Signal:
        """The row, so many cycles after it was at `i`."""
        while len(self._at) <= stage:
            after = Signal.like(self.i.row, name=f"row_{len(self._at)}")
            m.d.sync += after.eq(self._at[-1])
            self._at.append(after)
        return self._at[stage]

    def _lane(self, m: Module, lane: int, v: Value, fresh: Value, bias: Value | None, threshold: Value | None) -> Value:
        """u = leak(v) + bias + sum, then u - threshold, then the choice: a register after each addition. Drives the
        spike of the lane.
        """
        spec = self.spec
        leaked = Signal(signed(spec.state_bits), name=f"leaked_{lane}")
        u = Signal(signed(spec.potential_bits), name=f"u_{lane}")
        u_held, based = Signal.like(u, name=f"u_held_{lane}"), leaked
        m.d.sync += leaked.eq(Mux(fresh, 0, leak(v, spec.leak)))
        if bias is not None:
            based = Signal.like(u, name=f"biased_{lane}")  # fits, as the sums may be 0
            m.d.sync += based.eq(leaked + bias)
        m.d.sync += [u.eq(based + self.sums.word_select(lane, spec.accumulator_bits).as_signed()), u_held.eq(u)]
        if threshold is None:
            return saturate(u_held, spec.state_bits)
        over = Signal(signed(1 + max(spec.potential_bits, len(threshold))), name=f"over_{lane}")
        m.d.sync += over.eq(u - threshold)
        fires = ~over[-1]
        m.d.sync += self.o.spikes[lane].eq(fires)
        after_spike = over[: spec.potential_bits].as_signed() if spec.reset == "subtract" else Const(0, signed(1))
        return saturate(Mux(fires, after_spike, u_held).as_signed(), spec.state_bits)

    def _biases(self, m: Module, stage: int) -> Sequence[Value | None]:
        """The bias of each lane, ready two cycles after `stage`."""
        bias = self.spec.bias
        if bias is None:
            return [None] * self.lanes
        if self.loadable:
            place = len(self.load.to) - 1 - (self.spec.threshold is not None)
            return self._each(m, "biases", stage, number_bits(self.spec), load=self.load, memory_index=place)
        bits = signed_bits(int(bias.min()), int(bias.max()))
        return self._each(
            m, "biases", stage, bits, init=[pack_fields(line, bits) for line in lane_rows(bias, self.lanes)]
        )

    def _thresholds(self, m: Module, stage: int) -> Sequence[Value | None]:
        """The threshold of each lane, ready two cycles after `stage`. Lanes without a neuron stay at potential 0, which
        is below every threshold.
        """
        threshold = self.spec.threshold
        if threshold is None:
            return [None] * self.lanes
        if self.loadable:
            return self._loaded_thresholds(m, stage)
        each = np.broadcast_to(np.asarray(threshold, np.int64), self.spec.neurons)
        values = lane_rows(each, self.lanes, fill=int(each[0]))
        bits = signed_bits(0, int(values.max()))
        if (values == values[0, 0]).all():
            return [Const(int(values[0, 0]), signed(bits))] * self.lanes
        return self._each(m, "thresholds", stage, bits, init=[pack_fields(line, bits) for line in values])

    def _each(self, m: Module, name: str, stage: int, bits: int, **words: Any) -> Sequence[Value]:
        """Numbers of `bits` bits out of a memory with a word a row."""
        held = Signal(self.lanes * bits, reset_less=True)
        m.d.sync += held.eq(
            lookup_memory(m, name, depth=self.rows, width=len(held), address=self._row(m, stage), **words)
        )
        return [held.word_select(lane, bits).as_signed() for lane in range(self.lanes)]

    def _loaded_thresholds(self, m: Module, stage: int) -> Sequence[Value]:
        """The same out of a memory that can be written, or of one register for the whole layer."""
        bits, place = number_bits(self.spec), len(self.load.to) - 1
        if not isinstance(self.spec.threshold, np.ndarray):
            only = Signal(signed(bits), reset_less=True)
            with m.If(self.load.to[place]):
                m.d.sync += only.eq(word_of(self.load, bits))
            return [only] * self.lanes
        return self._each(m, "thresholds", stage, bits, load=self.load, memory_index=place)
