"""Input bytes to spike rows. Twin of pysim/device/unpack.py."""

from typing import Any

from amaranth.hdl import Cat, Module, Mux, Signal, Value, unsigned
from amaranth.lib import enum, stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from spikeveil.hdl.engine.memories import NO_RW_CHECK, unchecked_read
from spikeveil.hdl.engine.plan import INPUT_LANES, Plan
from spikeveil.hdl.engine.spikes import SpikeRow, index_bits, memory_depth
from spikeveil.pysim.device.unpack import MAX_INPUTS, bitmap_bytes, fixed_indices, index_bytes, takes_indices
from spikeveil.pysim.device.wire import BITMAP_COUNT, COUNT_BITS, INDEX_BITS
from spikeveil.pysim.model import checks


class _Phase(enum.Enum):
    """States. Indices: START; CLEAR for each row; INDEX, READ and MARK for each index; FETCH and SHOW for each row."""

    START = 0
    BITMAP = 1
    CLEAR = 2
    INDEX = 3
    READ = 4
    MARK = 5
    FETCH = 6
    SHOW = 7


class Unpacker(wiring.Component):
    """Decodes input steps in format 0 or 1 of docs/protocol.md.

    | port | width | direction | meaning |
    |---|---|---|---|
    | `i` | stream, 8 | in | bytes of the steps |
    | `o` | stream, `SpikeRow` | out | rows of the steps; `step_end` on the last of a step, `record_end` never |
    | `tagged` | 1 | in | format 1; stable while steps are decoded, low where there is no format 1 |
    | `clear` | 1 | in | one cycle, dominant: drops the current step |

    Timing, while `i` is valid and `o` is ready:

    - A row of a bitmap follows one cycle after its last byte. A step takes one cycle a byte, in format 0 one more.
    - A step of n indices takes n * (index bytes + 2) + 3 * `plan.i_rows` + 1 cycles: the bitmap memory is cleared,
      filled, and sent when all indices are in. On the private schedule n is the first layer's input cap; without one
      there is no format 1. On the fast schedule n precedes the indices.

    The time of a step depends on when its bytes arrive and on n, and not on which inputs spike. So on the private
    schedule it depends on when its bytes arrive alone.

    Reset is `clear`. ValueError where a step has more inputs than an index of two bytes can name.
    """

    i: stream.Interface
    o: stream.Interface
    tagged: Signal
    clear: Signal

    def __init__(self, plan: Plan) -> None:
        self.inputs = checks.integer("inputs of a device", plan.spec.inputs, 1, MAX_INPUTS)
        private = plan.schedule == "private"
        self.takes_indices = takes_indices(plan.spec, tagged=plan.tagged, private=private)
        self.indices = fixed_indices(plan.spec) if private else 0  # of every step; 0: a count precedes them
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
        phase: Any = Signal(_Phase)
        row_index = Signal(index_bits(self.rows))
        last_row = Signal()
        writable = Signal()
        low_byte = Signal(8)
        half = Signal()  # `low_byte` holds the first of two bytes
        m.d.comb += [last_row.eq(row_index == self.rows - 1), writable.eq(self.o.ready | ~self.o.valid)]
        next_row = Mux(last_row, 0, row_index + 1)
        with m.If(writable):
            m.d.sync += self.o.valid.eq(0)
        with m.If(self.i.valid & self.i.ready):
            m.d.sync += low_byte.eq(self.i.payload)
        with m.Switch(phase):
            with m.Case(_Phase.START):
                is_bitmap: Value = ~self.tagged
                is_indices: Value = self.tagged
                if not self.indices:
                    m.d.comb += self.i.ready.eq(self.tagged)
                    is_bitmap |= self.i.valid & (self.i.payload == BITMAP_COUNT)
                    is_indices &= self.i.valid
                with m.If(is_bitmap):
                    m.d.sync += phase.eq(_Phase.BITMAP)
                with m.Elif(is_indices):
                    m.d.sync += phase.eq(_Phase.CLEAR)
            with m.Case(_Phase.BITMAP):
                row_complete = half | (last_row & (bitmap_bytes(self.inputs) % 2 == 1))
                m.d.comb += self.i.ready.eq(writable)
                with m.If(self.i.valid & writable):
                    m.d.sync += half.eq(~row_complete)
                    with m.If(row_complete):
                        self._show(m, Mux(half, Cat(low_byte, self.i.payload), self.i.payload), last_row)
                        m.d.sync += [row_index.eq(next_row), phase.eq(Mux(last_row, _Phase.START, _Phase.BITMAP))]
        if self.takes_indices:
            self._indices(m, phase, row_index, next_row, low_byte, half)
        with m.If(self.clear):
            m.d.sync += [phase.eq(_Phase.START), row_index.eq(0), half.eq(0), self.o.valid.eq(0)]
        return m

    def _show(self, m: Module, bits: Value, step_end: Value) -> None:
        m.d.sync += [self.o.valid.eq(1), self.o.payload.bits.eq(bits), self.o.payload.step_end.eq(step_end)]

    def _indices(
        self, m: Module, phase: Any, row_index: Signal, next_row: Value, low_byte: Signal, half: Signal
    ) -> None:
        """Collect a step of indices as a bitmap in a memory, and send it."""
        memory: Memory = Memory(shape=unsigned(INPUT_LANES), depth=memory_depth(self.rows), init=[], attrs=NO_RW_CHECK)
        m.submodules.bitmap = memory
        write = memory.write_port()
        read_address = Signal.like(row_index)
        word = unchecked_read(m, memory, read_address)
        remaining = Signal(range(self.indices + 1) if self.indices else COUNT_BITS)  # indices of the step
        index = Signal(INDEX_BITS)
        two_bytes = index_bytes(self.inputs) == 2
        last_row = row_index == self.rows - 1
        in_range = index < self.inputs
        m.d.comb += [read_address.eq(row_index), write.addr.eq(row_index)]
        with m.Switch(phase):
            with m.Case(_Phase.START):
                m.d.sync += remaining.eq(self.indices or self.i.payload)
            with m.Case(_Phase.CLEAR):
                m.d.comb += write.en.eq(1)
                m.d.sync += row_index.eq(next_row)
                with m.If(last_row):
                    m.d.sync += phase.eq(Mux(remaining == 0, _Phase.FETCH, _Phase.INDEX))
            with m.Case(_Phase.INDEX):
                m.d.comb += self.i.ready.eq(1)
                with m.If(self.i.valid):
                    m.d.sync += [
                        half.eq(~half & two_bytes),
                        index.eq(Cat(low_byte, self.i.payload) if two_bytes else self.i.payload),
                    ]
                    with m.If(half | (not two_bytes)):
                        m.d.sync += [remaining.eq(remaining - 1), phase.eq(_Phase.READ)]
            with m.Case(_Phase.READ):
                m.d.comb += read_address.eq(index >> 4)
                m.d.sync += phase.eq(_Phase.MARK)
            with m.Case(_Phase.MARK):
                m.d.comb += [
                    write.addr.eq(index >> 4),
                    write.data.eq(word | (1 << index[:4])),
                    write.en.eq(in_range),
                ]
                m.d.sync += phase.eq(Mux(remaining == 0, _Phase.FETCH, _Phase.INDEX))
            with m.Case(_Phase.FETCH):
                m.d.sync += phase.eq(_Phase.SHOW)
            with m.Case(_Phase.SHOW), m.If(self.o.ready | ~self.o.valid):
                self._show(m, word, last_row)
                m.d.sync += [row_index.eq(next_row), phase.eq(Mux(last_row, _Phase.START, _Phase.FETCH))]
