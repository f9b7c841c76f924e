"""The fixed cadence of a private core: steps enter and leave at times that no spike can change."""

from typing import Any

from amaranth.hdl import Assert, Cat, Module, Mux, Signal, Value, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from spikeveil.hdl.engine.memories import NO_RW_CHECK, unchecked_read
from spikeveil.hdl.engine.plan import INPUT_LANES, Plan
from spikeveil.hdl.engine.spikes import SpikeRow


class Pacer(wiring.Component):
    """Stands between the pins (`i`, `o`) and the layers (`layers_i`, `layers_o`), and keeps time in slots of
    `plan.cadence` cycles.

    Every `plan.i_rows` rows are a step, wherever `step_end` stands: a missing or surplus marker moves nothing.

    A slot begins with a tick. At a tick, a step that has arrived whole is let in, and the step that was let in
    `plan.slots` ticks before is let out, all its rows in a row. A tick waits while `o` still holds rows of the step
    before; so what is seen at `i.ready` and at `o` depends on when the pins offered and took rows, and on nothing
    inside; the payload of `o` is zero while it is not valid. The layers must finish every step within `plan.slots`
    slots: one that is late shuts `o` until reset, with `late` high. Ticks begin with `open` (one cycle). Reset drops
    every step.
    """

    i: stream.Interface
    o: stream.Interface
    layers_i: stream.Interface
    layers_o: stream.Interface
    open: Signal
    late: Signal

    def __init__(self, plan: Plan) -> None:
        self.i_rows, self.o_rows, self.cadence, self.slots = plan.i_rows, plan.o_rows, plan.cadence, plan.slots
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
        running, tick = Signal(), Signal()
        left = Signal(range(self.cadence))
        with m.If(self.open):
            m.d.sync += running.eq(1)
        admitted = self._enter(m, tick)
        leaving = self._leave(m, tick, admitted)
        m.d.comb += tick.eq(running & (left == 0) & ~leaving)
        m.d.sync += left.eq(Mux(tick, self.cadence - 1, Mux(left == 0, 0, left - 1)))
        return m

    def _enter(self, m: Module, tick: Signal) -> Signal:
        """Two banks of one step each: one fills from the pins, one empties into the layers, and only ticks free one."""
        place = max(1, (self.i_rows - 1).bit_length())
        memory: Memory = Memory(
            shape=unsigned(len(self.i.payload.as_value())), depth=2 << place, init=[], attrs=NO_RW_CHECK
        )
        m.submodules.banks = memory
        write = memory.write_port()
        filling, emptying, busy = Signal(), Signal(), Signal()  # the bank that fills, that empties, whether one does
        full, next_place, read_place = Signal(2), Signal(place), Signal(range(self.i_rows + 1))
        stored, whole = Signal(), Signal()
        row = Signal.like(self.i.payload)
        m.d.comb += [
            whole.eq(next_place == self.i_rows - 1),
            row.eq(self.i.payload),
            row.step_end.eq(whole),
            row.record_end.eq(whole & self.i.payload.record_end),
            self.i.ready.eq(~full.bit_select(filling, 1)),
            stored.eq(self.i.valid & self.i.ready),
            write.addr.eq(Cat(next_place, filling)),
            write.data.eq(row),
            write.en.eq(self.i.ready),  # also before a row is there: it is written over
        ]
        with m.If(stored):
            m.d.sync += next_place.eq(next_place + 1)
            with m.If(whole):
                m.d.sync += [next_place.eq(0), filling.eq(~filling), full.bit_select(filling, 1).eq(1)]

        admitted, following, read_next = Signal(), Signal(), Signal()
        m.d.comb += [following.eq(emptying ^ busy), admitted.eq(full.bit_select(following, 1))]
        with m.If(tick):
            m.d.sync += [emptying.eq(following), busy.eq(admitted), read_place.eq(0)]
            with m.If(busy):
                m.d.sync += full.bit_select(emptying, 1).eq(0)
        fetched, loaded = Signal(), Signal()
        word = Signal(len(self.i.payload.as_value()), reset_less=True)
        m.d.sync += word.eq(unchecked_read(m, memory, Cat(read_place[:place], emptying)))
        waits = fetched | loaded | self.layers_i.valid
        m.d.comb += read_next.eq(busy & (read_place != self.i_rows) & ~waits & ~tick)
        m.d.sync += [fetched.eq(read_next), loaded.eq(fetched)]
        with m.If(read_next):
            m.d.sync += read_place.eq(read_place + 1)
        with m.If(self.layers_i.ready):
            m.d.sync += self.layers_i.valid.eq(0)
        with m.If(loaded):
            m.d.sync += [self.layers_i.valid.eq(1), self.layers_i.payload.eq(word)]
        return admitted

    def _leave(self, m: Module, tick: Signal, admitted: Signal) -> Value:
        """Rows wait in a queue until the tick of their step; whether the step let out last still has rows there."""
        depth = (self.slots + 1) * self.o_rows
        queue: Any = SyncFIFOBuffered(width=len(self.o.payload.as_value()), depth=depth + 1)
        m.submodules.queue = queue
        room = Signal(init=1)  # for a row, in this cycle, whatever came in the one before
        m.d.sync += [room.eq(queue.level < depth), Assert(~room | queue.w_rdy, "a row of output was lost")]
        under_way, left, some = Signal(self.slots), Signal(range(self.o_rows + 1)), Signal()  # some: left is not 0
        whole = Signal(range(self.slots + 2))  # steps that stand whole in the queue
        arrived, due = Signal(), Signal()
        m.d.comb += [
            queue.w_data.eq(self.layers_o.payload),
            queue.w_en.eq(self.layers_o.valid & room),
            self.layers_o.ready.eq(room),
            arrived.eq(self.layers_o.valid & room & self.layers_o.payload.step_end),
            due.eq(tick & under_way[-1]),
            self.o.payload.eq(Mux(self.o.valid, queue.r_data, 0)),  # a row's arrival here tells when it was computed
            self.o.valid.eq(some & queue.r_rdy),
            queue.r_en.eq(some & self.o.ready),
        ]
        with m.If(tick):
            m.d.sync += under_way.eq(Cat(admitted, under_way))
        m.d.sync += whole.eq(whole + arrived - (due & (whole != 0)))
        with m.If(due & (whole == 0)):
            m.d.sync += self.late.eq(1)
        with m.Elif(due & ~self.late):
            m.d.sync += [left.eq(self.o_rows), some.eq(1)]
        with m.If(self.o.valid & self.o.ready):
            m.d.sync += [left.eq(left - 1), some.eq(left != 1)]
        return some
