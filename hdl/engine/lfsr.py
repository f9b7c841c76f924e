"""The linear word source, `width` bits a cycle. Twin of pysim/model/lfsr.py."""

from amaranth.hdl import Assert, Cat, Const, Format, Module, Mux, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from spikeveil.pysim.model import checks
from spikeveil.pysim.model.lfsr import LENGTH, TAP

MAX_WIDTH = LENGTH - TAP  # beyond, a fresh bit would depend on another of the same cycle


class Lfsr(wiring.Component):
    """The bit sequence of `pysim.Lfsr(seed)`: payload j of `o` is its bits from j*width on, the first one lowest.

    - `start` (one cycle, dominant) loads `seed`, which must stay as it is until `o` is valid or `zero` is high. The
      payload that `o` offered is withdrawn.
    - `o` is valid `load_cycles` + 1 cycles after `start` and offers a payload a cycle from then on. Before the first
      `start`, after reset and while loading it is not valid.
    - `zero`: the seed was 0, of which no sequence comes, so `o` stays not valid; low again with the next `start`.

    `width` is 1 to 64; a payload bit costs one XOR and is a register. The seed is shifted in, `width` bits a cycle.
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
        cycle, loading, some = Signal(range(self.load_cycles)), Signal(), Signal()
        chunk = self._chunk(m, cycle)

        fresh = state[: self.width] ^ state[TAP : TAP + self.width]
        shifted = Cat(state, Mux(loading, chunk, fresh))[self.width :]
        with m.If(self.start):
            m.d.sync += [cycle.eq(0), loading.eq(1), some.eq(0), self.seed_zero.eq(0), self.o.valid.eq(0)]
        with m.Elif(loading):
            m.d.sync += [cycle.eq(cycle + 1), some.eq(some | chunk.any())]
            with m.If(cycle == self.load_cycles - 1):
                m.d.sync += [
                    loading.eq(0),
                    self.o.valid.eq(some | chunk.any()),
                    self.seed_zero.eq(~(some | chunk.any())),
                ]
        with m.If(~self.start & (loading | (self.o.valid & self.o.ready))):
            m.d.sync += state.eq(shifted)

        m.d.comb += self.o.payload.eq(state[: self.width])
        m.d.sync += Assert(~self.o.valid | state.any(), Format("LFSR offers words from a state of zero"))
        return m

    def _chunk(self, m: Module, cycle: Signal) -> Signal:
        """The bits of the seed that enter in each cycle of the load, the last ones last."""
        chunk = Signal(self.width)
        padded = Cat(Const(0, self.load_cycles * self.width - LENGTH), self.seed)
        with m.Switch(cycle):
            for index in range(self.load_cycles):
                with m.Case(index) if index < self.load_cycles - 1 else m.Default():
                    m.d.comb += chunk.eq(padded.word_select(index, self.width))
        return chunk
