"""One block RAM with a port to write and a port to read, and no logic around it."""

from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from spikeveil.hdl.engine.memories import NO_RW_CHECK, unchecked_read
from spikeveil.hdl.engine.spikes import memory_depth


class Store(wiring.Component):
    """`depth` words of `width` bits, not reset. `read_data` is the word at `read_address` of two cycles before: a block
    RAM takes most of a fast cycle to show a word, so that a register stands behind it (an ECP5's has its own).

    Never look at a word that is read in the cycle in which it is written: that is not defined in the netlist. With that
    promise (`no_rw_check`) synthesis leaves out the comparator, multiplexer and registers that would define it.
    """

    write: Signal
    write_address: Signal
    write_data: Signal
    read_address: Signal
    read_data: Signal

    def __init__(self, *, width: int, depth: int) -> None:
        self.width, self.depth = width, depth
        address = max(1, (depth - 1).bit_length())
        super().__init__(
            {
                "write": In(1),
                "write_address": In(address),
                "write_data": In(width),
                "read_address": In(address),
                "read_data": Out(width),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        attributes = {"ram_style": "block", **NO_RW_CHECK}
        memory: Memory = Memory(shape=unsigned(self.width), depth=memory_depth(self.depth), init=[], attrs=attributes)
        m.submodules.memory = memory
        write = memory.write_port()
        m.d.comb += [
            write.en.eq(self.write),
            write.addr.eq(self.write_address),
            write.data.eq(self.write_data),
        ]
        shown = Signal(self.width, reset_less=True)
        m.d.sync += shown.eq(unchecked_read(m, memory, self.read_address))
        m.d.comb += self.read_data.eq(shown)
        return m
