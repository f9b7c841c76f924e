"""One block RAM with a write port and a read port, and no logic around it."""

from amaranth.hdl import Module, Signal, unsigned
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from spikeveil.hdl.engine.memories import NO_RW_CHECK, unchecked_read
from spikeveil.hdl.engine.spikes import index_bits, memory_depth


class BlockRam(wiring.Component):
    """Memory of `depth` words of `width` bits in block RAM.

    | port | width | direction | meaning |
    |---|---|---|---|
    | `write` | 1 | in | write enable |
    | `write_address` | address | in | word that is written |
    | `write_data` | width | in | its new content |
    | `read_address` | address | in | word that is read |
    | `read_data` | width | out | the word at `read_address` two cycles before |

    Timing: the output register behind the memory hides its access time, which is most of a fast clock cycle; on an ECP5
    it is the block RAM's own. The word that is written in the cycle in which it is read is undefined: users must not
    depend on it. With this promise (`no_rw_check`) synthesis leaves out the comparator, multiplexer and registers that
    would define it. Reset clears nothing.
    """

    write: Signal
    write_address: Signal
    write_data: Signal
    read_address: Signal
    read_data: Signal

    def __init__(self, *, width: int, depth: int) -> None:
        self.width = width
        self.depth = depth
        address_bits = index_bits(depth)
        super().__init__(
            {
                "write": In(1),
                "write_address": In(address_bits),
                "write_data": In(width),
                "read_address": In(address_bits),
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
        output_register = Signal(self.width, reset_less=True)
        m.d.sync += output_register.eq(unchecked_read(m, memory, self.read_address))
        m.d.comb += self.read_data.eq(output_register)
        return m
