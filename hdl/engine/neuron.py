"""Neuron update: leak, bias, threshold, reset and saturation of one row a cycle. Twin of pysim/model/neuron.py."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from spikeveil.hdl.engine.accumulator import lane_rows, pack_fields
from spikeveil.hdl.engine.memories import NO_RW_CHECK, ImageWrite, lookup_memory, unchecked_read, word_of
from spikeveil.hdl.engine.spikes import memory_depth
from spikeveil.hdl.engine.sum_folder import SUMS_LATENCY, ScanRequest
from spikeveil.pysim.model.image import FACTORS, factor_bits, number_bits, section_names
from spikeveil.pysim.model.lanes import rows
from spikeveil.pysim.model.layer_spec import LayerSpec, signed_bits
from spikeveil.pysim.model.leak import Leak

LATENCY = SUMS_LATENCY + 3  # cycles from a scan request to its new potentials
MIN_REVISIT_CYCLES = LATENCY + 1  # between two requests for a row: the second must read what the first wrote


def leak(v: Value, decay: Leak, factor: Value | None = None) -> Value:
    """The leaked potential, a signed value no wider than `v`.

    `factor`: the neuron's own, unsigned, in place of that of a `scale` leak. Where its top bit is set nothing leaks.
    """
    if decay.kind == "shift":
        return (v - (_half_added(v, decay) >> decay.shift_by))[: len(v)].as_signed()
    if decay.kind == "scale" and factor is not None:
        leaked = (_half_added(v * factor[:-1], decay) >> decay.shift_by)[: len(v)].as_signed()
        return Mux(factor[-1], v, leaked).as_signed()
    if decay.kind == "scale":
        return (_half_added(v * Const(decay.factor), decay) >> decay.shift_by)[: len(v)].as_signed()
    return v


def _half_added(v: Value, decay: Leak) -> Value:
    """`v` plus half of what the shift divides by, where the leak rounds to nearest."""
    return v + decay.half if decay.half else v


def saturate(u: Value, bits: int) -> Value:
    """`u` clipped to the range of a signed integer of `bits` bits."""
    if len(u) <= bits:
        return u
    sign = u[-1]
    fits = (u[bits - 1 :].all()) | ~(u[bits - 1 :].any())
    return Mux(fits, u[:bits], Cat((~sign).replicate(bits - 1), sign)).as_signed()


class ScannedRow(data.StructLayout):
    """Result of a scan request: the spikes and new potentials of one scan row.

    | field | width | meaning |
    |---|---|---|
    | `valid` | 1 | there is a row in this cycle |
    | `spikes` | lanes | raw spikes, lane 0 in the low bit; 0 for a readout |
    | `potentials` | lanes * state_bits | signed potentials after the step, lane 0 in the low bits |
    | `step_end`, `record_end` | 1 | as in `ScanRequest` |
    """

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


class _RowDelay:
    """The row of a scan request, delayed by as many cycles as the pipeline asks for."""

    def __init__(self, m: Module, row: Signal) -> None:
        self._m, self._stages = m, [row]

    def delayed(self, cycles: int) -> Signal:
        """The row, `cycles` cycles after the request."""
        while len(self._stages) <= cycles:
            delayed = Signal.like(self._stages[0], name=f"row_{len(self._stages)}")
            self._m.d.sync += delayed.eq(self._stages[-1])
            self._stages.append(delayed)
        return self._stages[cycles]


class _LaneNumbers(NamedTuple):
    """The constants of the neuron that a lane updates; None where the layer has none of the kind."""

    bias: Value | None
    threshold: Value | None
    factor: Value | None
    reset: Value | None


class Neurons(wiring.Component):
    """Updates `lanes` neurons a cycle by the equations of `LayerSpec`, and holds the potentials of the layer.

    | port | width | direction | meaning |
    |---|---|---|---|
    | `i` | ScanRequest | in | row to update; rows in order, from 0 in each step |
    | `sums` | lanes * accumulator_bits | in | signed sums W x of the row, `SUMS_LATENCY` cycles after its request |
    | `o` | ScannedRow | out | spikes and new potentials; no back-pressure |
    | `load` | ImageWrite | in | writes all numbers but the weights; only where `load` is given |

    | parameter | type | meaning |
    |---|---|---|
    | `spec` | LayerSpec | the layer; of a loadable one only the widths are used |
    | `lanes` | int | neurons of a scan row |
    | `load` | ImageWrite or None | layout of the write port; None builds the numbers in |

    Timing: one row a cycle; `o` follows `i` by `LATENCY` cycles. The same row must not be requested again within
    `MIN_REVISIT_CYCLES` cycles.

    The potentials are in a memory with one word a row. It is never cleared: a request with `record_start` takes the
    initial potentials in place of the old ones. Reset empties the pipeline and leaves all memories.
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
        flags = self._delayed_flags(m)
        row = _RowDelay(m, self.i.row)

        # The potentials must be leaked, and biased, when the sums are there: read, register, leak, bias.
        read_cycle = SUMS_LATENCY - (3 if self.spec.bias is None else 4)
        v = Signal(self.lanes * width, reset_less=True)
        stored = unchecked_read(m, memory, row.delayed(read_cycle))
        record_start = [cycle_flags[3] for cycle_flags in flags]
        m.d.sync += v.eq(self._started(m, row, read_cycle, record_start[read_cycle + 1], stored))
        numbers = self._numbers(m, row, read_cycle)
        spikes = Signal(self.lanes)
        potentials = Signal(self.lanes * width)
        for lane in range(self.lanes):
            old = v.word_select(lane, width).as_signed()
            potential = self._lane(m, lane, old, record_start[read_cycle + 2], numbers[lane], spikes[lane])
            m.d.sync += potentials.word_select(lane, width).eq(potential)
        m.d.comb += [
            self.o.spikes.eq(spikes),
            self.o.potentials.eq(potentials),
            Cat(self.o.valid, self.o.step_end, self.o.record_end).eq(flags[-1]),
            write.data.eq(self.o.potentials),
            write.en.eq(self.o.valid),
        ]
        with m.If(self.o.valid):
            m.d.sync += write.addr.eq(Mux(self.o.step_end, 0, write.addr + 1))
        return m

    def _delayed_flags(self, m: Module) -> list[Signal]:
        """(valid, step_end, record_end, record_start) of the request, 0 to `LATENCY` cycles after it."""
        flags = [Signal(4, name="flags_0")]
        m.d.comb += flags[0].eq(Cat(self.i.valid, self.i.step_end, self.i.record_end, self.i.record_start))
        for cycle in range(1, LATENCY + 1):
            delayed = Signal(4, name=f"flags_{cycle}")
            m.d.sync += delayed.eq(flags[-1])
            flags.append(delayed)
        return flags

    def _lane(
        self, m: Module, lane: int, v: Value, record_start: Value, numbers: "_LaneNumbers", spike: Value
    ) -> Value:
        """The update of one neuron, a register after each addition: u = leak(v) + bias + sum, then u - threshold.

        Drives the register `spike`; returns the new potential for a register beside it.
        """
        spec, threshold = self.spec, numbers.threshold
        u = self._sum(m, lane, v, record_start, numbers)
        u_delayed = Signal.like(u, name=f"u_delayed_{lane}")
        m.d.sync += u_delayed.eq(u)
        if threshold is None:
            return saturate(u_delayed, spec.state_bits)
        margin = Signal(signed(1 + max(spec.potential_bits, len(threshold))), name=f"margin_{lane}")
        m.d.sync += margin.eq(u - threshold)
        fires = ~margin[-1]
        m.d.sync += spike.eq(fires)
        after_spike: Value = Const(0, signed(1)) if numbers.reset is None else numbers.reset
        if spec.reset == "subtract":
            after_spike = margin[: spec.potential_bits].as_signed()
        return saturate(Mux(fires, after_spike, u_delayed).as_signed(), spec.state_bits)

    def _sum(self, m: Module, lane: int, v: Value, record_start: Value, numbers: "_LaneNumbers") -> Signal:
        """A register of u. Without initial potentials, a record that starts leaks to 0 whatever `v` is."""
        spec = self.spec
        leaked = Signal(signed(spec.state_bits), name=f"leaked_{lane}")
        u = Signal(signed(spec.potential_bits), name=f"u_{lane}")
        leaked_v = leak(v, spec.leak, numbers.factor)
        m.d.sync += leaked.eq(Mux(record_start, 0, leaked_v) if spec.initial is None else leaked_v)
        biased = leaked
        if numbers.bias is not None:
            biased = Signal.like(u, name=f"biased_{lane}")  # cannot overflow: u has room for it at a sum of 0
            m.d.sync += biased.eq(leaked + numbers.bias)
        total = self.sums.word_select(lane, spec.accumulator_bits)
        if spec.fraction_bits:
            total = Cat(Const(0, spec.fraction_bits), total)
        m.d.sync += u.eq(biased + total.as_signed())
        return u

    def _started(self, m: Module, row: _RowDelay, cycle: int, record_start: Value, stored: Value) -> Value:
        """The row's `stored` potentials, in a record's first step its initial ones; valid a cycle after `cycle`."""
        if self.spec.initial is None:
            return stored
        width = self.spec.state_bits
        contents: dict[str, Any] = self._contents("initial", self.spec.initial, width)
        initial = lookup_memory(
            m, "initial", depth=self.rows, width=self.lanes * width, address=row.delayed(cycle), **contents
        )
        return Mux(record_start, initial, stored)

    def _numbers(self, m: Module, row: _RowDelay, read_cycle: int) -> "list[_LaneNumbers]":
        """The numbers of each lane, each valid in the cycle in which `_lane` uses it."""
        spec = self.spec
        biases = self._biases(m, row, read_cycle + 1)
        thresholds = self._thresholds(m, row, SUMS_LATENCY - 1)
        factors: Sequence[Value | None] = [None] * self.lanes
        resets: Sequence[Value | None] = [None] * self.lanes
        if spec.leak_factors is not None:
            bits = factor_bits(spec)
            contents = self._contents(FACTORS, spec.leak_factors, bits)
            words = self._lane_numbers(m, FACTORS, row.delayed(read_cycle), bits, **contents)
            factors = [word.as_unsigned() for word in words]
        if spec.reset_potential is not None:
            contents = self._contents("reset_potential", spec.reset_potential, spec.state_bits)
            resets = self._lane_numbers(m, "resets", row.delayed(SUMS_LATENCY), spec.state_bits, **contents)
        return [_LaneNumbers(*values) for values in zip(biases, thresholds, factors, resets, strict=True)]

    def _contents(self, section: str, values: Any, bits: int) -> dict[str, Any]:
        """The contents of a memory with a word a row, as `lookup_memory` takes them: built in or loaded."""
        if self.loadable:
            return {"load": self.load, "memory_index": self._memory_index(section)}
        return {"init": [pack_fields(fields, bits) for fields in lane_rows(values, self.lanes)]}

    def _memory_index(self, section: str) -> int:
        """The bit of `load.to` that writes a section."""
        return section_names(self.spec).index(section)

    def _biases(self, m: Module, row: _RowDelay, cycle: int) -> Sequence[Value | None]:
        """The bias of each lane, valid two cycles after `cycle`."""
        bias = self.spec.bias
        if bias is None:
            return [None] * self.lanes
        bits = number_bits(self.spec) if self.loadable else signed_bits(int(bias.min()), int(bias.max()))
        return self._lane_numbers(m, "biases", row.delayed(cycle), bits, **self._contents("bias", bias, bits))

    def _thresholds(self, m: Module, row: _RowDelay, cycle: int) -> Sequence[Value | None]:
        """The threshold of each lane, valid two cycles after `cycle`.

        Lanes without a neuron stay at potential 0, which is below every threshold.
        """
        threshold = self.spec.threshold
        if threshold is None:
            return [None] * self.lanes
        if self.loadable:
            return self._loaded_thresholds(m, row, cycle)
        by_neuron = np.broadcast_to(np.asarray(threshold, np.int64), self.spec.neurons)
        values = lane_rows(by_neuron, self.lanes, fill=int(by_neuron[0]))
        bits = signed_bits(0, int(values.max()))
        if (values == values[0, 0]).all():
            return [Const(int(values[0, 0]), signed(bits))] * self.lanes
        words = [pack_fields(fields, bits) for fields in values]
        return self._lane_numbers(m, "thresholds", row.delayed(cycle), bits, init=words)

    def _loaded_thresholds(self, m: Module, row: _RowDelay, cycle: int) -> Sequence[Value]:
        """As `_thresholds`, from a loadable memory, or from one register that all neurons share."""
        bits = number_bits(self.spec)
        index = self._memory_index("threshold")
        if isinstance(self.spec.threshold, np.ndarray):
            return self._lane_numbers(m, "thresholds", row.delayed(cycle), bits, load=self.load, memory_index=index)
        shared_threshold = Signal(signed(bits), reset_less=True)
        with m.If(self.load.to[index]):
            m.d.sync += shared_threshold.eq(word_of(self.load, bits))
        return [shared_threshold] * self.lanes

    def _lane_numbers(self, m: Module, name: str, row: Signal, bits: int, **contents: Any) -> Sequence[Value]:
        """One signed number a lane from a memory with a word a row; `contents` as for `lookup_memory`."""
        width = self.lanes * bits
        word = Signal(width, name=f"{name}_word", reset_less=True)
        m.d.sync += word.eq(lookup_memory(m, name, depth=self.rows, width=width, address=row, **contents))
        return [word.word_select(lane, bits).as_signed() for lane in range(self.lanes)]
