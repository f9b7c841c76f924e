"""Drives one component: rows in, rows out, with stalls, while the stream laws are watched."""

from collections.abc import Sequence
from typing import Any

from amaranth.sim import Simulator
from support.backends import NO_STALLS, Stalls

from spikeveil.hdl.engine.player import STALL_BITS


def play(
    dut: Any, words: Sequence[int], *, stalls: Stalls = NO_STALLS, i: str = "i", o: str = "o", cycles: int = 400
) -> list[tuple[int, int]]:
    """Offer `words` at stream `i` and take what comes at stream `o`: (cycle, payload) of each word taken.

    A word offered stays until it is taken; a word that `o` offers must do so too, unchanged.
    """
    source, sink = getattr(dut, i), getattr(dut, o)
    taken: list[tuple[int, int]] = []

    async def bench(ctx: Any) -> None:
        waiting, offering, held = list(words), False, None
        for cycle in range(cycles):
            offering = bool(waiting) and (offering or not stalls.i >> cycle % STALL_BITS & 1)
            ctx.set(source.valid, offering)
            if waiting:
                ctx.set(as_value(source.payload), waiting[0])
            ready = not stalls.o >> cycle % STALL_BITS & 1
            ctx.set(sink.ready, ready)
            shown = (ctx.get(sink.valid), ctx.get(as_value(sink.payload)))
            assert held in (None, shown), f"an offer was withdrawn or changed in cycle {cycle}"
            held = shown if shown[0] and not ready else None
            if shown[0] and ready:
                taken.append((cycle, shown[1]))
            if offering and ctx.get(source.ready):
                waiting.pop(0)
                offering = False
            await ctx.tick()
        assert not waiting, f"{len(waiting)} words were never taken"

    run(dut, bench)
    return taken


def as_value(payload: Any) -> Any:
    return payload.as_value() if hasattr(payload, "as_value") else payload


def run(dut: Any, *benches: Any) -> None:
    """Simulate until every bench is done."""
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    for bench in benches:
        simulator.add_testbench(bench)
    simulator.run()
