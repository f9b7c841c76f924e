"""Rows of flip masks from a word stream, lane by lane whatever the lane count. Twin of pysim/model/flipper.py."""

from math import gcd

from amaranth.hdl import Cat, Module, Mux, ResetInserter, Signal, Value
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out

from spikeveil.hdl.engine.spikes import index_bits
from spikeveil.pysim.model.flipper import FlipSpec
from spikeveil.pysim.model.lanes import rows

MIN_DEPTH = 16  # rows of masks kept ready


class Flipper(wiring.Component):
    """Compares the words of `words` with the flip threshold and lines up the results as rows of masks.

    A beat of `words` is `words_per_beat` words of `flip.bits` bits, the first one lowest; word j decides draw j, and a
    step
    of `neurons` draws fills ceil(neurons / lanes) rows, the last one partly. Masks are made ahead, up to one step or 16
    rows (or `ahead` rows), at `words_per_beat` draws a cycle; the first row is ready four cycles after its last word.
    Words
    that `flush` (one cycle, dominant) or reset finds inside are lost, and the next word is draw 0 of a step. `added` is
    high for each row that enters the queue behind `masks`.
    """

    words: stream.Interface
    masks: stream.Interface
    flush: Signal
    row_added: Signal

    def __init__(
        self, flip: FlipSpec, *, neurons: int, lanes: int, words_per_beat: int, ahead: int | None = None
    ) -> None:
        self.flip, self.neurons, self.lanes, self.words_per_beat = flip, neurons, lanes, words_per_beat
        self.depth = max(MIN_DEPTH, rows(neurons, lanes)) if ahead is None else ahead
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
        decided, decisions = Signal(), Signal(self.words_per_beat)
        row_ready, taken, row = self._gather(m, decided, decisions, queue.w_rdy)
        m.d.comb += [
            queue.w_data.eq(row),
            queue.w_en.eq(row_ready),
            self.row_added.eq(row_ready & queue.w_rdy & ~self.flush),
            self.masks.valid.eq(queue.r_rdy),
            self.masks.payload.eq(queue.r_data),
            queue.r_en.eq(self.masks.ready),
        ]
        self._decide(m, decided, decisions, ~decided | taken)
        return m

    def _decide(self, m: Module, decided: Signal, decisions: Signal, goes: Value) -> None:
        """Compare; what cannot go on waits aside, so that `words.ready` comes out of a register."""
        bits, now, aside, waiting = self.flip.bits, Signal(self.words_per_beat), Signal(self.words_per_beat), Signal()
        words = [self.words.payload.word_select(n, bits) for n in range(self.words_per_beat)]
        m.d.comb += [now.eq(Cat(word < self.flip.threshold for word in words)), self.words.ready.eq(~waiting)]
        with m.If(goes):
            m.d.sync += [decided.eq(waiting | self.words.valid), decisions.eq(Mux(waiting, aside, now)), waiting.eq(0)]
        with m.Elif(self.words.valid & ~waiting):
            m.d.sync += [aside.eq(now), waiting.eq(1)]
        with m.If(self.flush):
            m.d.sync += [decided.eq(0), waiting.eq(0)]

    def _gather(self, m: Module, decided: Value, decisions: Value, room: Value) -> tuple[Value, Value, Value]:
        """Collect decisions until a row is full: (row is ready, decisions were taken, the row)."""
        count = rows(self.neurons, self.lanes)
        in_last_row = self.neurons - (count - 1) * self.lanes
        unit = gcd(self.words_per_beat, gcd(self.lanes, in_last_row))  # every fill level is a multiple of it
        most = self.lanes + self.words_per_beat - unit
        held, level = Signal(most), Signal(range(most // unit + 1))
        place = Signal(index_bits(count))
        last, ready, taken = Signal(), Signal(), Signal()
        need = Mux(last, in_last_row // unit, self.lanes // unit)
        leaves = ready & room
        m.d.comb += [
            last.eq(place == count - 1),
            ready.eq(level >= need),
        ]
        kept, kept_level = Signal(most), Signal.like(level)
        m.d.comb += [
            kept.eq(held),
            kept_level.eq(level),
            taken.eq(decided & (kept_level <= (most - self.words_per_beat) // unit)),
        ]
        with m.If(leaves):
            m.d.comb += kept.eq(Mux(last, held >> in_last_row, held >> self.lanes))
            m.d.comb += kept_level.eq(level - need)
            m.d.sync += place.eq(Mux(last, 0, place + 1))
        m.d.sync += [held.eq(kept), level.eq(kept_level)]
        with m.If(taken):
            m.d.sync += level.eq(kept_level + self.words_per_beat // unit)
            with m.Switch(kept_level):
                for filled in range(0, most - self.words_per_beat + 1, unit):
                    with m.Case(filled // unit) if filled + unit <= most - self.words_per_beat else m.Default():
                        m.d.sync += held.eq(kept[:filled] | (decisions << filled))
        with m.If(self.flush):
            m.d.sync += [level.eq(0), held.eq(0), place.eq(0)]
        row = Mux(last, held[:in_last_row], held[: self.lanes])
        return ready, taken, row
