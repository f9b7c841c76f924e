"""A device that decides: every decision is the golden model's, and no pin shows more of a record than its decision."""

from random import Random
from typing import Any

import numpy as np
import pytest
from device.test_core import Opening, Trace, key_bytes, traces
from device.test_top import CLOCK, DECISIONS, KEY, PLANS, frame, opened, parse_replies, simulate
from device.test_top import parse as bodies
from hypothesis import given, settings
from numpy.typing import NDArray
from support.backends import golden
from support.strategies import Case, decision_cases

from spikeveil.hdl.device.top import Top
from spikeveil.hdl.engine.plan import Plan
from spikeveil.host.cosim import LeasePorts
from spikeveil.pysim import Decision, FlipSpec, LayerSpec, Network, NetworkSpec, OneHotDecision, TriviumSource
from spikeveil.pysim.device.guard import Offer
from spikeveil.pysim.device.messages import MessageKind, pack, reverse_key
from spikeveil.pysim.device.top import DeviceModel
from spikeveil.pysim.device.unpack import bitmaps

KARY, ONE_HOT = Decision(5, 30, 8), OneHotDecision(5, 200, 40, 8)
STEPS = 3


def network(decision: Any, *, readout: bool = False, steps: int = STEPS) -> NetworkSpec:
    """A flipped layer, and ten neurons (or a readout of five) that decide."""
    rng = np.random.default_rng(1)
    hidden = LayerSpec(rng.integers(-4, 8, (7, 20)), threshold=11, flip=FlipSpec(3, 3), spike_limit=9)
    last: dict[str, Any] = {"readout": True, "state_bits": 9} if readout else {"threshold": 9}
    deciding = LayerSpec(rng.integers(-3, 8, (5 if readout else 10, 7)), **last)
    return NetworkSpec([hidden, deciding], decision=decision, steps=steps)


class Records(Opening):
    """A lease whose quota is in records, as a guard of decisions counts."""

    @property
    def offer(self) -> Offer:
        records, steps, _ = self.spikes.shape
        return Offer(self.number, nonce=self.number, quota=records, record_steps=steps)


def decisions(plan: Plan, seen: Trace) -> NDArray[Any]:
    """The decisions that left, as `golden` gives them."""
    decision = plan.spec.decision
    assert decision is not None
    rows = [value for value, pin in zip(seen.payloads, seen.pins, strict=True) if pin[1] & pin[2]]
    values = np.array([row & (1 << plan.o_lanes) - 1 for row in rows], np.int64)
    if decision.output_neurons == 1:
        return values
    return (values[:, None] >> np.arange(decision.classes) & 1).astype(np.bool_)


def duration(plan: Plan, records: int) -> int:
    return (records * (plan.spec.steps or 1) + plan.slots + 3) * plan.cadence


@pytest.mark.parametrize("source", ["trivium", "lfsr"])
@pytest.mark.parametrize(
    "spec", [network(KARY), network(ONE_HOT), network(KARY, readout=True)], ids=["kary", "one-hot", "readout"]
)
def test_exactly_the_leased_decisions_leave(spec: NetworkSpec, source: Any) -> None:
    """More records are offered; one decision leaves for each of the quota, then the gate shuts."""
    plan = Plan(spec, lanes=4, source=source)
    lease = Records(3, np.random.default_rng(0).random((4, STEPS, 20)) < 0.5)
    (seen,) = traces(plan, [(lease, duration(plan, 4))], stall=3)
    np.testing.assert_array_equal(decisions(plan, seen), lease.golden(plan))
    assert seen.pins[-1].tolist()[-1] == 0
    assert not seen.pins[:, 3].any()


@pytest.mark.parametrize("decision", [KARY, ONE_HOT], ids=lambda one: one.kind)
def test_a_new_lease_finds_nothing_of_the_scores_before(decision: Any) -> None:
    """Cut off within a record: from its first cycle on, the next lease is as on a device that was just switched on."""
    plan = Plan(network(decision), lanes=4)
    old = Records(1, np.ones((2, STEPS, 20), np.bool_), key=bytes(9) + b"\x01")
    new = Records(2, np.random.default_rng(2).random((2, STEPS, 20)) < 0.2)
    (fresh,) = traces(plan, [(new, duration(plan, 2))])
    np.testing.assert_array_equal(decisions(plan, fresh), new.golden(plan))
    for cut in (2 * plan.cadence + 5, (STEPS + plan.slots) * plan.cadence + 3):
        _, second = traces(plan, [(old, cut), (new, duration(plan, 2))])
        np.testing.assert_array_equal(second.pins, fresh.pins)
        assert second.payloads == fresh.payloads


