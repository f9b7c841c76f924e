"""The order of work of a layer: for each row of neurons, every input spike of the step."""

from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, stream, wiring
from amaranth.lib.fifo import SyncFIFO
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from spikeveil.hdl.engine.memories import NO_RW_CHECK, unchecked_read
from spikeveil.hdl.engine.spikes import SpikeEvent, index_bits


class Work(data.StructLayout):
    """One cycle's work: add the weights at `address` to the sums of the row in hand.

    `first` starts the row's sums afresh, `last` completes them, `empty` adds nothing (a step without spikes still
    visits every row once). `fresh`: the first step of a record, so the row's potentials count as zero.
    `step_end` and `record_end` hold for all of the last row of a step, of the last step of a record.
    """

    def __init__(self, *, weights: int) -> None:
        flags = ("valid", "first", "last", "empty", "fresh", "step_end", "record_end")
        super().__init__(
            {
                "address": unsigned(index_bits(weights)),
                **{flag: unsigned(1) for flag in flags},
            }
        )


class Sequencer(wiring.Component):
    """Collects the events of a step, then plays them once for each of `rows` rows of neurons.

    A step of s events takes rows * max(least, s) cycles, then one to start the next and as many idle ones as bring a
    row's visits at least `distance` cycles apart. A row with fewer than `least` events ends with empty work. Meanwhile
    the events of later steps are taken in, up to the buffer's depth. A row starts only in a cycle where `grant` is
    high; `started` tells so in that cycle, and from there to its last event the row never pauses. `last_row`: the row
    that starts, or is under way, is a step's last; `final`: a record's. `o` follows three cycles behind; it has no
    back-pressure.

    `capacity` events of `queued` steps fit inside, which must be at least the most that one step has. Reset drops every
    event and starts a new record.
    """

    i: stream.Interface
    grant: Signal
    started: Signal
    last_row: Signal
    final: Signal
    o: Any

    def __init__(
        self, *, inputs: int, rows: int, capacity: int, distance: int, least: int = 1, queued: int = 4
    ) -> None:
        self.inputs, self.rows, self.capacity = inputs, rows, capacity
        self.distance, self.least, self.queued = distance, least, queued
        super().__init__(
            {
                "i": In(stream.Signature(SpikeEvent(inputs))),
                "grant": In(1),
                "started": Out(1),
                "last_row": Out(1),
                "final": Out(1),
                "o": Out(Work(weights=inputs * rows)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        depth = 1 << index_bits(self.capacity)
        memory: Memory = Memory(shape=unsigned(index_bits(self.inputs)), depth=depth, init=[], attrs=NO_RW_CHECK)
        m.submodules.events = memory
        m.submodules.steps = steps = SyncFIFO(width=1 + depth.bit_length(), depth=self.queued)
        write, place = memory.write_port(), Signal(range(depth))
        event = unchecked_read(m, memory, place)
        freed = self._play(m, steps, place, event)
        self._collect(m, steps, write, freed, depth)
        return m

    def _collect(self, m: Module, steps: SyncFIFO, write: Any, freed: Any, depth: int) -> None:
        """Events into the circular buffer; at the end of a step, its length into the queue of steps."""
        count, used = Signal(range(depth + 1)), Signal(range(depth + 1))
        stored = Signal()
        m.d.comb += [
            write.data.eq(self.i.p.index),
            write.en.eq(stored),
            stored.eq(self.i.valid & self.i.ready & ~self.i.p.step_end),
            self.i.ready.eq(Mux(self.i.p.step_end, steps.w_rdy, used != depth)),
            steps.w_data.eq(count | (self.i.p.record_end << depth.bit_length())),
            steps.w_en.eq(self.i.valid & self.i.p.step_end),
        ]
        m.d.sync += [write.addr.eq(write.addr + stored), used.eq(used + stored - freed)]
        with m.If(steps.w_en & steps.w_rdy):
            m.d.sync += count.eq(0)
        with m.Elif(stored):
            m.d.sync += count.eq(count + 1)

    def _play(self, m: Module, steps: SyncFIFO, place: Signal, event: Signal) -> Signal:
        """The rows of the step in hand; returns whether an event has been played for the last time."""
        count, begin = Signal(steps.width - 1), Signal.like(place)
        left = Signal(max(len(count), (self.least - 1).bit_length()))  # cycles of the row after this one
        active, record_end, inside = Signal(), Signal(), Signal()
        last, single, empty, none = (Signal() for _ in range(4))  # out of registers: left is 0, and so it begins;
        fresh, final_row = Signal(init=1), Signal(init=self.rows == 1)  # this cycle has no event, and the step none
        row = Signal(index_bits(self.rows))
        work: Any = Signal(Work(weights=self.inputs * self.rows))
        issue, step_done = Signal(), Signal()
        freed, last_row = Signal(), self.last_row
        spare = Signal(range(self.least + 1))  # cycles of a row without an event

        m.d.comb += [
            last_row.eq(final_row),
            issue.eq(active & (inside | self.grant)),
            self.started.eq(issue & ~inside),
            self.final.eq(last_row & record_end),
            step_done.eq(issue & last & last_row),
            work.valid.eq(issue),
            work.first.eq(~inside),
            work.last.eq(last),
            work.empty.eq(empty),
            work.fresh.eq(fresh),
            work.step_end.eq(last_row),
            work.record_end.eq(last_row & record_end),
        ]
        m.d.sync += freed.eq(issue & last_row & ~empty)
        longest = self._longest(count)
        with m.If(issue):
            m.d.sync += [left.eq(left - 1), place.eq(place + ~empty), inside.eq(~last)]
            m.d.sync += [last.eq(Mux(last, single, left == 1)), empty.eq(Mux(last, none, spare >= left))]
            with m.If(last):
                m.d.sync += [left.eq(longest), place.eq(begin), row.eq(row + 1), final_row.eq(row == self.rows - 2)]
        with m.If(step_done):
            m.d.sync += [row.eq(0), final_row.eq(self.rows == 1), active.eq(0), fresh.eq(record_end)]
            m.d.sync += [begin.eq(begin + count), place.eq(begin + count)]
        with m.If(self._start(m, steps, active, step_done, count, left, spare, record_end)):
            length = steps.r_data[:-1]
            m.d.sync += [none.eq(length == 0), empty.eq(length == 0)]
            m.d.sync += [part.eq(self._longest(length) == 0) for part in (single, last)]
        self._address(m, event, work)
        return freed

    def _longest(self, count: Value) -> Value:
        """Cycles of a row with `count` events, less one."""
        return Mux(count < self.least, self.least - 1, count - 1)

    def _start(
        self, m: Module, steps: Any, active: Any, step_done: Any, count: Any, left: Any, spare: Any, end: Any
    ) -> Value:
        """Take the next step from the queue, not before its rows' potentials are written. Whether one is taken."""
        idle = max(0, self.distance - self.rows * self.least - 1)
        rested = Signal()
        m.d.comb += [rested.eq(1), steps.r_en.eq(~active & rested)]
        if idle:
            pause = Signal(range(idle + 1))
            m.d.comb += rested.eq(pause == 0)
            m.d.sync += pause.eq(Mux(step_done, idle, Mux(rested, 0, pause - 1)))
        taken = Value.cast(steps.r_en & steps.r_rdy)
        with m.If(taken):
            length = steps.r_data[:-1]
            m.d.sync += [active.eq(1), count.eq(length), end.eq(steps.r_data[-1])]
            m.d.sync += left.eq(self._longest(length))
            if self.least > 1:
                m.d.sync += spare.eq(Mux(length < self.least, self.least - length, 0))
        return taken

    def _address(self, m: Module, event: Signal, work: Any) -> None:
        """Beside the event memory (one cycle), its output register (one) and the row's base added (one)."""
        beside_memory, beside_register = Signal.like(work), Signal.like(work)
        index, base = Signal(index_bits(self.inputs), reset_less=True), Signal.like(work.address)
        m.d.sync += [beside_memory.eq(work), beside_register.eq(beside_memory), index.eq(event)]
        m.d.sync += [self.o.eq(beside_register), self.o.address.eq(base + index)]
        with m.If(beside_register.valid & beside_register.last):
            m.d.sync += base.eq(Mux(beside_register.step_end, 0, base + self.inputs))
