"""One signature for the golden model and every simulator: plan, spikes, lease and stalls in, what left the core out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from amaranth.sim import Simulator
from numpy.typing import NDArray
from support.jobs import NO_STALLS, STALL_BITS, Stalls

from spikeveil.hdl.engine.network import Network
from spikeveil.hdl.engine.plan import INPUT_LANES, Plan
from spikeveil.host.cosim import LeasePorts, amaranth_engine, verilator_engine
from spikeveil.pysim import LfsrSource, TriviumSource
from spikeveil.pysim.model import network as model
from spikeveil.pysim.model.source import WordSource

Rows = NDArray[Any]


Backend = Callable[[Plan, NDArray[np.bool_], LeasePorts, Stalls], Rows]


def word_source(plan: Plan, lease: LeasePorts) -> WordSource | None:
    """The model's source of the words that the gateware makes from `lease`."""
    if not plan.spec.randomised:
        return None
    return LfsrSource(lease.seeds) if plan.source == "lfsr" else TriviumSource(lease.key.to_bytes(10, "big"))


def traced(plan: Plan, spikes: NDArray[np.bool_], lease: LeasePorts) -> model.Result:
    """Everything that the golden model knows about a run."""
    return model.Network(plan.spec, word_source(plan, lease)).run(
        spikes, lease=lease.number, first_record=lease.record if plan.source == "trivium" else 0
    )


def golden(plan: Plan, spikes: NDArray[np.bool_], lease: LeasePorts, stalls: Stalls = NO_STALLS) -> Rows:
    result = traced(plan, spikes, lease)
    if result.decisions is not None:
        return result.decisions
    return result.readout if result.released is None else result.released


def amaranth_sim(plan: Plan, spikes: NDArray[np.bool_], lease: LeasePorts, stalls: Stalls = NO_STALLS) -> Rows:
    return amaranth_engine.run(plan, spikes, lease, stall_i=stalls.i, stall_o=stalls.o).released


def verilator(plan: Plan, spikes: NDArray[np.bool_], lease: LeasePorts, stalls: Stalls = NO_STALLS) -> Rows:
    return verilator_engine.run(plan, spikes, lease, stall_i=stalls.i, stall_o=stalls.o).released


SIMULATORS = [amaranth_sim, pytest.param(verilator, marks=pytest.mark.verilator)]
BACKENDS = [golden, *SIMULATORS]


@dataclass(frozen=True)
class Pins:
    """What an observer of `hdl.Network` sees, cycle by cycle: bool (cycles,) and the payload's bits as integers."""

    i_ready: NDArray[np.bool_]
    o_valid: NDArray[np.bool_]
    o_taken: NDArray[np.bool_]
    late: NDArray[np.bool_]
    o_payload: list[int]

    @property
    def timing(self) -> NDArray[np.bool_]:
        """All of it that is no released value: (cycles, signals), the payload only as to whether it hides."""
        shown = np.array([value != 0 for value in self.o_payload]) & ~self.o_valid
        return np.stack([self.i_ready, self.o_valid, self.o_taken, self.late, shown], axis=1)


def observe(
    plan: Plan,
    spikes: NDArray[np.bool_],
    lease: LeasePorts,
    *,
    cycles: int,
    stalls: Stalls = NO_STALLS,
    opened: int | None = 0,
    rows: list[int] | None = None,
    network: type[Network] = Network,
    reopened: tuple[int, LeasePorts, NDArray[np.bool_]] | None = None,
) -> Pins:
    """Watch the bare network for `cycles` cycles, offering rows whenever it may; the lease opens in cycle `opened`.

    `rows`: the payloads to offer, where they are not those of `spikes`.
    `reopened`: the cycle in which another lease opens, that lease, and the spikes that are offered under it.
    """
    dut: Any = network(plan)
    rows = rows or input_rows(plan, spikes)
    seen: list[tuple[int, int, int, int, int]] = []
    openings = {opened: lease} | ({reopened[0]: reopened[1]} if reopened else {})

    async def bench(ctx: Any) -> None:
        waiting, offering = list(rows), False
        for cycle in range(cycles):
            if reopened and cycle == reopened[0]:
                waiting += input_rows(plan, reopened[2])
            if cycle in openings:
                for name in plan.lease_ports:
                    ctx.set(getattr(dut, name), openings[cycle].ports()[name])
            ctx.set(dut.open, cycle in openings)
            offering = bool(waiting) and (offering or not stalls.i >> cycle % STALL_BITS & 1)
            ctx.set(dut.i.valid, offering)
            if waiting:
                ctx.set(dut.i.payload.as_value(), waiting[0])
            ready = not stalls.o >> cycle % STALL_BITS & 1
            ctx.set(dut.o.ready, ready)
            i_ready, valid = ctx.get(dut.i.ready), ctx.get(dut.o.valid)
            seen.append((i_ready, valid, valid & ready, ctx.get(dut.late), ctx.get(dut.o.payload.as_value())))
            if offering and i_ready:
                waiting.pop(0)
                offering = False
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    flags = np.array([row[:4] for row in seen], np.bool_).T
    return Pins(*flags, [row[4] for row in seen])


def input_rows(plan: Plan, spikes: NDArray[np.bool_]) -> list[int]:
    """The payloads of `i` for records of spikes (records, steps, inputs)."""
    records, steps, inputs = spikes.shape
    padded = np.zeros((records, steps, plan.i_rows * INPUT_LANES), np.bool_)
    padded[:, :, :inputs] = spikes
    words = padded.reshape(records, steps, plan.i_rows, INPUT_LANES) @ (1 << np.arange(INPUT_LANES))
    step_end = np.zeros_like(words)
    step_end[:, :, -1] = 1
    record_end = np.zeros_like(words)
    record_end[:, -1, -1] = 1
    return [int(word) for word in (words | step_end << INPUT_LANES | record_end << INPUT_LANES + 1).ravel()]


def leaving_rows(plan: Plan, pins: Pins, steps: int) -> Rows:
    """The payloads that were taken, as (records, steps, neurons) bool; whole steps only, `steps` of them a record."""
    values = [value for value, taken in zip(pins.o_payload, pins.o_taken, strict=True) if taken]
    bits = np.array([[value >> lane & 1 for lane in range(plan.o_lanes)] for value in values], np.bool_)
    return bits.reshape(-1, steps, plan.o_rows * plan.o_lanes)[:, :, : plan.spec.outputs]
