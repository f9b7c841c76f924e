"""The queue of input bytes between host and unpacker."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from spikeveil.hdl.device.block_ram import BlockRam
from spikeveil.pysim.model import checks

MIN_DEPTH = 2
MAX_DEPTH = 1 << 15


def check_depth(field: str, depth: int) -> int:
    """`depth` in bytes; ValueError where it is not a power of two from `MIN_DEPTH` to `MAX_DEPTH`."""
    checks.integer(field, depth, MIN_DEPTH, MAX_DEPTH)
    if depth & (depth - 1):
        raise ValueError(f"{field} must be a power of two, not {depth}")
    return depth


class Inbox(wiring.Component):
    """FIFO of `depth` bytes, a power of two, in block RAM.

    | port | width | direction | meaning |
    |---|---|---|---|
    | `i` | stream, 8 | in | bytes in |
    | `o` | stream, 8 | out | bytes out |
    | `clear` | 1 | in | one cycle: drops every byte |
    | `free` | depth + 1 values | out | free bytes, one cycle before |

    Timing: `i` takes a byte a cycle while there is room; `o` gives one in at most three cycles, the first four cycles
    after it was written. Reset is `clear`. ValueError where `depth` is not one that `check_depth` allows.
    """

    i: stream.Interface
    o: stream.Interface
    clear: Signal
    free: Signal

    def __init__(self, depth: int) -> None:
        self.depth = check_depth("window", depth)
        super().__init__(
            {
                "i": In(stream.Signature(8)),
                "o": Out(stream.Signature(8)),
                "clear": In(1),
                "free": Out(range(depth + 1)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.ring = ring = BlockRam(width=8, depth=self.depth)
        index_shape = self.depth.bit_length()  # one bit more than an address, so that a full ring is not an empty one
        write_index = Signal(index_shape)
        read_index = Signal(index_shape)
        fetching = Signal()
        fetched = Signal()  # the ring shows the byte at `read_index`
        load = Signal()
        free_bytes = Signal.like(self.free, init=self.depth)
        m.d.comb += [
            self.i.ready.eq((write_index ^ read_index) != self.depth),
            ring.write_data.eq(self.i.payload),
            ring.write.eq(self.i.ready),  # a write without a byte is harmless: nothing reads at `write_index`
            ring.write_address.eq(write_index),
            ring.read_address.eq(read_index),
            load.eq(fetched & ~self.o.valid),
            self.free.eq(free_bytes),
        ]
        m.d.sync += [
            # modulo twice the depth, where XOR with the depth is a sum
            free_bytes.eq((read_index - write_index)[:index_shape] ^ self.depth),
            write_index.eq(write_index + (self.i.valid & self.i.ready)),
            read_index.eq(read_index + load),
            fetching.eq((write_index != read_index) & ~load),
            fetched.eq(fetching & ~load),
        ]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(load):
            m.d.sync += [self.o.payload.eq(ring.read_data), self.o.valid.eq(1)]
        with m.If(self.clear):
            m.d.sync += [signal.eq(0) for signal in (write_index, read_index, fetching, fetched, self.o.valid)]
            m.d.sync += free_bytes.eq(self.depth)
        return m
