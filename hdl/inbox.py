"""The input bytes that were taken from the host and wait to be unpacked."""

from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import stream, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from spikeveil.pysim import checks

LEAST, MOST = 2, 1 << 15  # bytes


def depth_of(field: str, depth: int) -> int:
    """`depth` as the bytes of a ring. ValueError where it is not a power of two from `LEAST` to `MOST`."""
    checks.integer(field, depth, LEAST, MOST)
    if depth & (depth - 1):
        raise ValueError(f"{field} must be a power of two, not {depth}")
    return depth


class Inbox(wiring.Component):
    """A queue of `depth` bytes, a power of two; `room` says how many more fit.

    `i` takes a byte a cycle while there is room, `o` gives one in two cycles at most, the first two cycles after it came.
    `clear` (one cycle), like reset, drops everything.
    """

    i: stream.Interface
    o: stream.Interface
    clear: Signal
    room: Signal

    def __init__(self, depth: int) -> None:
        self.depth = depth_of("window", depth)
        super().__init__(
            {
                "i": In(stream.Signature(8)),
                "o": Out(stream.Signature(8)),
                "clear": In(1),
                "room": Out(range(depth + 1), init=depth),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.ring = ring = Memory(shape=unsigned(8), depth=self.depth, init=[])
        write, read = ring.write_port(), ring.read_port()
        fetched, load = Signal(), Signal()
        m.d.comb += [
            self.i.ready.eq(self.room != 0),
            write.data.eq(self.i.payload),
            write.en.eq(self.i.valid & self.i.ready),
            load.eq(fetched & ~self.o.valid),
        ]
        m.d.sync += [write.addr.eq(write.addr + write.en), read.addr.eq(read.addr + load)]
        m.d.sync += [fetched.eq((self.room != self.depth) & ~load), self.room.eq(self.room - write.en + load)]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(load):
            m.d.sync += [self.o.payload.eq(read.data), self.o.valid.eq(1)]
        with m.If(self.clear):
            m.d.sync += [write.addr.eq(0), read.addr.eq(0), self.room.eq(self.depth)]
            m.d.sync += [fetched.eq(0), self.o.valid.eq(0)]
        return m
