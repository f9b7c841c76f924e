"""Memories in pieces: every word where it belongs, whether built in or written."""

import gc
from typing import Any

import numpy as np
import pytest
from support.component import run

from spikeveil.hdl.engine.memories import BankedMemory, ImageWrite, block_width


def test_a_block_has_as_many_bits_at_every_depth() -> None:
    """The DP16KD's: 16384 x 1, 8192 x 2, 4096 x 4, 2048 x 9, 1024 x 18, 512 x 36."""
    depths = [1 << bits for bits in (14, 13, 12, 11, 10, 9)]
    assert [block_width(depth) for depth in depths] == [1, 2, 4, 9, 18, 36]
    assert block_width(2) == 36


@pytest.mark.parametrize(("loadable", "in_spram"), [(False, False), (True, False), (True, True)])
@pytest.mark.parametrize(
    ("depth", "lanes", "bits"), [(1, 1, 2), (48, 16, 4), (1000, 5, 4), (2049, 2, 8), (4097, 3, 3), (9000, 2, 4)]
)
def test_every_word_is_where_it_belongs(depth: int, lanes: int, bits: int, loadable: bool, in_spram: bool) -> None:
    """At the ends of every piece, and in between; three cycles later."""
    rng = np.random.default_rng(depth)
    words = [int.from_bytes(rng.bytes(8), "little") % (1 << lanes * bits) for _ in range(depth)]
    layout = ImageWrite(memories=3, address_bits=14, data_bits=80) if loadable else None
    dut: Any = BankedMemory(
        depth=depth,
        lanes=lanes,
        bits=bits,
        init=[] if loadable else words,
        load=layout,
        memory_index=1,
        in_spram=in_spram,
    )
    ends = [place for base in range(0, depth + 1, 1024) for place in (base - 1, base) if 0 <= place < depth]
    asked = [*ends, depth - 1, *(int(place) for place in rng.integers(0, depth, 100))]

    async def bench(ctx: Any) -> None:
        if loadable:
            filled = -(-lanes * bits // 8) * 8
            for place in sorted(set(asked)):
                for to, value in ((0b010, words[place]), (0b101, 0)):  # what is for other memories changes nothing
                    ctx.set(dut.load.to, to)
                    ctx.set(dut.load.address, place)
                    ctx.set(dut.load.data, value << 80 - filled)
                    await ctx.tick()
            ctx.set(dut.load.to, 0)
        shown = []
        for place in [*asked, 0, 0, 0]:
            ctx.set(dut.address, place)
            shown.append(ctx.get(dut.word))
            await ctx.tick()
        assert shown[3:] == [words[place] for place in asked]

    run(dut, bench)


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
@pytest.mark.parametrize(("depth", "loadable"), [(100, False), ((1 << 14) + 1, True)])
def test_single_port_ram_is_loaded_and_not_too_deep(depth: int, loadable: bool) -> None:
    layout = ImageWrite(memories=1, address_bits=15, data_bits=8) if loadable else None
    with pytest.raises(ValueError) as error:
        BankedMemory(depth=depth, lanes=1, bits=4, load=layout, in_spram=True)
    assert str(error.value) == "in_spram must be False for a memory that is not loaded or of over 16384 words"
    del error
    gc.collect()  # the refused component warns here, where it is expected, that nobody elaborated it
