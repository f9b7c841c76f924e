"""The sums of one row of neurons: weights from block RAM, `lanes` additions a cycle."""

from typing import Any

import numpy as np
from amaranth.hdl import Module, Mux, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out
from numpy.typing import ArrayLike

from spikeveil.hdl.sequencer import Work
from spikeveil.hdl.spikes import Write, fill, memory_depth, rows
from spikeveil.pysim.image import number_bits
from spikeveil.pysim.spec import LayerSpec, signed_bits


def pack(values: ArrayLike, bits: int) -> int:
    """Integers side by side as `bits`-bit two's complement fields, the first one lowest."""
    return sum((int(value) & ((1 << bits) - 1)) << (bits * place) for place, value in enumerate(np.asarray(values)))


def by_row(values: ArrayLike, lanes: int, fill: int = 0) -> np.ndarray[Any, Any]:
    """One value a neuron as (rows, lanes); lanes without a neuron get `fill`."""
    array = np.asarray(values)
    padded = np.full((rows(len(array), lanes) * lanes, *array.shape[1:]), fill, array.dtype)
    padded[: len(array)] = array
    return padded.reshape(-1, lanes, *array.shape[1:])


def sum_bits(spec: LayerSpec) -> int:
    """Width of W x + bias, exact in every order of addition."""
    low, high = spec.current_range
    if spec.bias is not None:
        low, high = low + min(0, int(spec.bias.min())), high + max(0, int(spec.bias.max()))
    return signed_bits(low, high)


class Accumulator(wiring.Component):
    """Adds one weight to each of `lanes` sums a cycle, exactly; a row's sums start at its biases.

    `sums` (lane 0 lowest) holds the row's W x + bias three cycles after the `work` marked last, for one cycle.
    The weight memory is `lanes * weight_bits` wide and inputs * rows deep, its output registered. It has no state
    to reset: a row starts afresh with its first work. With `load`, the memories start empty and are written through
    that port, weights as memory 0, biases as memory 1; `spec` then only says how wide everything is.
    """

    work: Any
    sums: Signal
    load: Any

    def __init__(self, spec: LayerSpec, *, lanes: int, load: Write | None = None) -> None:
        self.spec, self.lanes, self.bits, self.loadable = spec, lanes, sum_bits(spec), load is not None
        self.start_bits = self.bits if load is None else number_bits(spec)
        count = rows(spec.neurons, lanes)
        layout = Work(weights=spec.inputs * count, rows=count)
        super().__init__(
            {"work": In(layout), "sums": Out(lanes * self.bits), **({} if load is None else {"load": In(load)})}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        spec, lanes = self.spec, self.lanes
        columns = (column for row in by_row(spec.weights, lanes) for column in np.moveaxis(row, 1, 0))
        memory: Memory = Memory(
            shape=unsigned(lanes * spec.weight_bits),
            depth=memory_depth(spec.inputs * rows(spec.neurons, lanes)),
            init=[] if self.loadable else [pack(column, spec.weight_bits) for column in columns],
            attrs={"ram_style": "block"},
        )
        m.submodules.weights = memory
        if self.loadable:
            fill(m, memory, self.load, 0)
        read = memory.read_port()
        weights, first, empty = Signal(lanes * spec.weight_bits), Signal(2), Signal()
        m.d.comb += read.addr.eq(self.work.address)
        m.d.sync += [first.eq(first << 1 | self.work.first), empty.eq(self.work.empty), weights.eq(read.data)]
        with m.If(empty):
            m.d.sync += weights.eq(0)
        starts = self._biases(m)
        for lane in range(lanes):
            total = self.sums.word_select(lane, self.bits)
            weight = weights.word_select(lane, spec.weight_bits).as_signed()
            start = starts.word_select(lane, self.start_bits)
            m.d.sync += total.eq(Mux(first[1], start.as_signed(), total.as_signed()) + weight)
        return m

    def _biases(self, m: Module) -> Signal:
        """The biases of the row whose weights are in the output register."""
        starts = Signal(self.lanes * self.start_bits)
        if self.spec.bias is not None:
            bits = self.start_bits
            rom = [] if self.loadable else [pack(row, bits) for row in by_row(self.spec.bias, self.lanes)]
            depth = memory_depth(rows(self.spec.neurons, self.lanes))
            memory: Memory = Memory(shape=starts.shape(), depth=depth, init=rom)
            m.submodules.biases = memory
            read = memory.read_port()
            m.d.comb += read.addr.eq(self.work.row)
            m.d.sync += starts.eq(read.data)
            if self.loadable:
                fill(m, memory, self.load, 1)
        return starts
