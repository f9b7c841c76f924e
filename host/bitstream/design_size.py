"""What a plan elaborates to on a board, before synthesis: register bits, combinational bits and memories.

Amaranth elaborates the same top level that a build synthesises, in a second; no tool is run. Fragments and memory
instances are internals of Amaranth 0.5, to which the package is pinned.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from amaranth.hdl import Shape
from amaranth.hdl._ir import Fragment
from amaranth.hdl._mem import MemoryInstance

from spikeveil.boards.board import Board
from spikeveil.boards.chips import Family
from spikeveil.hdl.device.top import Top
from spikeveil.hdl.engine.plan import Plan

#: family -> the shapes of a block RAM: words, bits
SHAPES: dict[Family, tuple[tuple[int, int], ...]] = {
    "ice40": ((256, 16), (512, 8), (1024, 4), (2048, 2)),
    "ecp5": ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1)),
    "gowin": ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1)),
}
MIN_RAM_BITS = 72  # on iCE40, for each block RAM: smaller memories become flip-flops
MIN_ROM_BITS = 1024  # of a table that is not marked: a smaller one becomes logic
SMALL_RAM = (16, 4)  # words and bits of a RAM made of LUTs, which iCE40 does not have
MIN_SMALL_RAMS = 20  # for each block RAM in their place: below it Yosys takes RAMs made of LUTs


@dataclass(frozen=True)
class Memory:
    """A memory of a design: `depth` words of `width` bits.

    `rom`: nothing writes it. `block`: it is marked to be in block RAM.
    """

    depth: int
    width: int
    rom: bool = False
    block: bool = False

    @property
    def bits(self) -> int:
        """Its size."""
        return self.depth * self.width

    def block_rams(self, family: Family) -> int:
        """Block RAMs that Yosys maps it to; 0 where it takes LUTs or flip-flops."""
        count = block_rams(self.depth, self.width, family)
        if self.block:
            return count
        if self.rom:
            return count if self.bits >= MIN_ROM_BITS else 0
        if family == "ice40":
            return count if self.bits >= MIN_RAM_BITS * count else 0
        return count if self.small_rams >= MIN_SMALL_RAMS * count else 0

    @property
    def small_rams(self) -> int:
        """RAMs made of LUTs that would hold it."""
        return math.ceil(self.depth / SMALL_RAM[0]) * math.ceil(self.width / SMALL_RAM[1])


@dataclass(frozen=True)
class DesignSize:
    """Bits of all registers and of all other assigned signals, and the memories."""

    register_bits: int
    signal_bits: int
    memories: tuple[Memory, ...]

    def block_rams(self, family: Family) -> int:
        """Block RAMs of all memories."""
        return sum(memory.block_rams(family) for memory in self.memories)

    def small_rams(self, family: Family) -> int:
        """RAMs made of LUTs; 0 on iCE40."""
        rest = [memory for memory in self.memories if not memory.rom and not memory.block_rams(family)]
        return 0 if family == "ice40" else sum(memory.small_rams for memory in rest)

    def register_memory_bits(self, family: Family) -> int:
        """Bits of memories that become flip-flops, where the family has no RAM made of LUTs."""
        rest = [memory for memory in self.memories if not memory.rom and not memory.block_rams(family)]
        return sum(memory.bits for memory in rest) if family == "ice40" else 0


def block_rams(words: int, bits: int, family: Family) -> int:
    """The smallest number of block RAMs of one shape that hold `words` words of `bits` bits."""
    return min(math.ceil(words / depth) * math.ceil(bits / width) for depth, width in SHAPES[family])


@lru_cache(maxsize=64)
def design_size(plan: Plan, board: Board) -> DesignSize:
    """The size of a plan's device on a board; `plan` must be suited to it. ValueError where it cannot be built."""
    device = Top(plan, clock_hz=board.clock_hz, baud=board.baud, window=board.buffer, outbox=board.buffer)
    registers: dict[int, int] = {}
    signals: dict[int, int] = {}
    memories: list[Memory] = []
    elaborate: Any = Fragment.get
    pending: list[Any] = [elaborate(device, board.platform())]
    while pending:
        fragment = pending.pop()
        if isinstance(fragment, MemoryInstance):
            instance: Any = fragment
            width = Shape.cast(instance._data._shape).width
            block = instance._attrs.get("ram_style") == "block"
            memories.append(Memory(instance._data._depth, width, rom=not instance._write_ports, block=block))
        for domain, statements in fragment.statements.items():
            bits = signals if domain == "comb" else registers
            bits.update({id(signal): len(signal) for signal in statements._lhs_signals()})
        pending += [entry[0] for entry in fragment.subfragments]
    return DesignSize(sum(registers.values()), sum(signals.values()), tuple(memories))
