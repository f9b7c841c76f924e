"""The sums of one row of neurons: weights from a memory, `lanes` additions a cycle."""

from typing import Any

import numpy as np
from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from numpy.typing import ArrayLike

from spikeveil.hdl.engine import ultraplus
from spikeveil.hdl.engine.memories import BankedMemory, ImageWrite
from spikeveil.hdl.engine.sequencer import Work
from spikeveil.pysim.model.lanes import rows
from spikeveil.pysim.model.spec import LayerSpec


def pack_fields(values: ArrayLike, bits: int) -> int:
    """Integers side by side as `bits`-bit two's complement fields, the first one lowest."""
    return sum((int(value) & ((1 << bits) - 1)) << (bits * place) for place, value in enumerate(np.asarray(values)))


def lane_rows(values: ArrayLike, lanes: int, fill: int = 0) -> np.ndarray[Any, Any]:
    """One value a neuron as (rows, lanes); lanes without a neuron get `fill`."""
    array = np.asarray(values)
    padded = np.full((rows(len(array), lanes) * lanes, *array.shape[1:]), fill, array.dtype)
    padded[: len(array)] = array
    return padded.reshape(-1, lanes, *array.shape[1:])


class Accumulator(wiring.Component):
    """Adds one weight to each of `lanes` sums a cycle, exactly.

    `sums` (lane 0 lowest) holds the row's W x four cycles after the `work` marked last, for one cycle. The weight
    memory (`memories.BankedMemory`) is `lanes * weight_bits` wide and inputs * rows deep. There is no state to reset: a
    row
    starts afresh with its first work. With `load`, the memory starts empty and is written through that port, as
    memory 0; `spec` then only says how wide everything is. `in_spram` as in `BankedMemory`.

    `spaced` promises that a row whose first work is empty has more of it, and no other: on an iCE40 UltraPlus the sums
    of a `in_spram` layer then grow in its multipliers, where they fit.
    """

    work: Any
    sums: Signal
    load: Any

    def __init__(
        self,
        spec: LayerSpec,
        *,
        lanes: int,
        load: ImageWrite | None = None,
        in_spram: bool = False,
        spaced: bool = False,
    ) -> None:
        self.spec, self.lanes, self.bits, self.layout, self.in_spram = (
            spec,
            lanes,
            spec.accumulator_bits,
            load,
            in_spram,
        )
        self.spaced = spaced
        layout = Work(weights=spec.inputs * rows(spec.neurons, lanes))
        super().__init__(
            {"work": In(layout), "sums": Out(lanes * self.bits), **({} if load is None else {"load": In(load)})}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        spec, lanes = self.spec, self.lanes
        m.submodules.weights = weights = BankedMemory(
            depth=spec.inputs * rows(spec.neurons, lanes),
            lanes=lanes,
            bits=spec.weight_bits,
            init=self._rom(),
            load=self.layout,
            in_spram=self.in_spram,
        )
        first, empty = Signal(3), Signal(3)
        m.d.comb += weights.address.eq(self.work.address)
        m.d.sync += [first.eq(Cat(self.work.first, first)), empty.eq(Cat(self.work.empty, empty))]
        if self.layout is not None:
            m.d.comb += weights.load.eq(self.load)
        if self._fits(platform):
            self._multipliers(m, weights.word, first[-1], empty[-1])
            return m
        for lane in range(lanes):
            total = Signal(signed(self.bits), name=f"total_{lane}", reset_less=True)
            weight = weights.word.word_select(lane, spec.weight_bits).as_signed()
            m.d.comb += self.sums.word_select(lane, self.bits).eq(total)
            with m.If(first[-1] & empty[-1]):
                m.d.sync += total.eq(0)
            with m.Elif(~empty[-1]):
                m.d.sync += total.eq(Mux(first[-1], weight, total + weight))
        return m

    def _fits(self, platform: object) -> bool:
        small = self.bits <= ultraplus.ACCUMULATOR_BITS and self.lanes <= 2 * ultraplus.MULTIPLIERS
        return self.in_spram and self.spaced and small and ultraplus.is_ultraplus(platform)

    def _multipliers(self, m: Module, word: Value, first: Value, empty: Value) -> None:
        clear, bits = Signal(), self.spec.weight_bits
        m.d.sync += clear.eq(first & empty)
        for lane in range(0, self.lanes, 2):
            own = [word.word_select(min(each, self.lanes - 1), bits) for each in (lane, lane + 1)]
            sums = Signal(2 * ultraplus.ACCUMULATOR_BITS, name=f"sums_{lane}")
            m.submodules[f"sums_{lane}"] = ultraplus.dual_accumulator(
                (own[0], own[1]), sums, load=first, hold=empty & ~first, clear=clear
            )
            for place, each in enumerate(range(lane, min(lane + 2, self.lanes))):
                total = sums.word_select(place, ultraplus.ACCUMULATOR_BITS)[: self.bits]
                m.d.comb += self.sums.word_select(each, self.bits).eq(total)

    def _rom(self) -> list[int]:
        """The weights as words, row by row, in each row an input after the other."""
        if self.layout is not None:
            return []
        by_rows = lane_rows(self.spec.weights, self.lanes)
        return [pack_fields(column, self.spec.weight_bits) for row in by_rows for column in np.moveaxis(row, 1, 0)]
