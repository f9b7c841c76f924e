"""A network behind its guard: what leaves, and that a new lease finds nothing of the old one."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.backends import golden, input_rows
from support.component import run

from spikeveil.hdl.device.core import Core
from spikeveil.hdl.engine.plan import Plan
from spikeveil.host.cosim import LeasePorts
from spikeveil.pysim.device.guard import Offer
from spikeveil.pysim.device.wire import SEED_BYTES
from spikeveil.pysim.model.flipper import FlipSpec
from spikeveil.pysim.model.spec import LayerSpec, NetworkSpec

KEY = bytes.fromhex("0123456789ABCDEF8001")
SEEDS = (3 << 100 | 5, 77)
SEEDS_AFTER = (9 << 64 | 1, 1 << 126)


def network(*, readout: bool = False) -> NetworkSpec:
    """Two flipped layers, limits that count over a record, potentials that add up; and a readout behind them."""
    rng = np.random.default_rng(1)
    hidden = LayerSpec(
        rng.integers(-4, 8, (7, 20)),
        threshold=11,
        bias=rng.integers(-2, 4, 7),
        reset="subtract",
        flip=FlipSpec(3, 3),
        spike_limit=19,
    )
    shown = LayerSpec(rng.integers(-3, 8, (6, 7)), threshold=9, flip=FlipSpec(1, 2), step_spike_limit=4)
    return NetworkSpec(
        [hidden, shown, LayerSpec(rng.integers(-9, 9, (5, 6)), state_bits=7, readout=True)][: 2 + readout]
    )


def key_bytes(key: bytes) -> bytes:
    """A printed key as OPEN carries it."""
    return bytes(int(f"{byte:08b}"[::-1], 2) for byte in reversed(key))


@dataclass(frozen=True)
class Opening:
    """A lease with its records of spikes (records, steps, inputs)."""

    number: int
    spikes: NDArray[np.bool_]
    key: bytes = KEY
    seeds: tuple[int, ...] = SEEDS

    @property
    def offer(self) -> Offer:
        records, steps, _ = self.spikes.shape
        return Offer(self.number, nonce=self.number, quota=records * steps, record_steps=steps)

    def secret(self, plan: Plan) -> bytes:
        if plan.source == "trivium":
            return key_bytes(self.key)
        return b"".join(seed.to_bytes(SEED_BYTES, "little") for seed in self.seeds)

    def golden(self, plan: Plan) -> NDArray[Any]:
        lease = LeasePorts(number=self.number, key=int.from_bytes(self.key, "big"), seeds=self.seeds)
        return golden(plan, self.spikes, lease)


@dataclass(frozen=True)
class Trace:
    """Of every cycle from a lease's start on: i.ready, o.valid, o.ready, late, open, and the payload."""

    pins: NDArray[np.int64]
    payloads: list[int]

    def rows(self, plan: Plan, steps: int) -> NDArray[Any]:
        """What left: (records, steps, neurons), as `golden` gives it."""
        last = plan.spec.layers[-1]
        bits = last.state_bits if last.readout else 1
        values = [value for value, pin in zip(self.payloads, self.pins, strict=True) if pin[1] & pin[2]]
        fields = np.array(
            [[value >> bits * lane & (1 << bits) - 1 for lane in range(plan.o_lanes)] for value in values]
        )
        fields = fields.reshape(-1, steps, plan.o_rows * plan.o_lanes)[:, :, : last.neurons]
        return np.where(fields >> bits - 1, fields - (1 << bits), fields) if last.readout else fields.astype(np.bool_)


async def unlock(ctx: Any, dut: Any, plan: Plan, opening: Opening) -> None:
    """Open a lease; returns in its first cycle."""

    async def pulse(name: str) -> None:
        ctx.set(getattr(dut.control, name), 1)
        await ctx.tick()
        ctx.set(getattr(dut.control, name), 0)

    async def send_secret() -> None:
        for byte in opening.secret(plan):
            ctx.set(dut.control.secret.valid, 1)
            ctx.set(dut.control.secret.payload, byte)
            await ctx.tick()
        ctx.set(dut.control.secret.valid, 0)

    for name in ("lease", "nonce", "quota", "record_steps"):
        ctx.set(dut.control.offer[name], getattr(opening.offer, name))
    ctx.set(dut.control.loaded, 1)
    await pulse("rewind")
    await send_secret()
    await pulse("check")
    await send_secret()
    await pulse("begin")
    assert ctx.get(dut.control.open)


