"""The player in Amaranth's own simulator: slow, but without a compiler."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from amaranth.sim import Simulator
from numpy.typing import NDArray

from spikeveil.hdl.engine.plan import Plan
from spikeveil.hdl.engine.player import Player
from spikeveil.host.cosim.job import LeasePorts, SimulationResult, response, stimulus

_TIMEOUT_CYCLES = 1 << 20  # without a record


def run(
    plan: Plan,
    spikes: NDArray[np.bool_],
    lease: LeasePorts,
    *,
    stall_i: int = 0,
    stall_o: int = 0,
    vcd: str | None = None,
) -> SimulationResult:
    """Run records of spikes under one lease; `vcd`: the trace to write; the other arguments as in `verilator_engine`.

    TimeoutError where no record leaves the network for 2^20 cycles; RuntimeError where a marker is in the wrong place.
    """
    _, steps, _ = spikes.shape
    player: Any = Player(plan, max_steps=steps)
    values: list[int] = []
    stamps: list[int] = []

    async def bench(ctx: Any) -> None:
        ctx.set(player.stall_i, stall_i)
        ctx.set(player.stall_o, stall_o)
        ctx.set(player.steps, steps)
        for name in plan.lease_ports:
            ctx.set(getattr(player, name), lease.ports()[name])
        ctx.set(player.open, 1)
        await ctx.tick()
        ctx.set(player.open, 0)
        pending, request, ack = stimulus(spikes), 0, 0
        idle = 0
        while len(values) < len(spikes):
            if pending and ctx.get(player.stimulus_ack) == request:
                ctx.set(player.stimulus, pending.pop(0))
                request ^= 1
                ctx.set(player.stimulus_request, request)
            if ctx.get(player.response_request) != ack:
                values.append(ctx.get(player.response))
                stamps.append(ctx.get(player.response_cycle))
                ack ^= 1
                ctx.set(player.response_ack, ack)
                idle = 0
            idle += 1
            if idle > _TIMEOUT_CYCLES:
                raise TimeoutError(f"no record left the network in {_TIMEOUT_CYCLES} cycles")
            await ctx.tick()
        if ctx.get(player.marker_error):
            raise RuntimeError("a step or record marker left the network in the wrong place")

    start = time.perf_counter()
    with _long_integers():
        simulator = Simulator(player)
        simulator.add_clock(1e-6)
        simulator.add_testbench(bench)
        if vcd is None:
            simulator.run()
        else:
            with simulator.write_vcd(vcd):
                simulator.run()
    return SimulationResult(
        response(values, plan, steps, steps), np.array(stamps), max(stamps), time.perf_counter() - start
    )


@contextmanager
def _long_integers() -> Iterator[None]:
    """Lift Python's limit on the digits of an integer: the simulator writes a whole record as one, in decimal."""
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        yield
    finally:
        sys.set_int_max_str_digits(limit)
