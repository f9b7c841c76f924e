"""The released bytes that the host has not confirmed yet, so that they can be sent again."""

from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from spikeveil.hdl.inbox import depth_of

POSITION_BITS = 32


class Outbox(wiring.Component):
    """A ring of `depth` bytes, a power of two, that keeps what came in at `i` until it is confirmed.

    Positions count bytes since `clear`, modulo 2^32: `taken` <= `position` <= `written`. `o` gives the byte at `position`, which
    moves on as bytes are taken there, one in two cycles at most; `unsent` = `written` - `position`.

    - `confirm`: where `claim` lies between `taken` and the highest `position` that was reached, `taken` becomes `claim`,
      and `position` too, if that was behind; else nothing happens. It takes effect a cycle later: hold `claim` so long.
    - `again`: `position` goes back to `taken`. `o` must not be taken from a `confirm` or `again` to the cycle after.
    - `i` waits while `depth` bytes are not confirmed.
    - `clear` (one cycle), like reset, forgets every byte and sets the positions to 0.
    """

    i: stream.Interface
    o: stream.Interface
    clear: Signal
    confirm: Signal
    claim: Signal
    again: Signal
    written: Signal
    position: Signal
    taken: Signal
    unsent: Signal

    def __init__(self, depth: int) -> None:
        self.depth = depth_of("outbox", depth)
        super().__init__(
            {
                "i": In(stream.Signature(8)),
                "o": Out(stream.Signature(8)),
                "clear": In(1),
                "confirm": In(1),
                "claim": In(POSITION_BITS),
                "again": In(1),
                "written": Out(POSITION_BITS),
                "position": Out(POSITION_BITS),
                "taken": Out(POSITION_BITS),
                "unsent": Out(range(depth + 1)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.ring = ring = Memory(shape=unsigned(8), depth=self.depth, init=[])
        write, read = ring.write_port(), ring.read_port()
        bits = len(self.unsent)  # one more than an address has
        reached = Signal(bits)  # the highest position, modulo 2 * depth
        fetched, load, moved = Signal(), Signal(), Signal()
        m.d.comb += [
            self.i.ready.eq((self.written - self.taken)[:bits] != self.depth),
            write.addr.eq(self.written),
            write.data.eq(self.i.payload),
            write.en.eq(self.i.valid & self.i.ready),
            read.addr.eq(self.position),
            self.unsent.eq(self.written - self.position),
            load.eq(fetched & ~self.o.valid),
        ]
        with m.If(write.en):
            m.d.sync += self.written.eq(self.written + 1)
        sent = self.o.valid & self.o.ready
        with m.If(sent):
            m.d.sync += [self.o.valid.eq(0), self.position.eq(self.position + 1)]
            with m.If(self.position[:bits] == reached):
                m.d.sync += reached.eq(reached + 1)
        m.d.sync += fetched.eq((self.unsent != 0) & ~sent & ~moved)
        with m.If(load):
            m.d.sync += [self.o.payload.eq(read.data), self.o.valid.eq(1)]
        self._confirm(m, reached, moved)
        with m.If(moved):
            m.d.sync += [self.o.valid.eq(0)]
        with m.If(self.clear):
            m.d.sync += [self.written.eq(0), self.position.eq(0), self.taken.eq(0), reached.eq(0)]
        return m

    def _confirm(self, m: Module, reached: Signal, moved: Signal) -> None:
        """Positions as the host moves them."""
        bits = len(reached)
        asked, more = Signal(), Signal(POSITION_BITS)
        m.d.sync += [asked.eq(self.confirm), more.eq(self.claim - self.taken)]
        possible = (more >> bits == 0) & (more[:bits] <= (reached - self.taken)[:bits])
        behind = more[:bits] > (self.position - self.taken)[:bits]
        m.d.comb += moved.eq(self.again | self.clear | (asked & possible & behind))
        with m.If(asked & possible):
            m.d.sync += self.taken.eq(self.claim)
            with m.If(behind):
                m.d.sync += self.position.eq(self.claim)
        with m.If(self.again):
            m.d.sync += self.position.eq(self.taken)
