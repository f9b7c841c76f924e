"""Linear-feedback shift register that produces `width` bits a cycle. Twin of pysim/model/lfsr.py."""

from amaranth.hdl import Assert, Cat, Const, Format, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from spikeveil.pysim.model import checks
from spikeveil.pysim.model.lfsr import LENGTH, TAP

MAX_WIDTH = LENGTH - TAP  # beyond it a new bit would depend on another of the same cycle


class Lfsr(wiring.Component):
    """Bit sequence of `pysim.model.lfsr.Lfsr(seed)`: b[i + 127] = b[i + 63] XOR b[i].

    | port | width | direction | meaning |
    |---|---|---|---|
    | `seed` | 127 | in | initial state; stable from `start` until `o.valid` or `seed_zero` |
    | `start` | 1 | in | one cycle: loads `seed` and withdraws the payload on `o`; takes precedence |
    | `seed_zero` | 1 | out | the seed is 0, which has no sequence; cleared by the next `start` |
    | `o` | stream, width | out | payload j holds bits j * width onwards, the first in the low bit |

    | parameter | type | meaning |
    |---|---|---|
    | `width` | int, 1 to 64 | bits a cycle, one XOR each |

    Timing: the seed is shifted in, `width` bits a cycle. `o` is valid `load_cycles` + 1 cycles after `start`, and
    from then on one payload a cycle.

    `o` is not valid after reset, before the first `start`, or while the seed is loaded. ValueError for another width.
    """

    seed: Signal
    start: Signal
    seed_zero: Signal
    o: stream.Interface

    def __init__(self, width: int) -> None:
        self.width = checks.integer("LFSR width", width, 1, MAX_WIDTH)
        self.load_cycles = -(-LENGTH // self.width)
        super().__init__(
            {"seed": In(LENGTH), "start": In(1), "seed_zero": Out(1), "o": Out(stream.Signature(self.width))}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        state = Signal(LENGTH)  # bit 0 is the oldest
        cycle = Signal(range(self.load_cycles))
        loading = Signal()
        seed_nonzero = Signal()  # so far
        chunk = self._seed_chunk(m, cycle)
        nonzero = seed_nonzero | chunk.any()

        feedback = state[: self.width] ^ state[TAP : TAP + self.width]
        shifted = Cat(state, Mux(loading, chunk, feedback))[self.width :]
        with m.If(self.start):
            m.d.sync += [cycle.eq(0), loading.eq(1), seed_nonzero.eq(0), self.seed_zero.eq(0), self.o.valid.eq(0)]
        with m.Elif(loading):
            m.d.sync += [cycle.eq(cycle + 1), seed_nonzero.eq(nonzero)]
            with m.If(cycle == self.load_cycles - 1):
                m.d.sync += [loading.eq(0), self.o.valid.eq(nonzero), self.seed_zero.eq(~nonzero)]
        with m.If(~self.start & (loading | (self.o.valid & self.o.ready))):
            m.d.sync += state.eq(shifted)

        m.d.comb += self.o.payload.eq(state[: self.width])
        m.d.sync += Assert(~self.o.valid | state.any(), Format("LFSR output is valid in the all-zero state"))
        return m

    def _seed_chunk(self, m: Module, cycle: Signal) -> Signal:
        """The bits of the seed that enter in this cycle of the load; zeros come before the first one."""
        chunk = Signal(self.width)
        padded = Cat(Const(0, self.load_cycles * self.width - LENGTH), self.seed)
        with m.Switch(cycle):
            for index in range(self.load_cycles):
                with m.Case(index) if index < self.load_cycles - 1 else m.Default():
                    m.d.comb += chunk.eq(padded.word_select(index, self.width))
        return chunk
