"""A counter read and added to byte by byte, against Python's integers."""

from random import Random
from typing import Any

from support.component import run

from spikeveil.hdl.device.byte_counter import ByteCounter

WRAP = 1 << 32


def test_reads_adds_and_stores() -> None:
    dut, rng = ByteCounter(), Random(3)
    addends = [0, 1, 255, 256, 0xFFFF, WRAP - 1, *(rng.randrange(WRAP) for _ in range(60))]

    async def bench(ctx: Any) -> None:
        number = 0
        for addend in addends:
            store = rng.random() < 0.6
            ctx.set(dut.store, store)
            sum_bytes, count_bytes = [], []
            for index, byte in enumerate(addend.to_bytes(4, "little")):
                ctx.set(dut.addend, byte)
                await ctx.tick().repeat(rng.randrange(1, 3))
                assert ctx.get(dut.byte_index) == index
                sum_bytes.append(ctx.get(dut.sum_byte))
                count_bytes.append(ctx.get(dut.byte))
                ctx.set(dut.shift, 1)
                await ctx.tick()
                ctx.set(dut.shift, 0)
            assert int.from_bytes(bytes(count_bytes), "little") == number
            assert int.from_bytes(bytes(sum_bytes), "little") == (number + addend) % WRAP
            number = (number + addend) % WRAP if store else number
        ctx.set(dut.shift, 1)
        await ctx.tick()
        ctx.set(dut.shift, 0)
        ctx.set(dut.clear, 1)
        await ctx.tick()
        ctx.set(dut.addend, 0)
        assert (ctx.get(dut.byte), ctx.get(dut.sum_byte), ctx.get(dut.byte_index)) == (0, 0, 0)

    run(dut, bench)
