"""Memories as block RAM likes them, and how an image is written into them."""

from collections.abc import Sequence
from functools import reduce
from operator import or_
from typing import Any

from amaranth.hdl import Module, Mux, Signal, Value, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from spikeveil.hdl.engine import ultraplus
from spikeveil.hdl.engine.spikes import index_bits, memory_depth
from spikeveil.hdl.engine.ultraplus import SPRAM_ADDRESS, SPRAM_DEPTH, SPRAM_WIDTH

BLOCK_BITS = 1 << 14  # of an ECP5 block RAM, without its parity bits
LEAST_DEPTH = 1 << 9
PARITY_FROM = 8  # a block that is so wide has a ninth bit for every eight
NO_RW_CHECK: dict[str, Any] = {"no_rw_check": 1}  # what is read in the cycle of its writing is undefined


class ImageWrite(data.StructLayout):
    """A word of an image on its way into one of `memories` memories: `to` has that one's bit set, or none.

    The word's last byte is on top of `data`.
    """

    def __init__(self, *, memories: int, address_bits: int, data_bits: int) -> None:
        super().__init__(
            {"to": unsigned(memories), "address": unsigned(address_bits), "data": unsigned(data_bits)},
        )


def word_of(write: Any, bits: int) -> Value:
    """The word of `bits` bits, filled up to whole bytes, that stands on top of `write.data`."""
    size = -(-bits // 8) * 8
    return Value.cast(write.data[len(write.data) - size :][:bits])


def unchecked_read(m: Module, memory: Memory, address: Value) -> Signal:
    """The word at `address`, a cycle later; none that is written in the same cycle may ever be looked at.

    For a memory with the attributes `NO_RW_CHECK`, which is promised just that: around others Yosys builds logic that
    gives the old word. Reset leaves the register alone, so that it may be the block RAM's own.
    """
    port = memory.read_port(domain="comb")
    word = Signal(len(port.data), reset_less=True)
    m.d.comb += port.addr.eq(address)
    m.d.sync += word.eq(port.data)
    return word


def table(
    m: Module,
    name: str,
    *,
    depth: int,
    width: int,
    address: Value,
    init: Sequence[int] = (),
    load: Any = None,
    place: int = 0,
) -> Value:
    """A small memory of `depth` words: the one at `address`, a cycle later. Its words are `init`, or they are written
    through `load`, as memory `place` there, while nothing is read.
    """
    attrs = {} if load is None else NO_RW_CHECK
    memory: Memory = Memory(shape=unsigned(width), depth=memory_depth(depth), init=list(init), attrs=attrs)
    m.submodules[name] = memory
    if load is None:
        port = memory.read_port()
        m.d.comb += port.addr.eq(address)
        return Value.cast(port.data)
    write = memory.write_port()
    m.d.comb += [write.addr.eq(load.address), write.data.eq(word_of(load, width)), write.en.eq(load.to[place])]
    return unchecked_read(m, memory, address)


def block_width(depth: int) -> int:
    """Bits of a word in one ECP5 block RAM of `depth` words, a power of two."""
    width = BLOCK_BITS // max(LEAST_DEPTH, depth)
    return width + width // 8 if width >= PARITY_FROM else width


class BankedMemory(wiring.Component):
    """A memory of `depth` words of `lanes` fields of `bits` bits, in pieces of one ECP5 block RAM each.

    `word` is the word at `address` three cycles later. Each piece is read into registers that have neither reset nor
    enable, so that they may be the block RAM's own; behind them is only the choice of a piece. The words are `init`, or
    written through `load`, as memory `place` there, while nothing is read.

    `in_spram`: in one piece, for the single-port RAMs of an iCE40 UltraPlus (`SPRAM_DEPTH` words of 16 bits), which
    have no
    words at power-on: only with `load`. `word` then comes straight out of them, and the address waits two cycles.
    ValueError where it is too deep.
    """

    address: Signal
    word: Signal
    load: Any

    def __init__(
        self,
        *,
        depth: int,
        lanes: int,
        bits: int,
        init: Sequence[int] = (),
        load: ImageWrite | None = None,
        place: int = 0,
        in_spram: bool = False,
    ) -> None:
        if in_spram and (load is None or depth > SPRAM_DEPTH):
            raise ValueError(f"in_spram must be False for a memory that is not loaded or of over {SPRAM_DEPTH} words")
        self.depth, self.lanes, self.bits, self.init = memory_depth(depth), lanes, bits, list(init)
        self.loadable, self.place, self.in_spram = load is not None, place, in_spram
        super().__init__(
            {
                "address": In(index_bits(self.depth)),
                "word": Out(lanes * bits),
                **({} if load is None else {"load": In(load)}),
            }
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        if self.in_spram:
            m.d.comb += self.word.eq(self._single_port(m, platform))
            return m
        most = BLOCK_BITS
        while block_width(most) < self.bits:
            most //= 2
        parts = []
        for base in range(0, self.depth, most):
            size = min(most, 1 << index_bits(self.depth - base))
            part = Signal(len(self.word), name=f"part_{base}", reset_less=True)
            step = self.lanes if size <= LEAST_DEPTH else min(self.lanes, block_width(size) // self.bits)
            for lane in range(0, self.lanes, step):
                fields = slice(lane * self.bits, min(lane + step, self.lanes) * self.bits)
                m.d.sync += part[fields].eq(self._piece(m, base, size, fields))
            parts.append(self._chosen(m, base, size, part))
        word = Signal(len(self.word), reset_less=True)
        m.d.sync += word.eq(reduce(or_, parts))
        m.d.comb += self.word.eq(word)
        return m

    def _chosen(self, m: Module, base: int, size: int, part: Signal) -> Value:
        """The piece where it holds the word, or zero; of one piece alone, whatever it holds."""
        if self.depth <= size:
            return part
        low, near, chosen = size.bit_length() - 1, Signal(name=f"near_{base}"), Signal(name=f"chosen_{base}")
        m.d.sync += [near.eq(self.address >> low == base >> low), chosen.eq(near)]
        return part & chosen.replicate(len(part))

    def _single_port(self, m: Module, platform: object) -> Value:
        """Whatever is written takes the address. Elsewhere than on such a chip a memory stands for the RAMs."""
        before, reads, where, data = (*(Signal(SPRAM_ADDRESS) for _ in range(3)), Signal(len(self.word)))
        word, writes = Signal(len(self.word)), self.load.to[self.place]
        m.d.sync += [before.eq(self.address), reads.eq(before)]
        m.d.comb += [
            where.eq(Mux(writes, self.load.address, reads)),
            data.eq(word_of(self.load, len(self.word))),
        ]
        if ultraplus.is_ultraplus(platform):
            for base in range(0, len(data), SPRAM_WIDTH):
                part = Signal(SPRAM_WIDTH, name=f"part_{base}")
                fields = data[base : base + SPRAM_WIDTH]
                m.submodules[f"words_{base}"] = ultraplus.single_port_ram(where, fields, writes, part)
                m.d.comb += word[base : base + SPRAM_WIDTH].eq(part)
        else:
            memory: Memory = Memory(shape=unsigned(len(data)), depth=self.depth, init=[], attrs=NO_RW_CHECK)
            m.submodules.words = memory
            write = memory.write_port()
            m.d.comb += [write.addr.eq(where), write.data.eq(data), write.en.eq(writes)]
            m.d.comb += word.eq(unchecked_read(m, memory, where))
        return word

    def _piece(self, m: Module, base: int, size: int, fields: slice) -> Value:
        """The bits `fields` of the word at the last cycle's address, if it is in the `size` words from `base` on."""
        width = fields.stop - fields.start
        words = [(word >> fields.start) & ((1 << width) - 1) for word in self.init[base : base + size]]
        memory: Memory = Memory(
            shape=unsigned(width), depth=size, init=words, attrs={"ram_style": "block", **NO_RW_CHECK}
        )
        m.submodules[f"words_{base}_{fields.start}"] = memory
        if not self.loadable:
            port = memory.read_port()
            m.d.comb += port.addr.eq(self.address)
            return Value.cast(port.data)
        write, low = memory.write_port(), size.bit_length() - 1
        m.d.comb += [
            write.addr.eq(self.load.address),
            write.data.eq(word_of(self.load, len(self.word))[fields]),
            write.en.eq(self.load.to[self.place] & (self.load.address >> low == base >> low)),
        ]
        return unchecked_read(m, memory, self.address[:low])
