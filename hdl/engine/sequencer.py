"""Schedules a layer's work: for each row of neurons, one cycle for every input spike of the step."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from spikeveil.hdl.engine.memories import NO_RW_CHECK, unchecked_read
from spikeveil.hdl.engine.spikes import SpikeEvent, index_bits


class Work(data.StructLayout):
    """One cycle of synaptic accumulation: add the weights at `address` to the sums of the current row.

    | field | width | meaning |
    |---|---|---|
    | `address` | index_bits(weights) | word of the weight memory |
    | `valid` | 1 | there is work in this cycle |
    | `first` | 1 | first cycle of a row: the sums start from 0 |
    | `last` | 1 | last cycle of a row: the sums are complete |
    | `empty` | 1 | nothing is added; a step without spikes still visits every row once |
    | `record_start` | 1 | first step of a record: the old potentials count as 0 |
    | `step_end` | 1 | the row is the last of its step |
    | `record_end` | 1 | the row is the last of its record |
    """

    def __init__(self, *, weights: int) -> None:
        flags = ("valid", "first", "last", "empty", "record_start", "step_end", "record_end")
        super().__init__(
            {
                "address": unsigned(index_bits(weights)),
                **{flag: unsigned(1) for flag in flags},
            }
        )


class _StepState:
    """Registers of the step in progress and of its current row."""

    def __init__(self, *, depth: int, rows: int, min_row_cycles: int) -> None:
        self.active = Signal()
        self.events = Signal(depth.bit_length())  # events of the step
        self.first_address = Signal(range(depth))  # of the step's events in the circular buffer
        self.record_end = Signal()  # the step is the last of its record
        self.record_start = Signal(init=1)  # the step is the first of its record
        self.row = Signal(index_bits(rows))
        self.last_row = Signal(init=rows == 1)
        self.in_row = Signal()  # the row has started
        self.remaining = Signal(max(len(self.events), (min_row_cycles - 1).bit_length()))  # cycles of the row
        self.padding = Signal(range(min_row_cycles + 1))  # cycles without an event in each row
        # Conditions registered a cycle ahead, to keep comparisons out of the critical path:
        self.last_cycle = Signal()  # remaining is 0
        self.single_cycle_rows = Signal()  # every row of the step has one cycle
        self.empty_cycle = Signal()  # this cycle has no event
        self.empty_step = Signal()  # no cycle has an event


class Sequencer(wiring.Component):
    """Buffers the events of a step, then replays them once for each of `rows` rows of neurons.

    | port | width | direction | meaning |
    |---|---|---|---|
    | `i` | stream of SpikeEvent(inputs) | in | input spikes, steps in order |
    | `grant` | 1 | in | a row may start in this cycle |
    | `row_started` | 1 | out | a row starts in this cycle |
    | `last_row` | 1 | out | the row that starts, or is in progress, is the last of its step |
    | `record_end` | 1 | out | that row is the last of its record |
    | `o` | Work | out | work for the accumulator; no back-pressure |

    | parameter | type | meaning |
    |---|---|---|
    | `inputs`, `rows` | int | inputs of the layer, rows of neurons |
    | `capacity` | int | events that can be buffered; at least the most that one step has |
    | `queued_steps` | int | steps that can be buffered |
    | `revisit_cycles` | int | least number of cycles between two visits of a row |
    | `min_row_cycles` | int | least number of cycles of a row; rows with fewer events are padded with empty work |

    Timing: a step of s events takes rows * max(min_row_cycles, s) cycles, followed by one idle cycle, or as many as
    keep the visits of a row `revisit_cycles` apart. A row never pauses between its first and its last cycle. `o`
    follows `row_started` by three cycles. Events of later steps are accepted meanwhile, while the buffer has space.

    Reset discards all events and starts a new record.
    """

    i: stream.Interface
    grant: Signal
    row_started: Signal
    last_row: Signal
    record_end: Signal
    o: Any

    def __init__(
        self,
        *,
        inputs: int,
        rows: int,
        capacity: int,
        revisit_cycles: int,
        min_row_cycles: int = 1,
        queued_steps: int = 4,
    ) -> None:
        self.inputs, self.rows, self.depth = inputs, rows, 1 << index_bits(capacity)
        self.revisit_cycles, self.min_row_cycles, self.queued_steps = revisit_cycles, min_row_cycles, queued_steps
        super().__init__(
            {
                "i": In(stream.Signature(SpikeEvent(inputs))),
                "grant": In(1),
                "row_started": Out(1),
                "last_row": Out(1),
                "record_end": Out(1),
                "o": Out(Work(weights=inputs * rows)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        memory: Memory = Memory(shape=unsigned(index_bits(self.inputs)), depth=self.depth, init=[], attrs=NO_RW_CHECK)
        m.submodules.events = memory
        m.submodules.steps = step_queue = SyncFIFO(width=1 + self.depth.bit_length(), depth=self.queued_steps)
        write = memory.write_port()
        read_address = Signal(range(self.depth))
        event = unchecked_read(m, memory, read_address)
        event_freed = self._replay(m, step_queue, read_address, event)
        self._buffer(m, step_queue, write, event_freed)
        return m

    def _buffer(self, m: Module, step_queue: SyncFIFO, write: Any, event_freed: Value) -> None:
        """Write events to the circular buffer and, at the end of a step, their number to the queue of steps."""
        event_count = Signal(range(self.depth + 1))
        fill_level = Signal(range(self.depth + 1))
        stored = Signal()
        m.d.comb += [
            write.data.eq(self.i.p.index),
            write.en.eq(stored),
            stored.eq(self.i.valid & self.i.ready & ~self.i.p.step_end),
            self.i.ready.eq(Mux(self.i.p.step_end, step_queue.w_rdy, fill_level != self.depth)),
            step_queue.w_data.eq(event_count | (self.i.p.record_end << self.depth.bit_length())),
            step_queue.w_en.eq(self.i.valid & self.i.p.step_end),
        ]
        m.d.sync += [write.addr.eq(write.addr + stored), fill_level.eq(fill_level + stored - event_freed)]
        with m.If(step_queue.w_en & step_queue.w_rdy):
            m.d.sync += event_count.eq(0)
        with m.Elif(stored):
            m.d.sync += event_count.eq(event_count + 1)

    def _replay(self, m: Module, step_queue: SyncFIFO, read_address: Signal, event: Signal) -> Signal:
        """Issue the work of each row; returns whether an event was read for the last time."""
        step = _StepState(depth=self.depth, rows=self.rows, min_row_cycles=self.min_row_cycles)
        work: Any = Signal(Work(weights=self.inputs * self.rows))
        issue = Signal()
        step_done = Signal()
        event_freed = Signal()
        m.d.comb += [
            self.last_row.eq(step.last_row),
            issue.eq(step.active & (step.in_row | self.grant)),
            self.row_started.eq(issue & ~step.in_row),
            self.record_end.eq(self.last_row & step.record_end),
            step_done.eq(issue & step.last_cycle & self.last_row),
            work.valid.eq(issue),
            work.first.eq(~step.in_row),
            work.last.eq(step.last_cycle),
            work.empty.eq(step.empty_cycle),
            work.record_start.eq(step.record_start),
            work.step_end.eq(self.last_row),
            work.record_end.eq(self.last_row & step.record_end),
        ]
        m.d.sync += event_freed.eq(issue & self.last_row & ~step.empty_cycle)
        self._advance(m, step, read_address, issue, step_done)
        self._begin_step(m, step_queue, step, step_done)
        self._add_row_base(m, event, work)
        return event_freed

    def _advance(self, m: Module, step: _StepState, read_address: Signal, issue: Signal, step_done: Signal) -> None:
        """Move to the next cycle of the row, to the next row, or past the end of the step."""
        last_index = self._last_cycle_index(step.events)
        with m.If(issue):
            m.d.sync += [
                step.remaining.eq(step.remaining - 1),
                read_address.eq(read_address + ~step.empty_cycle),
                step.in_row.eq(~step.last_cycle),
                step.last_cycle.eq(Mux(step.last_cycle, step.single_cycle_rows, step.remaining == 1)),
                step.empty_cycle.eq(Mux(step.last_cycle, step.empty_step, step.padding >= step.remaining)),
            ]
            with m.If(step.last_cycle):
                m.d.sync += [step.remaining.eq(last_index), read_address.eq(step.first_address)]
                m.d.sync += [step.row.eq(step.row + 1), step.last_row.eq(step.row == self.rows - 2)]
        with m.If(step_done):
            m.d.sync += [step.row.eq(0), step.last_row.eq(self.rows == 1), step.active.eq(0)]
            m.d.sync += step.record_start.eq(step.record_end)
            next_address = step.first_address + step.events
            m.d.sync += [step.first_address.eq(next_address), read_address.eq(next_address)]

    def _last_cycle_index(self, event_count: Value) -> Value:
        """Index of the last cycle of a row, in a step of `event_count` events."""
        return Mux(event_count < self.min_row_cycles, self.min_row_cycles - 1, event_count - 1)

    def _begin_step(self, m: Module, step_queue: SyncFIFO, step: _StepState, step_done: Signal) -> None:
        """Take the next step from the queue, once the potentials of its first row are written."""
        revisit_allowed = Signal()
        m.d.comb += [revisit_allowed.eq(1), step_queue.r_en.eq(~step.active & revisit_allowed)]
        idle_cycles = max(0, self.revisit_cycles - self.rows * self.min_row_cycles - 1)
        if idle_cycles:
            idle_remaining = Signal(range(idle_cycles + 1))
            m.d.comb += revisit_allowed.eq(idle_remaining == 0)
            m.d.sync += idle_remaining.eq(Mux(step_done, idle_cycles, Mux(revisit_allowed, 0, idle_remaining - 1)))
        length = step_queue.r_data[:-1]
        last_index = self._last_cycle_index(length)
        with m.If(step_queue.r_en & step_queue.r_rdy):
            m.d.sync += [step.active.eq(1), step.events.eq(length), step.record_end.eq(step_queue.r_data[-1])]
            m.d.sync += [step.remaining.eq(last_index), step.last_cycle.eq(last_index == 0)]
            m.d.sync += [step.single_cycle_rows.eq(last_index == 0)]
            m.d.sync += [step.empty_step.eq(length == 0), step.empty_cycle.eq(length == 0)]
            if self.min_row_cycles > 1:
                m.d.sync += step.padding.eq(Mux(length < self.min_row_cycles, self.min_row_cycles - length, 0))

    def _add_row_base(self, m: Module, event: Signal, work: Any) -> None:
        """Turn events into weight addresses. The work is delayed beside the event memory and its output register."""
        work_delayed_1 = Signal.like(work)
        work_delayed_2 = Signal.like(work)
        index = Signal(index_bits(self.inputs), reset_less=True)
        row_base = Signal.like(work.address)
        m.d.sync += [work_delayed_1.eq(work), work_delayed_2.eq(work_delayed_1), index.eq(event)]
        m.d.sync += [self.o.eq(work_delayed_2), self.o.address.eq(row_base + index)]
        with m.If(work_delayed_2.valid & work_delayed_2.last):
            m.d.sync += row_base.eq(Mux(work_delayed_2.step_end, 0, row_base + self.inputs))
