"""The decision of a record: scores, the winning class, its randomised response. Twin of pysim/model/decision.py."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Shape, Signal, Value, signed, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from spikeveil.hdl.engine.memories import NO_RW_CHECK
from spikeveil.hdl.engine.spikes import PotentialRow, SpikeRow, index_bits
from spikeveil.pysim.model.decision import Decision, OneHotDecision, RandomisedDecision, Score

SCORE_LATENCY = 3  # cycles from a record's last row to its winner
MAX_ROTATING_CLASSES = 16  # the scores of more classes are in a memory


class ScoreCounter(wiring.Component):
    """Finds the winning class of each record from the raw rows of the last layer.

    | port | width | direction | meaning |
    |---|---|---|---|
    | `row` | row layout | in | `lanes` spikes of one class, or one potential; classes in order |
    | `row_valid` | 1 | in | `row` is accepted in this cycle |
    | `winner` | index of classes | out | the winning class, while `valid` is high |
    | `valid` | 1 | out | high for one cycle, `SCORE_LATENCY` cycles after a record's last row |

    Spikes are counted over the record, `rows_per_class` rows a class and step. Of potentials (`state_bits` above 0) the
    last step's are compared, or their sum over the steps with `score` "sum". On a tie the lowest class wins.
    Throughput: one row a cycle; the next record may follow at once. Reset begins a record.

    The scores are in a register that rotates by one class after the last row of a class, so the score of the current
    class is always at the same bits and needs no multiplexer. More than `MAX_ROTATING_CLASSES` scores are in a memory.
    """

    row: Any
    row_valid: Signal
    winner: Signal
    valid: Signal

    def __init__(
        self,
        *,
        classes: int,
        lanes: int = 1,
        rows_per_class: int = 1,
        steps: int,
        state_bits: int = 0,
        score: Score = "final",
    ) -> None:
        self.classes, self.rows_per_class = classes, rows_per_class
        self.accumulates = not state_bits or score == "sum"
        if state_bits:
            self.score_shape = signed(state_bits + (steps - 1).bit_length() * self.accumulates)
        else:
            self.score_shape = unsigned((lanes * rows_per_class * steps).bit_length())
        self.readout = state_bits > 0
        row = PotentialRow(1, state_bits) if state_bits else SpikeRow(lanes)
        super().__init__({"row": In(row), "row_valid": In(1), "winner": Out(range(classes)), "valid": Out(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        votes = Signal(self._votes_shape())
        valid = Signal()
        class_end = Signal()
        step_end = Signal()
        record_end = Signal()
        m.d.sync += [
            votes.eq(self.row.bits.as_signed() if self.readout else sum(self.row.bits, start=0)),
            valid.eq(self.row_valid),
            class_end.eq(self._class_end(m)),
            step_end.eq(self.row.step_end),
            record_end.eq(self.row.record_end),
        ]
        total = Signal(self.score_shape)
        total_valid = Signal()  # `total` is a class's score in this step
        total_step_end = Signal()
        total_record_end = Signal()
        m.d.sync += [
            total.eq(self._accumulate(m, votes, valid, class_end, step_end, record_end)),
            total_valid.eq(valid & class_end),
            total_step_end.eq(step_end),
            total_record_end.eq(record_end),
        ]
        self._compare(m, total, total_valid, total_step_end)
        m.d.sync += self.valid.eq(total_valid & total_record_end)
        return m

    def _votes_shape(self) -> Shape:
        if self.readout:
            return signed(len(self.row.bits))
        return unsigned(len(self.row.bits).bit_length())

    def _class_end(self, m: Module) -> Value:
        """Whether `row` is the last of its class in this step."""
        if self.rows_per_class == 1:
            return self.row_valid
        row_in_class = Signal(range(self.rows_per_class))
        last = row_in_class == self.rows_per_class - 1
        with m.If(self.row_valid):
            m.d.sync += row_in_class.eq(Mux(last, 0, row_in_class + 1))
        return last

    def _accumulate(
        self, m: Module, votes: Value, valid: Value, class_end: Value, step_end: Value, record_end: Value
    ) -> Value:
        """The score of the current class, including `votes`."""
        if not self.accumulates:
            return votes
        first_step = Signal(init=1)
        with m.If(valid & step_end):
            m.d.sync += first_step.eq(record_end)
        partial = Signal(self.score_shape)  # of the current class, where it has several rows
        return self._scores(m, partial if self.rows_per_class > 1 else None, votes, valid, class_end, first_step)

    def _scores(
        self, m: Module, partial: Signal | None, votes: Value, valid: Value, class_end: Value, first_step: Value
    ) -> Value:
        """Add `votes` to the score at the head of the bank, which rotates after the last row of a class."""
        width = Shape.cast(self.score_shape).width
        updated = Signal(self.score_shape)
        head = Signal(self.score_shape)
        base = Mux(first_step, 0, head)
        if partial is not None:
            class_start = Signal(init=1)
            with m.If(valid):
                m.d.sync += [class_start.eq(class_end), partial.eq(updated)]
            base = Mux(class_start, base, partial)
        m.d.comb += updated.eq(base + votes)
        class_done = valid & class_end
        if self.classes > MAX_ROTATING_CLASSES:
            self._memory_bank(m, head, updated, class_done)
        else:
            bank = Signal(self.classes * width, reset_less=True)
            m.d.comb += head.eq(bank[:width])
            with m.If(class_done):
                m.d.sync += bank.eq(Cat(bank[width:], updated))
        return updated

    def _memory_bank(self, m: Module, head: Signal, updated: Value, class_done: Value) -> None:
        """The same bank in a memory: the next class's score is read while the one before it is updated."""
        width = len(head)
        memory: Memory = Memory(shape=unsigned(width), depth=self.classes, init=[], attrs=NO_RW_CHECK)
        m.submodules.scores = memory
        write = memory.write_port()
        read = memory.read_port()
        index = Signal(range(self.classes))
        next_index = Signal.like(index)
        m.d.comb += [
            next_index.eq(Mux(index == self.classes - 1, 0, index + 1)),
            read.addr.eq(Mux(class_done, next_index, index)),
            write.addr.eq(index),
            write.data.eq(updated),
            write.en.eq(class_done),
            head.eq(read.data),
        ]
        with m.If(class_done):
            m.d.sync += index.eq(next_index)

    def _compare(self, m: Module, total: Value, total_valid: Value, step_end: Value) -> None:
        """The first of the largest scores of a step; after a record's last step it is the record's winner."""
        index = Signal(range(self.classes))  # the class whose score `total` is
        best = Signal(self.score_shape, reset_less=True)
        with m.If(total_valid):
            m.d.sync += index.eq(Mux(step_end, 0, index + 1))
            with m.If((index == 0) | (total > best)):
                m.d.sync += [best.eq(total), self.winner.eq(index)]


