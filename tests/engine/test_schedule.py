"""What a network promises about cycles and leases, at its pins."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from support.backends import NO_STALLS, Stalls, amaranth_sim, golden, leaving_rows, observe, traced
from support.strategies import EVERY_OTHER

from spikeveil.hdl.engine import neuron
from spikeveil.hdl.engine.plan import Plan
from spikeveil.host.cosim import LeasePorts
from spikeveil.pysim.model.flipper import FlipSpec
from spikeveil.pysim.model.spec import LayerSpec, NetworkSpec

LEASE = LeasePorts(number=1, record=2, key=0xABCD, seeds=(5 << 90,))


def eager(neurons: int, inputs: int, **options: Any) -> LayerSpec:
    """Every neuron fires in each step with a spike."""
    return LayerSpec(np.ones((neurons, inputs), int), threshold=1, **options)


def cost(plan: Plan, index: int, active: int) -> int:
    """The bound on a layer's cycles a step: active * ceil(N / lanes) + ceil(N / lanes) + 8."""
    count = plan.rows(index)
    return active * count + count + 8


@pytest.mark.parametrize(
    ("sizes", "lanes"),
    [
        ((16, 12), 12),
        ((16, 12), 4),
        ((33, 17), 3),
        ((8, 16, 8, 16), 4),
        ((24, 24, 24), 8),
        ((3, 40, 5), 5),
        ((1, 1), 1),
    ],
)
@pytest.mark.parametrize("rate", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("flip", [None, FlipSpec(1, 16)])
def test_fast_steps_follow_each_other_at_the_slowest_layers_cost(
    sizes: tuple[int, ...], lanes: int, rate: float, flip: FlipSpec | None
) -> None:
    """In steady state, whatever the number of layers: they work on different steps at once."""
    chain = [eager(after, before) for before, after in pairwise(sizes)]
    chain[0] = eager(sizes[1], sizes[0], flip=flip)
    plan = Plan(NetworkSpec(chain), lanes=lanes, source="lfsr", schedule="fast", unsafe=True)
    spikes = np.zeros((1, 9, sizes[0]), np.bool_)
    spikes[:, :, : round(rate * sizes[0])] = True
    sent = traced(plan, spikes, LEASE).sent
    active = [max(x[0, t].sum() for t in range(9)) for x in (spikes, *sent)]
    slowest = max(cost(plan, index, active[index]) for index in range(len(chain)))
    pins = observe(plan, spikes, LEASE, cycles=(9 + len(chain)) * (slowest + 20) + 160)
    step_ends = np.flatnonzero(pins.o_taken)[plan.o_rows - 1 :: plan.o_rows]
    assert len(step_ends) == 9
    draws = -(-sizes[1] // plan.words_per_beat(0))  # cycles in which the source makes one step's masks
    assert step_ends[-1] - step_ends[2] <= 6 * max(slowest, draws + 2 if flip else 0)


@pytest.mark.parametrize("source", ["lfsr", "trivium"])
@pytest.mark.parametrize("schedule", ["fast", "private"])
def test_a_second_lease_starts_afresh(source: Any, schedule: Any) -> None:
    """Masks made ahead under the first lease are gone, the record counter starts where the second one says."""
    spec = NetworkSpec([eager(7, 5, flip=FlipSpec(3, 3), spike_limit=9), eager(6, 7, flip=FlipSpec(1, 1))])
    plan = Plan(spec, lanes=3, source=source, schedule=schedule)
    rng = np.random.default_rng(2)
    first, second = rng.random((2, 2, 2, 5)) < 0.5
    old = LeasePorts(number=1, record=2, key=0xABCD, seeds=(5 << 90, 9))
    lease = LeasePorts(number=2, record=2, key=0xABCD, seeds=(77, 3))
    reopen = (4 + plan.slots + 2) * plan.cadence
    pins = observe(plan, first, old, cycles=2 * reopen, reopened=(reopen, lease, second))
    got = leaving_rows(plan, pins, 2)
    np.testing.assert_array_equal(got, np.concatenate([golden(plan, first, old), golden(plan, second, lease)]))
    assert (np.flatnonzero(pins.o_taken)[: len(got) * 2 * plan.o_rows // 2] < reopen).all()


@pytest.mark.parametrize("stalls", [NO_STALLS, Stalls(o=EVERY_OTHER), Stalls(i=0xFF00, o=0xFFFF_FFFF_0000_FFFF)])
@pytest.mark.parametrize("schedule", ["fast", "private"])
def test_an_offer_at_the_output_stands_until_taken(stalls: Stalls, schedule: Any) -> None:
    plan = Plan(NetworkSpec([eager(9, 6, flip=FlipSpec(1, 1))]), lanes=2, source="lfsr", schedule=schedule)
    pins = observe(plan, np.ones((2, 3, 6), np.bool_), LEASE, cycles=20 * plan.cadence, stalls=stalls)
    shown = list(zip(pins.o_valid, pins.o_payload, strict=True))
    for before, after, taken in zip(shown, shown[1:], pins.o_taken, strict=False):
        assert not before[0] or taken or before == after
    np.testing.assert_array_equal(leaving_rows(plan, pins, 3), golden(plan, np.ones((2, 3, 6), np.bool_), LEASE))


@pytest.mark.parametrize("schedule", ["fast", "private"])
def test_no_iv_comes_twice_when_the_records_run_out(schedule: Any) -> None:
    """The records behind 2^32 - 1 would wrap round to the masks of record 0; they never leave."""
    plan = Plan(NetworkSpec([eager(9, 6, flip=FlipSpec(1, 1))]), lanes=8, schedule=schedule)
    spikes = np.ones((4, 1, 6), np.bool_)
    lease = LeasePorts(number=7, record=(1 << 32) - 2, key=3)
    pins = observe(plan, spikes, lease, cycles=9 * plan.cadence)
    np.testing.assert_array_equal(leaving_rows(plan, pins, 1), golden(plan, spikes[:2], lease))
    assert pins.late[-1] == (schedule == "private")


@pytest.mark.parametrize("schedule", ["fast", "private"])
def test_a_seed_of_zero_releases_nothing(schedule: Any) -> None:
    plan = Plan(NetworkSpec([eager(9, 6, flip=FlipSpec(1, 1))]), lanes=8, source="lfsr", schedule=schedule)
    pins = observe(plan, np.ones((2, 2, 6), np.bool_), LeasePorts(seeds=(0,)), cycles=9 * plan.cadence)
    assert not pins.o_valid.any()


@pytest.mark.parametrize(
    ("neurons", "lanes", "fold", "cap"), [(16, 8, 4, None), (66, 64, 64, 1), (12, 4, 2, 1), (5, 5, 5, 7)]
)
@pytest.mark.parametrize("rate", [0.0, 0.5, 1.0])
def test_a_folded_row_takes_its_events_or_its_scan(
    neurons: int, lanes: int, fold: int, cap: int | None, rate: float
) -> None:
    """Whichever is longer, also where the scan is longer than the buffer of events; and a pipeline's length at most,
    where the queue of rows is no deeper than a step.
    """
    plan = Plan(NetworkSpec([eager(neurons, 8, input_cap=cap)]), lanes, schedule="fast", unsafe=True, fold=fold)
    spikes = np.zeros((1, 6, 8), np.bool_)
    spikes[:, :, : round(rate * 8)] = True
    np.testing.assert_array_equal(amaranth_sim(plan, spikes, LEASE), golden(plan, spikes, LEASE))
    count, own, events = plan.rows(0), plan.layer_lanes[0].fold, min(round(rate * 8), cap or 8)
    assert own == fold
    cycles = count * max(own, events) + max(1, neuron.MIN_REVISIT_CYCLES - count * own)
    pins = observe(plan, spikes, LEASE, cycles=8 * (cycles + 100))
    step_ends = np.flatnonzero(pins.o_taken)[plan.o_rows - 1 :: plan.o_rows]
    assert len(step_ends) == 6
    assert set(np.diff(step_ends)[2:]) <= set(range(cycles, cycles + 17))
