"""Turns random words into rows of flip masks for any number of lanes. Twin of pysim/model/flipper.py."""

from math import gcd

from amaranth.hdl import Cat, Module, Mux, ResetInserter, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from spikeveil.hdl.engine.spikes import index_bits
from spikeveil.pysim.model.flipper import FlipSpec
from spikeveil.pysim.model.lanes import rows

MIN_DEPTH = 16  # rows in the mask queue, unless `depth` is given


class Flipper(wiring.Component):
    """Compares each random word with the flip threshold and packs the results into rows of masks.

    | port | width | direction | meaning |
    |---|---|---|---|
    | `words` | stream, words_per_beat * flip.bits | in | words of the source, the first in the low bits |
    | `masks` | stream, lanes | out | one row of masks: 1 flips the spike of that lane |
    | `flush` | 1 | in | one cycle: discards all words and masks; takes precedence |
    | `row_added` | 1 | out | a row enters the mask queue in this cycle |

    | parameter | type | meaning |
    |---|---|---|
    | `flip` | FlipSpec | flip threshold and word width |
    | `neurons`, `lanes` | int | draws of a step; draws of a row |
    | `words_per_beat` | int | words in one beat of `words` |
    | `depth` | int or None | rows in the mask queue; by default one step or `MIN_DEPTH`, whichever is more |

    Draw j of a step decides neuron j. A step fills ceil(neurons / lanes) rows; the last one may be partly used, and
    the next step starts with a new row.

    Timing: `words_per_beat` draws a cycle until the queue is full. The first row is valid four cycles after its last
    word. `words.ready` is driven by a register.

    After reset or `flush` the next word is draw 0 of a step.
    """

    words: stream.Interface
    masks: stream.Interface
    flush: Signal
    row_added: Signal

    def __init__(
        self, flip: FlipSpec, *, neurons: int, lanes: int, words_per_beat: int, depth: int | None = None
    ) -> None:
        self.flip, self.neurons, self.lanes, self.words_per_beat = flip, neurons, lanes, words_per_beat
        self.depth = max(MIN_DEPTH, rows(neurons, lanes)) if depth is None else depth
        super().__init__(
            {
                "words": In(stream.Signature(words_per_beat * flip.bits)),
                "masks": Out(stream.Signature(lanes)),
                "flush": In(1),
                "row_added": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.queue = queue = ResetInserter(self.flush)(SyncFIFOBuffered(width=self.lanes, depth=self.depth))
        flips_valid = Signal()
        flips = Signal(self.words_per_beat)
        row_ready, flips_taken, row = self._pack(m, flips_valid, flips, queue.w_rdy)
        m.d.comb += [
            queue.w_data.eq(row),
            queue.w_en.eq(row_ready),
            self.row_added.eq(row_ready & queue.w_rdy & ~self.flush),
            self.masks.valid.eq(queue.r_rdy),
            self.masks.payload.eq(queue.r_data),
            queue.r_en.eq(self.masks.ready),
        ]
        self._compare(m, flips_valid, flips, ~flips_valid | flips_taken)
        return m

    def _compare(self, m: Module, flips_valid: Signal, flips: Signal, advance: Value) -> None:
        """Compare words with the threshold, behind a skid buffer that lets `words.ready` come from a register."""
        below_threshold = Signal(self.words_per_beat)
        skid = Signal(self.words_per_beat)
        skid_valid = Signal()
        words = [self.words.payload.word_select(n, self.flip.bits) for n in range(self.words_per_beat)]
        m.d.comb += [
            below_threshold.eq(Cat(word < self.flip.threshold for word in words)),
            self.words.ready.eq(~skid_valid),
        ]
        with m.If(advance):
            m.d.sync += [
                flips_valid.eq(skid_valid | self.words.valid),
                flips.eq(Mux(skid_valid, skid, below_threshold)),
            ]
            m.d.sync += skid_valid.eq(0)
        with m.Elif(self.words.valid & ~skid_valid):
            m.d.sync += [skid.eq(below_threshold), skid_valid.eq(1)]
        with m.If(self.flush):
            m.d.sync += [flips_valid.eq(0), skid_valid.eq(0)]

    def _pack(self, m: Module, flips_valid: Value, flips: Signal, queue_ready: Value) -> tuple[Value, Value, Value]:
        """Collect flips until a row is complete. Returns: the row is ready, the flips are taken, the row.

        Every fill level of the buffer is a multiple of `unit`, which keeps the shifter small.
        """
        row_count = rows(self.neurons, self.lanes)
        last_row_bits = self.neurons - (row_count - 1) * self.lanes
        unit = gcd(self.words_per_beat, gcd(self.lanes, last_row_bits))
        capacity = self.lanes + self.words_per_beat - unit
        highest_fill = capacity - self.words_per_beat  # at which one more beat fits
        pending_mask = Signal(capacity)
        level = Signal(range(capacity // unit + 1))  # units in pending_mask
        row_index = Signal(index_bits(row_count))
        last = Signal()
        ready = Signal()
        beat_taken = Signal()
        remaining_mask = Signal(capacity)  # after the row has left
        remaining_level = Signal.like(level)
        row_level = Mux(last, last_row_bits // unit, self.lanes // unit)
        m.d.comb += [
            last.eq(row_index == row_count - 1),
            ready.eq(level >= row_level),
            remaining_mask.eq(pending_mask),
            remaining_level.eq(level),
            beat_taken.eq(flips_valid & (remaining_level <= highest_fill // unit)),
        ]
        with m.If(ready & queue_ready):
            m.d.comb += remaining_mask.eq(Mux(last, pending_mask >> last_row_bits, pending_mask >> self.lanes))
            m.d.comb += remaining_level.eq(level - row_level)
            m.d.sync += row_index.eq(Mux(last, 0, row_index + 1))
        m.d.sync += [pending_mask.eq(remaining_mask), level.eq(remaining_level)]
        with m.If(beat_taken):
            m.d.sync += level.eq(remaining_level + self.words_per_beat // unit)
            with m.Switch(remaining_level):
                for fill in range(0, highest_fill + 1, unit):
                    with m.Case(fill // unit) if fill + unit <= highest_fill else m.Default():
                        m.d.sync += pending_mask.eq(remaining_mask[:fill] | (flips << fill))
        with m.If(self.flush):
            m.d.sync += [level.eq(0), pending_mask.eq(0), row_index.eq(0)]
        return ready, beat_taken, Mux(last, pending_mask[:last_row_bits], pending_mask[: self.lanes])