class WordCollector(wiring.Component):
    """Assembles words of `bits` bits from beats of `beat_bits`, the lowest bits first.

    | port | width | direction | meaning |
    |---|---|---|---|
    | `beats` | beat_bits | in stream | `bits / beat_bits` beats make one word |
    | `word` | bits | out | the word, while `full` is high |
    | `full` | 1 | out | the word is complete; high until `clear` |
    | `replace` | 1 | in | replaces the word by `value` |
    | `value` | bits | in | the new word |
    | `clear` | 1 | in | discards the word, or a part of one; takes precedence |

    `full` rises in the cycle after the word's last beat. Reset discards all beats.
    """

    beats: stream.Interface
    word: Signal
    full: Signal
    replace: Signal
    value: Signal
    clear: Signal

    def __init__(self, bits: int, beat_bits: int) -> None:
        if bits % beat_bits:
            raise ValueError(f"word beat_bits must divide the {bits} bits of a word, not be {beat_bits}")
        self.beats_per_word = bits // beat_bits
        super().__init__(
            {
                "beats": In(stream.Signature(beat_bits)),
                "word": Out(bits),
                "full": Out(1),
                "replace": In(1),
                "value": In(bits),
                "clear": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        beat = Signal(index_bits(self.beats_per_word))
        accepted = Signal()
        m.d.comb += [self.beats.ready.eq(~self.full), accepted.eq(self.beats.valid & self.beats.ready)]
        with m.If(accepted):
            m.d.sync += [
                self.word.eq(Cat(self.word, self.beats.payload)[len(self.beats.payload) :]),
                beat.eq(Mux(beat == self.beats_per_word - 1, 0, beat + 1)),
                self.full.eq(beat == self.beats_per_word - 1),
            ]
        with m.Elif(self.replace):
            m.d.sync += self.word.eq(self.value)
        with m.If(self.clear):
            m.d.sync += [beat.eq(0), self.full.eq(0)]
        return m


class Response(wiring.Component):
    """Randomises the winner of a record, as `RandomisedDecision.release` does.

    | port | width | direction | meaning |
    |---|---|---|---|
    | `winner` | index of classes | in | the winning class, in the cycle in which `start` is high |
    | `start` | 1 | in | begins a response; only while `busy` is low |
    | `busy` | 1 | out | from `start` until `o` is accepted |
    | `words` | beat_bits | in stream | the record's words, in beats as for `WordCollector` |
    | `o` | output bits | out stream | the released class number, or the released one-hot word |
    | `flush` | 1 | in | discards the collected words; only while `busy` is low |

    `o` is valid a fixed number of cycles after the later of `start` and the record's first word: `classes` + 1 for a
    k-ary response, independent of winner and word; for a one-hot response until its remaining words have arrived. Its
    payload is zero while it is not valid. Reset discards the response and all words.
    """

    winner: Signal
    start: Signal
    busy: Signal
    words: stream.Interface
    o: stream.Interface
    flush: Signal

    def __init__(self, decision: RandomisedDecision, *, beat_bits: int) -> None:
        self.decision, self.beat_bits = decision, beat_bits
        super().__init__(
            {
                "winner": In(range(decision.classes)),
                "start": In(1),
                "busy": Out(1),
                "words": In(stream.Signature(beat_bits)),
                "o": Out(stream.Signature(decision.output_neurons * decision.output_bits)),
                "flush": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.collector = collector = WordCollector(self.decision.bits, self.beat_bits)
        m.d.comb += [  # words after the record's last one belong to the next record
            collector.beats.payload.eq(self.words.payload),
            collector.beats.valid.eq(self.words.valid & ~self.o.valid),
            self.words.ready.eq(collector.beats.ready & ~self.o.valid),
        ]
        winner = Signal.like(self.winner, reset_less=True)
        working = Signal()  # the response to a winner is being computed
        sent = Signal()
        m.d.comb += sent.eq(self.o.valid & self.o.ready)
        with m.If(self.start):
            m.d.sync += [winner.eq(self.winner), self.busy.eq(1), working.eq(1)]
        with m.If(sent):
            m.d.sync += [self.busy.eq(0), self.o.valid.eq(0)]
        advance = Signal()
        m.d.comb += advance.eq(working & collector.full)
        if isinstance(self.decision, OneHotDecision):
            done, released = self._one_hot(m, self.decision, collector, winner, advance)
        elif isinstance(self.decision, Decision):
            done, released = self._kary(m, self.decision, collector, winner, advance, sent)
        else:
            raise ValueError(f"decision must be a Decision or a OneHotDecision, not {self.decision!r}")
        with m.If(done):
            m.d.sync += [working.eq(0), self.o.valid.eq(1)]
        m.d.comb += self.o.payload.eq(Mux(self.o.valid, released, 0))
        return m

    def _kary(
        self, m: Module, decision: Decision, collector: WordCollector, winner: Value, advance: Value, sent: Value
    ) -> tuple[Value, Value]:
        """Divide the word by q: `classes` - 1 trial subtractions, a cycle each. The quotient selects the class."""
        others = decision.classes - 1
        difference = Signal(signed(decision.bits + 1))
        cycle = Signal(index_bits(others))
        quotient = Signal(range(others + 1))  # min(floor(word / q), classes - 1)
        m.d.comb += [
            difference.eq(collector.word - decision.q),
            collector.value.eq(difference),
            collector.replace.eq(advance & ~difference[-1]),
            collector.clear.eq(sent | self.flush),
        ]
        with m.If(advance):
            m.d.sync += [cycle.eq(Mux(cycle == others - 1, 0, cycle + 1)), quotient.eq(quotient + ~difference[-1])]
        with m.If(sent):
            m.d.sync += quotient.eq(0)
        other_class = quotient + (quotient >= winner)  # of all classes but the winner, in ascending order
        return advance & (cycle == others - 1), Mux(quotient == others, winner, other_class)

    def _one_hot(
        self, m: Module, decision: OneHotDecision, collector: WordCollector, winner: Value, advance: Value
    ) -> tuple[Value, Value]:
        """Compare one word for each class with its threshold: k1 for the winner, k0 for the others."""
        index = Signal(index_bits(decision.classes))
        released = Signal(decision.classes)
        below = Signal()
        m.d.comb += [
            below.eq(collector.word < Mux(index == winner, decision.k1, decision.k0)),
            collector.clear.eq(advance | self.flush),
        ]
        last = index == decision.classes - 1
        with m.If(advance):
            m.d.sync += [released.eq(Cat(released, below)[1:]), index.eq(Mux(last, 0, index + 1))]
        return advance & last, released


class Decider(wiring.Component):
    """Turns the last layer's rows of a record into one randomised decision.

    | port | width | direction | meaning |
    |---|---|---|---|
    | `i` | row layout | in stream | the last layer's raw rows, each of one class, classes in order |
    | `o` | a `SpikeRow` | out stream | one row a record: the decision, marked as a step's and record's end |
    | `words` | beat_bits | in stream | the word source of this decision |
    | `next_record` | 1 | out | one cycle: the words of a record are used up |
    | `flush` | 1 | in | discards the collected words; only while no row is in progress |

    Rows of the next record are accepted while a decision is made; its last row waits until the previous decision was
    accepted at `o`. No state is carried from one record to the next. Reset discards all rows and begins a record.
    """

    i: stream.Interface
    o: stream.Interface
    words: stream.Interface
    next_record: Signal
    flush: Signal

    def __init__(self, decision: RandomisedDecision, counter: ScoreCounter, *, beat_bits: int) -> None:
        self.decision, self.counter, self.beat_bits = decision, counter, beat_bits
        super().__init__(
            {
                "i": In(stream.Signature(counter.row.shape())),
                "o": Out(stream.Signature(SpikeRow(decision.output_neurons * decision.output_bits))),
                "words": In(stream.Signature(beat_bits)),
                "next_record": Out(1),
                "flush": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.counter = counter = self.counter
        m.submodules.response = response = Response(self.decision, beat_bits=self.beat_bits)
        wiring.connect(m, wiring.flipped(self.words), response.words)
        deciding = Signal()  # a record's last row was taken, and its decision has not left
        accepted = Signal()
        m.d.comb += [
            self.i.ready.eq(~(deciding & self.i.payload.record_end)),
            accepted.eq(self.i.valid & self.i.ready),
            counter.row.eq(self.i.payload),
            counter.row_valid.eq(accepted),
            response.winner.eq(counter.winner),
            response.start.eq(counter.valid),
            response.flush.eq(self.flush),
            self.o.valid.eq(response.o.valid),
            self.o.payload.bits.eq(response.o.payload),
            self.o.payload.step_end.eq(response.o.valid),
            self.o.payload.record_end.eq(response.o.valid),
            response.o.ready.eq(self.o.ready),
            self.next_record.eq(response.o.valid & self.o.ready),
        ]
        with m.If(accepted & self.i.payload.record_end):
            m.d.sync += deciding.eq(1)
        with m.Elif(self.next_record):
            m.d.sync += deciding.eq(0)
        return m
