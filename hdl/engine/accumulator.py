"""Synaptic accumulation: adds one weight per cycle to the sum of each of `lanes` neurons."""

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
    """Pack integers into one word of `bits`-bit two's complement fields, the first in the least significant bits."""
    return sum((int(value) & ((1 << bits) - 1)) << (bits * index) for index, value in enumerate(np.asarray(values)))


def lane_rows(values: ArrayLike, lanes: int, fill: int = 0) -> np.ndarray[Any, Any]:
    """Reshape per-neuron values to (rows, lanes, ...), padding the last row with `fill`."""
    array = np.asarray(values)
    padded = np.full((rows(len(array), lanes) * lanes, *array.shape[1:]), fill, array.dtype)
    padded[: len(array)] = array
    return padded.reshape(-1, lanes, *array.shape[1:])


class Accumulator(wiring.Component):
    """Adds one weight per cycle to each of `lanes` sums, without rounding or overflow.

    | port | width | direction | meaning |
    |---|---|---|---|
    | `work` | Work | in | weight address and row markers of this cycle |
    | `sums` | lanes * accumulator_bits | out | signed sums of the row, lane 0 in the least significant bits |
    | `load` | ImageWrite | in | writes the weights, enabled by `load.to[0]`; only if a layout is given |

    | parameter | type | meaning |
    |---|---|---|
    | `spec` | LayerSpec | weights and widths; only the widths if the weights are loaded |
    | `lanes` | int | neurons summed in parallel |
    | `load` | ImageWrite or None | layout of the write port; None: the weights are baked in |
    | `in_spram` | bool | keep the weights in single-port RAM, see `BankedMemory` |
    | `multi_cycle_rows` | bool | every row has at least two cycles of work |

    Timing: one work item per cycle. `sums` holds a complete row for one cycle, four cycles after its `work.last`.
    The weight memory has inputs * rows words of lanes * weight_bits bits.

    On an iCE40 UltraPlus with `in_spram` and `multi_cycle_rows`, DSP blocks accumulate the sums if they fit. Clearing a
    DSP accumulator takes one cycle more than loading it, so a row must have at least two cycles.

    Reset has no effect on the sums: each row starts with its `work.first`.
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
        multi_cycle_rows: bool = False,
    ) -> None:
        self.spec, self.lanes, self.bits = spec, lanes, spec.accumulator_bits
        self.load_layout, self.in_spram, self.multi_cycle_rows = load, in_spram, multi_cycle_rows
        self.depth = spec.inputs * rows(spec.neurons, lanes)
        super().__init__(
            {
                "work": In(Work(weights=self.depth)),
                "sums": Out(lanes * self.bits),
                **({} if load is None else {"load": In(load)}),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.weights = weights = BankedMemory(
            depth=self.depth,
            lanes=self.lanes,
            bits=self.spec.weight_bits,
            init=self._weight_words(),
            load=self.load_layout,
            in_spram=self.in_spram,
        )
        # shift registers: the last bit of each is aligned with the weights
        first = Signal(3)
        empty = Signal(3)
        m.d.comb += weights.address.eq(self.work.address)
        m.d.sync += [first.eq(Cat(self.work.first, first)), empty.eq(Cat(self.work.empty, empty))]
        if self.load_layout is not None:
            m.d.comb += weights.load.eq(self.load)
        if self._fits_dsp(platform):
            self._dsp_sums(m, weights.word, first[-1], empty[-1])
        else:
            self._logic_sums(m, weights.word, first[-1], empty[-1])
        return m

    def _logic_sums(self, m: Module, weights: Value, first: Value, empty: Value) -> None:
        """One adder and one register per lane."""
        for lane in range(self.lanes):
            total = Signal(signed(self.bits), name=f"total_{lane}", reset_less=True)
            weight = weights.word_select(lane, self.spec.weight_bits).as_signed()
            m.d.comb += self.sums.word_select(lane, self.bits).eq(total)
            with m.If(first & empty):
                m.d.sync += total.eq(0)
            with m.Elif(~empty):
                m.d.sync += total.eq(Mux(first, weight, total + weight))

    def _fits_dsp(self, platform: object) -> bool:
        """Whether the sums are accumulated in DSP blocks."""
        max_lanes = ultraplus.ACCUMULATORS_PER_DSP * ultraplus.DSP_BLOCKS
        fits = self.bits <= ultraplus.ACCUMULATOR_BITS and self.lanes <= max_lanes
        return self.in_spram and self.multi_cycle_rows and fits and ultraplus.is_ultraplus(platform)

    def _dsp_sums(self, m: Module, weights: Value, first: Value, empty: Value) -> None:
        """Two lanes per DSP block; if the number of lanes is odd, the last one is computed twice."""
        clear = Signal()
        m.d.sync += clear.eq(first & empty)
        for lane in range(0, self.lanes, 2):
            low = weights.word_select(lane, self.spec.weight_bits)
            high = weights.word_select(min(lane + 1, self.lanes - 1), self.spec.weight_bits)
            sums = Signal(2 * ultraplus.ACCUMULATOR_BITS, name=f"sums_{lane}")
            m.submodules[f"sums_{lane}"] = ultraplus.dual_accumulator(
                (low, high), sums, load=first, hold=empty & ~first, clear=clear
            )
            for half in range(min(2, self.lanes - lane)):
                total = sums.word_select(half, ultraplus.ACCUMULATOR_BITS)[: self.bits]
                m.d.comb += self.sums.word_select(lane + half, self.bits).eq(total)

    def _weight_words(self) -> list[int]:
        """Initial contents of the weight memory: for each row of neurons, one word per input."""
        if self.load_layout is not None:
            return []
        weight_rows = lane_rows(self.spec.weights, self.lanes)
        return [pack_fields(column, self.spec.weight_bits) for row in weight_rows for column in np.moveaxis(row, 1, 0)]
