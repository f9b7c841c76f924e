"""On-chip memories: small look-up memories, banked weight memories, and the write port for images."""

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
from spikeveil.hdl.engine.ultraplus import SPRAM_ADDRESS_BITS, SPRAM_DEPTH, SPRAM_WIDTH

BLOCK_BITS = 1 << 14  # capacity of an ECP5 block RAM without its parity bits
MIN_BLOCK_DEPTH = 1 << 9
MIN_PARITY_WIDTH = 8  # blocks at least this wide have a ninth bit for every eight
#: Yosys attribute: the result of reading a word in the cycle in which it is written is undefined.
NO_RW_CHECK: dict[str, Any] = {"no_rw_check": 1}


class ImageWrite(data.StructLayout):
    """Write port through which an image fills the memories of a loadable network.

    | field | width | meaning |
    |---|---|---|
    | `to` | memories | one-hot write enable, one bit a memory; 0 when nothing is written |
    | `address` | address_bits | word address |
    | `data` | data_bits | the word, aligned to the most significant bit and padded to whole bytes |
    """

    def __init__(self, *, memories: int, address_bits: int, data_bits: int) -> None:
        super().__init__(
            {"to": unsigned(memories), "address": unsigned(address_bits), "data": unsigned(data_bits)},
        )


def word_of(write: Any, bits: int) -> Value:
    """The word of `bits` bits in `write.data`, without its padding."""
    padded_bits = -(-bits // 8) * 8
    return Value.cast(write.data[len(write.data) - padded_bits :][:bits])


def unchecked_read(m: Module, memory: Memory, address: Value) -> Signal:
    """Add a read port with one cycle of latency to a memory that has the attributes `NO_RW_CHECK`.

    The word is undefined if it is written in the cycle in which it is read. In return Yosys builds no comparators and
    bypass registers around the memory. The output register has no reset, so it can be the block RAM's own.
    """
    port = memory.read_port(domain="comb")
    word = Signal(len(port.data), reset_less=True)
    m.d.comb += port.addr.eq(address)
    m.d.sync += word.eq(port.data)
    return word


def lookup_memory(
    m: Module,
    name: str,
    *,
    depth: int,
    width: int,
    address: Value,
    init: Sequence[int] = (),
    load: Any = None,
    memory_index: int = 0,
) -> Value:
    """Add a memory that holds constants of the network; returns the word at `address`, one cycle later.

    | argument | type | meaning |
    |---|---|---|
    | `name` | str | submodule name |
    | `depth`, `width` | int | size in words and bits a word |
    | `address` | index_bits(depth) | word to read |
    | `init` | integers | contents, unless the memory is loadable |
    | `load` | ImageWrite or None | port that writes the contents; nothing may be read meanwhile |
    | `memory_index` | int | this memory's bit of `load.to` |
    """
    attrs = {} if load is None else NO_RW_CHECK
    memory: Memory = Memory(shape=unsigned(width), depth=memory_depth(depth), init=list(init), attrs=attrs)
    m.submodules[name] = memory
    if load is None:
        port = memory.read_port()
        m.d.comb += port.addr.eq(address)
        return Value.cast(port.data)
    write = memory.write_port()
    m.d.comb += [write.addr.eq(load.address), write.data.eq(word_of(load, width)), write.en.eq(load.to[memory_index])]
    return unchecked_read(m, memory, address)


def block_width(depth: int) -> int:
    """Bits of a word in one ECP5 block RAM that is `depth` words deep; `depth` is a power of two."""
    width = BLOCK_BITS // max(MIN_BLOCK_DEPTH, depth)
    return width + width // 8 if width >= MIN_PARITY_WIDTH else width


class BankedMemory(wiring.Component):
    """Weight memory of `depth` words of `lanes` fields, split into banks that each fit one ECP5 block RAM.

    | port | width | direction | meaning |
    |---|---|---|---|
    | `address` | index_bits(depth) | in | word to read |
    | `word` | lanes * bits | out | the word, field 0 in the least significant bits |
    | `load` | ImageWrite | in | writes the contents; only where `load` is given |

    | parameter | type | meaning |
    |---|---|---|
    | `depth`, `lanes`, `bits` | int | words, fields a word, bits a field |
    | `init` | integers | contents, unless the memory is loadable |
    | `load` | ImageWrite or None | layout of the write port |
    | `memory_index` | int | this memory's bit of `load.to` |
    | `in_spram` | bool | use the single-port RAMs of an iCE40 UltraPlus instead of block RAM |

    Timing: `word` follows `address` by three cycles. Each bank is read into registers without reset or enable, so they
    can be the block RAM's own; one more register follows the selection of the bank. With `in_spram` the address is
    delayed by two cycles instead and `word` is the RAM's output. Nothing may be read while the memory is written.

    Reset leaves the contents. ValueError if `in_spram` is set for a memory that is not loadable, as single-port RAM
    has no initial contents, or that is deeper than `SPRAM_DEPTH`.
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
        memory_index: int = 0,
        in_spram: bool = False,
    ) -> None:
        if in_spram and (load is None or depth > SPRAM_DEPTH):
            raise ValueError(f"in_spram must be False for a memory that is not loaded or of over {SPRAM_DEPTH} words")
        self.depth, self.lanes, self.bits, self.init = memory_depth(depth), lanes, bits, list(init)
        self.loadable, self.memory_index, self.in_spram = load is not None, memory_index, in_spram
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
        banks = [self._bank(m, base) for base in range(0, self.depth, self._bank_depth())]
        word = Signal(len(self.word), reset_less=True)
        m.d.sync += word.eq(reduce(or_, banks))
        m.d.comb += self.word.eq(word)
        return m

    def _bank_depth(self) -> int:
        """The greatest depth at which one block RAM still holds a whole field."""
        depth = BLOCK_BITS
        while block_width(depth) < self.bits:
            depth //= 2
        return depth

    def _bank(self, m: Module, base: int) -> Value:
        """The bank of the words from `base` on: its word two cycles after the address, 0 if another bank holds it."""
        size = min(self._bank_depth(), 1 << index_bits(self.depth - base))
        bank = Signal(len(self.word), name=f"bank_{base}", reset_less=True)
        fields_per_block = self.lanes
        if size > MIN_BLOCK_DEPTH:
            fields_per_block = min(self.lanes, block_width(size) // self.bits)
        for lane in range(0, self.lanes, fields_per_block):
            columns = slice(lane * self.bits, min(lane + fields_per_block, self.lanes) * self.bits)
            m.d.sync += bank[columns].eq(self._block(m, base, size, columns))
        return self._gated(m, base, size, bank)

    def _gated(self, m: Module, base: int, size: int, bank: Signal) -> Value:
        """`bank` if the address read two cycles ago lies in it, else 0. A single bank needs no gate."""
        if self.depth <= size:
            return bank
        low = size.bit_length() - 1
        address_in_bank = Signal(name=f"address_in_bank_{base}")
        bank_select = Signal(name=f"bank_select_{base}")
        m.d.sync += [address_in_bank.eq(self.address >> low == base >> low), bank_select.eq(address_in_bank)]
        return bank & bank_select.replicate(len(bank))

    def _block(self, m: Module, base: int, size: int, columns: slice) -> Value:
        """One block RAM: the bits `columns` of the `size` words from `base` on, one cycle after the address."""
        width = columns.stop - columns.start
        words = [(word >> columns.start) & ((1 << width) - 1) for word in self.init[base : base + size]]
        memory: Memory = Memory(
            shape=unsigned(width), depth=size, init=words, attrs={"ram_style": "block", **NO_RW_CHECK}
        )
        m.submodules[f"words_{base}_{columns.start}"] = memory
        if not self.loadable:
            port = memory.read_port()
            m.d.comb += port.addr.eq(self.address)
            return Value.cast(port.data)
        write = memory.write_port()
        low = size.bit_length() - 1
        m.d.comb += [
            write.addr.eq(self.load.address),
            write.data.eq(word_of(self.load, len(self.word))[columns]),
            write.en.eq(self.load.to[self.memory_index] & (self.load.address >> low == base >> low)),
        ]
        return unchecked_read(m, memory, self.address[:low])

    def _single_port(self, m: Module, platform: object) -> Value:
        """The memory in single-port RAM; a write takes over the address. Other devices use one ordinary memory."""
        address_delayed = Signal(SPRAM_ADDRESS_BITS)
        read_address = Signal(SPRAM_ADDRESS_BITS)
        ram_address = Signal(SPRAM_ADDRESS_BITS)
        write_data = Signal(len(self.word))
        word = Signal(len(self.word))
        write_enable = self.load.to[self.memory_index]
        m.d.sync += [address_delayed.eq(self.address), read_address.eq(address_delayed)]
        m.d.comb += [
            ram_address.eq(Mux(write_enable, self.load.address, read_address)),
            write_data.eq(word_of(self.load, len(self.word))),
        ]
        if ultraplus.is_ultraplus(platform):
            for base in range(0, len(write_data), SPRAM_WIDTH):
                ram_word = Signal(SPRAM_WIDTH, name=f"ram_word_{base}")
                columns = write_data[base : base + SPRAM_WIDTH]
                m.submodules[f"words_{base}"] = ultraplus.single_port_ram(ram_address, columns, write_enable, ram_word)
                m.d.comb += word[base : base + SPRAM_WIDTH].eq(ram_word)
        else:
            memory: Memory = Memory(shape=unsigned(len(write_data)), depth=self.depth, init=[], attrs=NO_RW_CHECK)
            m.submodules.words = memory
            write = memory.write_port()
            m.d.comb += [write.addr.eq(ram_address), write.data.eq(write_data), write.en.eq(write_enable)]
            m.d.comb += word.eq(unchecked_read(m, memory, ram_address))
        return word