def devices_decide_as_the_model(case: Case) -> None:
    spikes = case.spikes[:3]
    seeds = case.lease.seeds
    lease = Records(1 + case.lease.number % (1 << 39) // 2, spikes, case.lease.key.to_bytes(10, "big"), seeds)
    cycles = 400 + 2 * duration(case.plan, len(spikes))
    (seen,) = traces(case.plan, [(lease, cycles)], stall=5)
    np.testing.assert_array_equal(decisions(case.plan, seen), lease.golden(case.plan))


def test_random_devices_decide_as_the_model(soak: bool) -> None:
    """Guard and network of any decision, classes, groups, source and schedule; 200 with `--soak`, four otherwise."""

    @settings(max_examples=200 if soak else 4, database=None, deadline=None)
    @given(decision_cases())
    def compare(case: Case) -> None:
        devices_decide_as_the_model(case)

    compare()


def alike(spec: NetworkSpec, count: int) -> list[NDArray[np.bool_]]:
    """Different records (2, steps, inputs) of the same winners under `KEY` and lease 1, and so of equal decisions."""
    model, found = Network(spec, TriviumSource(reverse_key(KEY))), []
    rng, winners = np.random.default_rng(4), None
    while len(found) < count:
        spikes = rng.random((2, spec.steps or 1, spec.inputs)) < rng.choice([0.1, 0.5, 0.9])
        result = model.run(spikes, lease=1)
        assert result.winners is not None
        winners = result.winners if winners is None else winners
        if (result.winners == winners).all() and not any((spikes == other).all() for other in found):
            found.append(spikes)
    raw = [model.run(spikes, lease=1).raw[-1].sum() for spikes in found]
    assert len(set(raw)) > 1, "the counts of the winners must differ"
    return found


def every_pin(plan: Plan, spikes: NDArray[np.bool_], cycles: int) -> tuple[NDArray[np.int64], bytes]:
    """All outputs of the whole device, cycle by cycle, while records arrive; and the bytes that it sent."""
    top: Any = Top(plan, clock_hz=CLOCK, port="bytes", window=64, outbox=16)
    opening = opened(len(spikes), steps=spikes.shape[1], secret=KEY)
    data = bitmaps(spikes.reshape(-1, spikes.shape[2]))
    line = frame(opening) + frame(pack(MessageKind.INPUT, 2, data, nonce=9, position=0, confirmed=0))
    seen: list[list[int]] = []

    async def bench(ctx: Any) -> None:
        waiting = [0, *line]
        ctx.set(top.o.ready, 1)
        for cycle in range(cycles):
            if cycle == cycles - 1500:
                waiting += frame(pack(MessageKind.POLL, 3))
            ctx.set(top.i.valid, bool(waiting))
            ctx.set(top.i.payload, waiting[0] if waiting else 0)
            ready = ctx.get(top.i.ready)
            seen.append([ready, ctx.get(top.o.valid), ctx.get(top.o.payload) * ctx.get(top.o.valid), ctx.get(top.leds)])
            if ready and waiting:
                waiting.pop(0)
            await ctx.tick()

    simulate(top, bench)
    pins = np.array(seen)
    return pins, bytes(pins[pins[:, 1] == 1, 2].astype(np.uint8))


def test_no_pin_shows_more_than_the_decision() -> None:
    """Other raw spikes, other counts, equal decisions: ready, bytes, times and LEDs are the same in every cycle."""
    plan = PLANS["decisions"]
    cycles = 2500 + duration(plan, 2)
    first, *others = (every_pin(plan, spikes, cycles) for spikes in alike(DECISIONS, 3))
    answers, output = parse_replies(bodies(first[1]))
    assert (sorted(output), answers[-1]["quota"]) == ([0, 1], 0)
    for pins, sent in others:
        np.testing.assert_array_equal(pins, first[0])
        assert sent == first[1]


def test_a_decision_is_delayed_by_the_host_alone() -> None:
    """Other winners: the same cycles; only the byte of a decision is another."""
    plan = PLANS["decisions"]
    cycles = 2500 + duration(plan, 2)
    rng = np.random.default_rng(9)
    seen = [every_pin(plan, rng.random((2, 2, 11)) < rate, cycles)[0] for rate in (0.0, 0.5, 1.0)]
    for pins in seen[1:]:
        np.testing.assert_array_equal(pins[:, [0, 1, 3]], seen[0][:, [0, 1, 3]])


def test_the_model_decides_at_the_end_of_a_record_in_pieces_of_any_size() -> None:
    spec = network(KARY)
    rng = Random(3)
    spikes = np.random.default_rng(3).random((6, STEPS, 20)) < 0.5
    data, device, position = bitmaps(spikes.reshape(-1, 20)), DeviceModel(spec), 0
    secret, output = key_bytes(bytes(range(60, 70))), {}
    device.receive(opened(6, steps=STEPS, secret=secret))
    while position < len(data):
        piece = data[position : position + rng.randrange(1, 12)]
        sent = pack(MessageKind.INPUT, 2, piece, nonce=9, position=position, confirmed=len(output))
        output |= parse_replies(device.receive(sent))[1]
        position += len(piece)
        assert len(output) == position // (STEPS * 3)
    expected = golden(Plan(spec), spikes, LeasePorts(number=1, key=int.from_bytes(reverse_key(secret), "big")))
    assert [output[index] for index in range(6)] == expected.tolist()
