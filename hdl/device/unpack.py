"""Input bytes to rows of spikes. Twin of pysim/device/unpack.py."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, unsigned
from amaranth.lib import enum, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from spikeveil.hdl.engine.memories import NO_RW_CHECK, unchecked_read
from spikeveil.hdl.engine.plan import INPUT_LANES, Plan
from spikeveil.hdl.engine.spikes import SpikeRow, index_bits, memory_depth
from spikeveil.pysim.device.unpack import bitmap_bytes, index_bytes
from spikeveil.pysim.device.wire import BITMAP_COUNT
from spikeveil.pysim.model import checks

MOST_INPUTS = (1 << 16) - 1  # an index has two bytes, and that of all ones names none


class Phase(enum.Enum):
    """What the unpacker does; a step of indices is COUNT, WIPE a row at a time, INDEX, FIND, MARK each, FETCH, SHOW."""

    COUNT = 0
    BITMAP = 1
    WIPE = 2
    INDEX = 3
    FIND = 4
    MARK = 5
    FETCH = 6
    SHOW = 7


class Unpacker(wiring.Component):
    """Steps as the bytes of docs/protocol.md, in format 1 where `tagged` is high and else in format 0, to spike rows.

    While `i` offers and `o` is taken, a row of a bitmap is on `o` one cycle after its last byte, and a step takes as
    many cycles as it has bytes, in format 0 one more; a step of n indices takes n * (index bytes + 2) +
    3 * `plan.i_rows` + 1: a bitmap is wiped, filled, and shown when all indices are in. So the time of a step depends
    on when its bytes came and on n, and not on which inputs spike. `step_end` is set on a step's last row,
    `record_end` never.

    `clear` (one cycle, dominant) and reset drop what is inside; the next byte begins a step. `tagged` must stay as it
    is from then on, and low where the plan is not `tagged`. ValueError where a step has more inputs than an index of
    two bytes can name.
    """

    i: stream.Interface
    o: stream.Interface
    tagged: Signal
    clear: Signal

    def __init__(self, plan: Plan) -> None:
        self.inputs = checks.integer("inputs of a device", plan.spec.inputs, 1, MOST_INPUTS)
        self.any_format = plan.tagged
        self.rows = plan.i_rows
        super().__init__(
            {
                "i": In(stream.Signature(8)),
                "o": Out(stream.Signature(SpikeRow(INPUT_LANES))),
                "tagged": In(1),
                "clear": In(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        phase, place = Signal(Phase), Signal(index_bits(self.rows))
        last, room, low, half = Signal(), Signal(), Signal(8), Signal()  # half: `low` holds the first byte of two
        m.d.comb += [last.eq(place == self.rows - 1), room.eq(self.o.ready | ~self.o.valid)]
        after = Mux(last, 0, place + 1)
        with m.If(room):
            m.d.sync += self.o.valid.eq(0)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += low.eq(self.i.payload)
        with m.Switch(phase):
            with m.Case(Phase.COUNT):
                m.d.comb += self.i.ready.eq(self.tagged)
                with m.If(~self.tagged | (self.i.valid & (self.i.payload == BITMAP_COUNT))):
                    m.d.sync += phase.eq(Phase.BITMAP)
                with m.Elif(self.i.valid):
                    m.d.sync += phase.eq(Phase.WIPE)
            with m.Case(Phase.BITMAP):
                whole = half | (last & (bitmap_bytes(self.inputs) % 2 == 1))
                m.d.comb += self.i.ready.eq(room)
                with m.If(self.i.valid & room):
                    m.d.sync += half.eq(~whole)
                    with m.If(whole):
                        self._show(m, Mux(half, Cat(low, self.i.payload), self.i.payload), last)
                        m.d.sync += [place.eq(after), phase.eq(Mux(last, Phase.COUNT, Phase.BITMAP))]
        if self.any_format:
            self._indices(m, phase, place, after, low, half)
        with m.If(self.clear):
            m.d.sync += [phase.eq(Phase.COUNT), place.eq(0), half.eq(0), self.o.valid.eq(0)]
        return m

    def _show(self, m: Module, bits: Value, last: Value) -> None:
        m.d.sync += [self.o.valid.eq(1), self.o.payload.bits.eq(bits), self.o.payload.step_end.eq(last)]

    def _indices(self, m: Module, phase: Signal, place: Signal, after: Value, low: Signal, half: Signal) -> None:
        """A step of indices, by a bitmap in a memory."""
        memory: Memory = Memory(shape=unsigned(INPUT_LANES), depth=memory_depth(self.rows), init=[], attrs=NO_RW_CHECK)
        m.submodules.bitmap = memory
        write, address = memory.write_port(), Signal.like(place)
        word = unchecked_read(m, memory, address)
        left, index, wide = Signal(8), Signal(16), index_bytes(self.inputs) == 2
        last, named = place == self.rows - 1, index < self.inputs
        m.d.comb += [address.eq(place), write.addr.eq(place)]
        with m.Switch(phase):
            with m.Case(Phase.COUNT):
                m.d.sync += left.eq(self.i.payload)
            with m.Case(Phase.WIPE):
                m.d.comb += write.en.eq(1)
                m.d.sync += place.eq(after)
                with m.If(last):
                    m.d.sync += phase.eq(Mux(left == 0, Phase.FETCH, Phase.INDEX))
            with m.Case(Phase.INDEX):
                m.d.comb += self.i.ready.eq(1)
                with m.If(self.i.valid):
                    m.d.sync += [half.eq(~half & wide), index.eq(Cat(low, self.i.payload) if wide else self.i.payload)]
                    with m.If(half | (not wide)):
                        m.d.sync += [left.eq(left - 1), phase.eq(Phase.FIND)]
            with m.Case(Phase.FIND):
                m.d.comb += address.eq(index >> 4)
                m.d.sync += phase.eq(Phase.MARK)
            with m.Case(Phase.MARK):
                m.d.comb += [write.addr.eq(index >> 4), write.data.eq(word | (1 << index[:4])), write.en.eq(named)]
                m.d.sync += phase.eq(Mux(left == 0, Phase.FETCH, Phase.INDEX))
            with m.Case(Phase.FETCH):
                m.d.sync += phase.eq(Phase.SHOW)
            with m.Case(Phase.SHOW), m.If(self.o.ready | ~self.o.valid):
                self._show(m, word, last)
                m.d.sync += [place.eq(after), phase.eq(Mux(last, Phase.COUNT, Phase.FETCH))]