async def play(ctx: Any, dut: Any, plan: Plan, opening: Opening, cycles: int, *, stall: int = 0) -> Trace:
    """Offer the lease's rows, and more than they, for so many cycles; take what leaves but in every `stall`th."""
    waiting = input_rows(plan, opening.spikes) + input_rows(plan, opening.spikes)
    pins, payloads = [], []
    for cycle in range(cycles):
        ctx.set(dut.i.valid, bool(waiting))
        ctx.set(dut.i.payload.as_value(), waiting[0] if waiting else 0)
        ready = not stall or cycle % stall != 0
        ctx.set(dut.o.ready, ready)
        taken = ctx.get(dut.i.ready)
        pins.append([taken, ctx.get(dut.o.valid), ready, ctx.get(dut.late), ctx.get(dut.control.open)])
        payloads.append(ctx.get(dut.o.payload.as_value()))
        if taken and waiting:
            waiting.pop(0)
        await ctx.tick()
    ctx.set(dut.i.valid, 0)
    ctx.set(dut.o.ready, 0)
    return Trace(np.array(pins), payloads)


def traces(plan: Plan, script: list[tuple[Opening, int]], *, stall: int = 0) -> list[Trace]:
    """One device, leases one after the other, each cut off after so many cycles."""
    dut: Any = Core(plan)
    seen: list[Trace] = []

    async def bench(ctx: Any) -> None:
        for opening, cycles in script:
            await unlock(ctx, dut, plan, opening)
            seen.append(await play(ctx, dut, plan, opening, cycles, stall=stall))

    run(dut, bench)
    return seen


def records(seed: int, *, rate: float = 0.5) -> NDArray[np.bool_]:
    return np.random.default_rng(seed).random((2, 2, 20)) < rate


@pytest.mark.parametrize("source", ["trivium", "lfsr"])
@pytest.mark.parametrize("schedule", ["private", "fast"])
@pytest.mark.parametrize("readout", [False, True])
def test_exactly_what_was_leased_leaves(source: Any, schedule: Any, readout: bool) -> None:
    """More is offered; what leaves is the golden model's, potentials behind a flipper too; then the gate shuts."""
    plan = Plan(network(readout=readout), lanes=4, source=source, schedule=schedule)
    lease = Opening(3, records(0))
    (seen,) = traces(plan, [(lease, (4 + plan.slots + 2) * plan.cadence)], stall=3)
    np.testing.assert_array_equal(seen.rows(plan, 2), lease.golden(plan))
    left = np.flatnonzero(seen.pins[:, 1] & seen.pins[:, 2])
    assert len(left) == 4 * plan.o_rows
    assert seen.pins[-1].tolist()[-1] == 0
    assert not seen.pins[:, 3].any()


@pytest.mark.parametrize("source", ["trivium", "lfsr"])
@pytest.mark.parametrize("schedule", ["private", "fast"])
def test_a_new_lease_finds_nothing_of_the_old_one(source: Any, schedule: Any, soak: bool) -> None:
    """Cut off in the middle of anything: from its first cycle on, the next lease looks in every cycle as it does on a
    device that was just switched on, and releases the golden model's bits.
    """
    plan = Plan(network(readout=source == "lfsr"), lanes=4, source=source, schedule=schedule)
    lease_cycles = (4 + plan.slots + 1) * plan.cadence
    old = Opening(1, records(1, rate=0.9), key=bytes(9) + b"\x01" if source == "lfsr" else KEY, seeds=SEEDS_AFTER)
    new = Opening(2, records(2, rate=0.2))
    (fresh,) = traces(plan, [(new, lease_cycles)])
    np.testing.assert_array_equal(fresh.rows(plan, 2), new.golden(plan))
    rng = np.random.default_rng(5)
    if soak:
        cuts = [0, 1, 2, plan.cadence, *rng.integers(0, lease_cycles, 60)]
    else:
        cuts = [int(rng.integers(0, lease_cycles // 2))]
    for cut in cuts:
        _, second = traces(plan, [(old, cut), (new, lease_cycles)])
        np.testing.assert_array_equal(second.pins, fresh.pins)
        assert second.payloads == fresh.payloads
