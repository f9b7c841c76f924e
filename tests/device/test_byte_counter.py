"""Numbers a byte at a time against Python's."""

from random import Random
from typing import Any

from support.component import run

from spikeveil.hdl.device.byte_counter import Turning

WRAP = 1 << 32


def test_tells_adds_and_keeps() -> None:
    dut, rng = Turning(), Random(3)
    telling = [0, 1, 255, 256, 0xFFFF, WRAP - 1, *(rng.randrange(WRAP) for _ in range(60))]

    async def bench(ctx: Any) -> None:
        number = 0
        for add in telling:
            keep = rng.random() < 0.6
            ctx.set(dut.keep, keep)
            sums, owns = [], []
            for place, byte in enumerate(add.to_bytes(4, "little")):
                ctx.set(dut.add, byte)
                await ctx.tick().repeat(rng.randrange(1, 3))
                assert ctx.get(dut.place) == place
                sums.append(ctx.get(dut.byte))
                owns.append(ctx.get(dut.own))
                ctx.set(dut.turn, 1)
                await ctx.tick()
                ctx.set(dut.turn, 0)
            assert int.from_bytes(bytes(owns), "little") == number
            assert int.from_bytes(bytes(sums), "little") == (number + add) % WRAP
            number = (number + add) % WRAP if keep else number
        ctx.set(dut.turn, 1)
        await ctx.tick()
        ctx.set(dut.turn, 0)
        ctx.set(dut.clear, 1)
        await ctx.tick()
        ctx.set(dut.add, 0)
        assert (ctx.get(dut.own), ctx.get(dut.byte), ctx.get(dut.place)) == (0, 0, 0)

    run(dut, bench)
