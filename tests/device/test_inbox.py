"""The queue of input bytes: order, room, and what `clear` leaves."""

from random import Random
from typing import Any

import pytest
from support.component import run

from spikeveil.hdl.device.inbox import Inbox


@pytest.mark.parametrize("depth", [2, 8, 64])
def test_bytes_come_out_in_order_and_room_counts_them(depth: int) -> None:
    dut, rng = Inbox(depth), Random(depth)

    async def bench(ctx: Any) -> None:
        held: list[int] = []
        moved, shown, free = 0, None, depth  # free: that were so in the cycle before
        for cycle in range(1200):
            busy_end = (cycle // 200) % 2
            offers, takes = rng.random() < (0.9, 0.2)[busy_end], rng.random() < (0.2, 0.9)[busy_end]
            byte = rng.randrange(256)
            ctx.set(dut.i.payload, byte)
            ctx.set(dut.i.valid, offers)
            ctx.set(dut.o.ready, takes)
            clears = cycle == 700
            ctx.set(dut.clear, clears)
            valid, payload, room = ctx.get(dut.o.valid), ctx.get(dut.o.payload), ctx.get(dut.free)
            assert room == free
            free = depth if clears else depth - len(held) + valid
            assert shown in (None, (valid, payload)), "an offer was withdrawn"
            if valid:
                assert payload == held[0]
            shown = (valid, payload) if valid and not takes and not clears else None
            if offers and ctx.get(dut.i.ready):
                assert len(held) < depth + valid
                held.append(byte)
            if valid and takes:
                held.pop(0)
                moved += 1
            if clears:
                held.clear()
            await ctx.tick()
        assert moved > 200

    run(dut, bench)
