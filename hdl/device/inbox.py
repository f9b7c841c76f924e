"""The input bytes that were taken from the host and wait to be unpacked."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from spikeveil.hdl.device.block_ram import Store
from spikeveil.pysim.model import checks

LEAST, MOST = 2, 1 << 15  # bytes


def depth_of(field: str, depth: int) -> int:
    """`depth` as the bytes of a ring. ValueError where it is not a power of two from `LEAST` to `MOST`."""
    checks.integer(field, depth, LEAST, MOST)
    if depth & (depth - 1):
        raise ValueError(f"{field} must be a power of two, not {depth}")
    return depth


class Inbox(wiring.Component):
    """A queue of `depth` bytes, a power of two; `room` says how many more fitted in the cycle before.

    `i` takes a byte a cycle while there is room, `o` gives one in three cycles at most, the first four cycles after it
    came. `clear` (one cycle), like reset, drops everything.
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
                "room": Out(range(depth + 1)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.ring = ring = Store(width=8, depth=self.depth)
        written, fetches = (Signal(self.depth.bit_length()) for _ in range(2))  # one bit more than an address
        fetched, held, load = Signal(), Signal(), Signal()  # held: the ring shows the byte at `fetches`
        m.d.comb += [
            self.i.ready.eq((written ^ fetches) != self.depth),
            ring.write_data.eq(self.i.payload),
            ring.write.eq(self.i.ready),  # also before a byte is there: nobody looks at `written`
            load.eq(held & ~self.o.valid),
        ]
        m.d.comb += [
            ring.write_address.eq(written),
            ring.read_address.eq(fetches),
        ]
        room = Signal.like(self.room, init=self.depth)
        m.d.comb += self.room.eq(room)
        m.d.sync += room.eq((fetches - written)[: len(written)] ^ self.depth)  # modulo twice the depth: a sum
        m.d.sync += [written.eq(written + (self.i.valid & self.i.ready)), fetches.eq(fetches + load)]
        m.d.sync += [fetched.eq((written != fetches) & ~load), held.eq(fetched & ~load)]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(load):
            m.d.sync += [self.o.payload.eq(ring.read_data), self.o.valid.eq(1)]
        with m.If(self.clear):
            m.d.sync += [count.eq(0) for count in (written, fetches, fetched, held, self.o.valid)]
            m.d.sync += room.eq(self.depth)
        return m
