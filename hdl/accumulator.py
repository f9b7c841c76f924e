"""The sums of one row of neurons: weights from block RAM, `lanes` additions a cycle."""

from typing import Any

import numpy as np
from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from numpy.typing import ArrayLike

from spikeveil.hdl.memories import Banks, Write, table
from spikeveil.hdl.sequencer import Work
from spikeveil.hdl.spikes import rows
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

    `sums` (lane 0 lowest) holds the row's W x + bias four cycles after the `work` marked last, for one cycle.
    The weight memory (`hdl.memories.Banks`) is `lanes * weight_bits` wide and inputs * rows deep. There is no state to
    reset: a row starts afresh with its first work. With `load`, the memories start empty and are written through
    that port, weights as memory 0, biases as memory 1; `spec` then only says how wide everything is. `huge` as in `Banks`.
    """

    work: Any
    sums: Signal
    load: Any

    def __init__(self, spec: LayerSpec, *, lanes: int, load: Write | None = None, huge: bool = False) -> None:
        self.spec, self.lanes, self.bits, self.layout, self.huge = spec, lanes, sum_bits(spec), load, huge
        self.start_bits = self.bits if load is None else number_bits(spec)
        count = rows(spec.neurons, lanes)
        layout = Work(weights=spec.inputs * count, rows=count)
        super().__init__(
            {"work": In(layout), "sums": Out(lanes * self.bits), **({} if load is None else {"load": In(load)})}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        spec, lanes = self.spec, self.lanes
        m.submodules.weights = weights = Banks(
            depth=spec.inputs * rows(spec.neurons, lanes),
            lanes=lanes,
            bits=spec.weight_bits,
            init=self._rom(),
            load=self.layout,
            huge=self.huge,
        )
        first, word = Signal(3), Signal(len(weights.word), reset_less=True)
        m.d.comb += [weights.address.eq(self.work.address), weights.blank.eq(self.work.empty)]
        m.d.sync += [first.eq(first << 1 | self.work.first), word.eq(weights.word)]
        if self.layout is not None:
            m.d.comb += weights.load.eq(self.load)
        starts = self._biases(m)
        for lane in range(lanes):
            total = self.sums.word_select(lane, self.bits)
            weight = word.word_select(lane, spec.weight_bits).as_signed()
            start = starts.word_select(lane, self.start_bits)
            m.d.sync += total.eq(Mux(first[-1], start.as_signed(), total.as_signed()) + weight)
        return m

    def _rom(self) -> list[int]:
        """The weights as words, row by row, in each row an input after the other."""
        if self.layout is not None:
            return []
        by_rows = by_row(self.spec.weights, self.lanes)
        return [pack(column, self.spec.weight_bits) for row in by_rows for column in np.moveaxis(row, 1, 0)]

    def _biases(self, m: Module) -> Signal:
        """The biases of the row whose weights are about to be added."""
        starts = Signal(self.lanes * self.start_bits, reset_less=True)
        if self.spec.bias is not None:
            row = Signal.like(self.work.row)
            m.d.sync += row.eq(self.work.row)
            lines = by_row(self.spec.bias, self.lanes)
            word = table(
                m,
                "biases",
                depth=rows(self.spec.neurons, self.lanes),
                width=len(starts),
                address=row,
                init=[pack(line, self.start_bits) for line in lines] if self.layout is None else [],
                load=None if self.layout is None else self.load,
                place=1,
            )
            m.d.sync += starts.eq(word)
        return starts
