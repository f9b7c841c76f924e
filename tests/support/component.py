"""Drives one component in Amaranth's simulator: by a bench, or rows in, rows out, while the stream laws are watched."""

from collections.abc import Sequence
from typing import Any

from amaranth.sim import Simulator
from support.jobs import NO_STALLS, Job, Stalls
from support.simulators import simulate


def play(
    dut: Any, words: Sequence[int], *, stalls: Stalls = NO_STALLS, i: str = "i", o: str = "o", cycles: int = 400
) -> list[tuple[int, int]]:
    """Offer `words` at stream `i` and take what comes at stream `o`: (cycle, payload) of each word taken."""
    return simulate(dut, Job(cycles, offers={i: list(words)}, sinks=(o,), stalls=stalls))[o]


def run(dut: Any, *benches: Any) -> None:
    """Simulate until every bench is done."""
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    for bench in benches:
        simulator.add_testbench(bench)
    simulator.run()
