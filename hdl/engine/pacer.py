"""Fixed cadence of a private core: steps enter and leave at times that do not depend on any spike."""

from typing import Any

from amaranth.hdl import Assert, Cat, Module, Mux, Signal, Value, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from spikeveil.hdl.engine.memories import NO_RW_CHECK, unchecked_read
from spikeveil.hdl.engine.plan import INPUT_LANES, Plan
from spikeveil.hdl.engine.spikes import SpikeRow, index_bits


class Pacer(wiring.Component):
    """Releases each step a fixed number of slots after it was admitted; a slot is `plan.cadence` cycles.

    | port | width | direction | meaning |
    |---|---|---|---|
    | `i` | stream of SpikeRow(INPUT_LANES) | in | input rows from the pins |
    | `layers_i` | stream of SpikeRow(INPUT_LANES) | out | input rows to the first layer |
    | `layers_o` | stream of plan.o_row | in | output rows of the last layer |
    | `o` | stream of plan.o_row | out | output rows to the pins; the payload is 0 while not valid |
    | `open` | 1 | in | one cycle: starts the slots |
    | `late` | 1 | out | a step missed its slot; `o` stays not valid until reset |

    Timing: every slot starts with a tick. At a tick, the next step is admitted to the layers if all its rows have
    arrived, and the step admitted `plan.slots` ticks earlier is released, row by row. A tick is delayed only while rows
    of the previously released step wait at `o`. The layers must finish each step within `plan.slots` slots.

    Guarantee: while `late` is 0, `i.ready` and `o.valid` depend only on `open`, `i.valid` and `o.ready`, and with a
    decision on `record_end` of the input. A step is `plan.i_rows` rows; `step_end` of the input is ignored.

    In a network with a decision only the last step of a record releases anything: one row.

    Reset discards all steps and stops the ticks.
    """

    i: stream.Interface
    o: stream.Interface
    layers_i: stream.Interface
    layers_o: stream.Interface
    open: Signal
    late: Signal

    def __init__(self, plan: Plan) -> None:
        self.i_rows, self.o_rows, self.cadence, self.slots = plan.i_rows, plan.o_rows, plan.cadence, plan.slots
        self.releases_records = plan.spec.decision is not None
        i_row, o_row = SpikeRow(INPUT_LANES), plan.o_row
        super().__init__(
            {
                "i": In(stream.Signature(i_row)),
                "layers_i": Out(stream.Signature(i_row)),
                "layers_o": In(stream.Signature(o_row)),
                "o": Out(stream.Signature(o_row)),
                "open": In(1),
                "late": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        running = Signal()
        tick = Signal()
        slot_remaining = Signal(range(self.cadence))
        with m.If(self.open):
            m.d.sync += running.eq(1)
        banks = self._banks(m)
        bank_full = Signal(2)
        bank_releases = Signal(2)  # with a decision: the step in the bank is the last of its record
        self._fill(m, banks, bank_full, bank_releases)
        releases = self._drain(m, banks, bank_full, bank_releases, tick)
        releasing = self._release(m, tick, releases)
        m.d.comb += tick.eq(running & (slot_remaining == 0) & ~releasing)
        next_remaining = Mux(slot_remaining == 0, 0, slot_remaining - 1)
        m.d.sync += slot_remaining.eq(Mux(tick, self.cadence - 1, next_remaining))
        return m

    def _banks(self, m: Module) -> Memory:
        """Two banks of one step each: one is filled from the pins while the layers read the other."""
        memory: Memory = Memory(
            shape=unsigned(len(self.i.payload.as_value())),
            depth=2 << index_bits(self.i_rows),
            init=[],
            attrs=NO_RW_CHECK,
        )
        m.submodules.banks = memory
        return memory

    def _fill(self, m: Module, banks: Memory, bank_full: Signal, bank_releases: Signal) -> None:
        """Write rows from the pins to the bank `fill_bank`. A full bank is freed only by a tick."""
        write = banks.write_port()
        write_row = Signal(index_bits(self.i_rows))
        fill_bank = Signal()
        last_row = Signal()
        stored = Signal()
        row = Signal.like(self.i.payload)
        m.d.comb += [
            last_row.eq(write_row == self.i_rows - 1),
            row.eq(self.i.payload),
            row.step_end.eq(last_row),
            row.record_end.eq(last_row & self.i.payload.record_end),
            self.i.ready.eq(~bank_full.bit_select(fill_bank, 1)),
            stored.eq(self.i.valid & self.i.ready),
            write.addr.eq(Cat(write_row, fill_bank)),
            write.data.eq(row),
            write.en.eq(self.i.ready),  # a word written while no row is valid is overwritten later
        ]
        with m.If(stored):
            m.d.sync += write_row.eq(write_row + 1)
            with m.If(last_row):
                m.d.sync += [write_row.eq(0), fill_bank.eq(~fill_bank), bank_full.bit_select(fill_bank, 1).eq(1)]
                if self.releases_records:
                    m.d.sync += bank_releases.bit_select(fill_bank, 1).eq(self.i.payload.record_end)

    def _drain(self, m: Module, banks: Memory, bank_full: Signal, bank_releases: Signal, tick: Signal) -> Value:
        """Send the admitted step to the layers; returns whether a step with output is admitted at the next tick."""
        read_row = Signal(range(self.i_rows + 1))
        drain_bank = Signal()
        draining = Signal()
        next_bank = Signal()
        admitted = Signal()
        m.d.comb += [next_bank.eq(drain_bank ^ draining), admitted.eq(bank_full.bit_select(next_bank, 1))]
        with m.If(tick):
            m.d.sync += [drain_bank.eq(next_bank), draining.eq(admitted), read_row.eq(0)]
            with m.If(draining):
                m.d.sync += bank_full.bit_select(drain_bank, 1).eq(0)
        read_request = Signal()
        word_read = Signal()  # one cycle after the request
        word_valid = Signal()  # two cycles after it
        word = Signal(len(self.i.payload.as_value()), reset_less=True)
        m.d.sync += word.eq(unchecked_read(m, banks, Cat(read_row[: index_bits(self.i_rows)], drain_bank)))
        read_busy = word_read | word_valid | self.layers_i.valid
        m.d.comb += read_request.eq(draining & (read_row != self.i_rows) & ~read_busy & ~tick)
        m.d.sync += [word_read.eq(read_request), word_valid.eq(word_read)]
        with m.If(read_request):
            m.d.sync += read_row.eq(read_row + 1)
        with m.If(self.layers_i.ready):
            m.d.sync += self.layers_i.valid.eq(0)
        with m.If(word_valid):
            m.d.sync += [self.layers_i.valid.eq(1), self.layers_i.payload.eq(word)]
        return admitted & bank_releases.bit_select(next_bank, 1) if self.releases_records else admitted

    def _release(self, m: Module, tick: Signal, releases: Value) -> Value:
        """Hold output rows in a queue until the tick of their step; returns whether rows of a released step remain."""
        depth = (self.slots + 1) * self.o_rows
        queue: Any = SyncFIFOBuffered(width=len(self.o.payload.as_value()), depth=depth + 1)
        m.submodules.queue = queue
        queue_ready = Signal(init=1)  # the queue has space, even if a row was written in the previous cycle
        m.d.sync += [queue_ready.eq(queue.level < depth), Assert(~queue_ready | queue.w_rdy, "an output row was lost")]
        steps_in_flight = Signal(self.slots)  # one bit per recent tick: a step with output was admitted
        steps_queued = Signal(range(self.slots + 2))  # complete steps in the queue
        rows_remaining = Signal(range(self.o_rows + 1))  # of the released step
        releasing = Signal()  # rows_remaining is not 0
        step_arrived = Signal()
        step_due = Signal()
        m.d.comb += [
            queue.w_data.eq(self.layers_o.payload),
            queue.w_en.eq(self.layers_o.valid & queue_ready),
            self.layers_o.ready.eq(queue_ready),
            step_arrived.eq(self.layers_o.valid & queue_ready & self.layers_o.payload.step_end),
            step_due.eq(tick & steps_in_flight[-1]),
            self.o.payload.eq(Mux(self.o.valid, queue.r_data, 0)),  # else the arrival time of a row would be visible
            self.o.valid.eq(releasing & queue.r_rdy),
            queue.r_en.eq(releasing & self.o.ready),
        ]
        with m.If(tick):
            m.d.sync += steps_in_flight.eq(Cat(releases, steps_in_flight))
        m.d.sync += steps_queued.eq(steps_queued + step_arrived - (step_due & (steps_queued != 0)))
        with m.If(step_due & (steps_queued == 0)):
            m.d.sync += self.late.eq(1)
        with m.Elif(step_due & ~self.late):
            m.d.sync += [rows_remaining.eq(self.o_rows), releasing.eq(1)]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += [rows_remaining.eq(rows_remaining - 1), releasing.eq(rows_remaining != 1)]
        return releasing
