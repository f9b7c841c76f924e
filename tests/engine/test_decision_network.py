"""Networks that release one decision a record: the gateware against the golden model, and what its pins tell."""

from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from support.backends import SIMULATORS, Pins, Stalls, amaranth_sim, golden, observe, verilator
from support.jobs import STALL_BITS
from support.strategies import EVERY_OTHER, Case, decision_cases

from spikeveil.hdl.engine.plan import Plan
from spikeveil.host.cosim import LeasePorts
from spikeveil.pysim import Decision, FlipSpec, LayerSpec, Leak, NetworkSpec, OneHotDecision

LEASE = LeasePorts(number=5, record=7, key=0x0123456789ABCDEF0123, seeds=(3**70, 5**50))
KARY = Decision(10, 25, 8)
ONE_HOT = OneHotDecision(10, 1 << 31, 1 << 28)


def spec(decision: Any, *, readout: bool = False, group: int = 2, steps: int = 6) -> NetworkSpec:
    rng = np.random.default_rng(3)
    last: dict[str, Any] = {"readout": True} if readout else {"threshold": 9, "leak": Leak.shift(2)}
    return NetworkSpec(
        [
            LayerSpec(rng.integers(-8, 8, (12, 20)), threshold=6, weight_bits=4, flip=FlipSpec(30, 8)),
            LayerSpec(rng.integers(-8, 8, (10 * (1 if readout else group), 12)), weight_bits=4, **last),
        ],
        decision=decision,
        steps=steps,
    )


SPECS = {
    "kary": spec(KARY),
    "one_hot": spec(ONE_HOT),
    "readout": spec(KARY, readout=True),
    "sum": spec(Decision(10, 25, 8, "sum"), readout=True),
    "one_neuron_a_class": spec(KARY, group=1),
    "one_step": spec(KARY, steps=1),
}


@pytest.mark.parametrize("simulator", SIMULATORS)
@pytest.mark.parametrize("schedule", ["private", "fast"])
@pytest.mark.parametrize("name", ["kary", "one_hot", "readout"])
def test_gateware_decides_as_the_model(simulator: Any, schedule: Any, name: str) -> None:
    plan = Plan(SPECS[name], lanes=8, schedule=schedule, unsafe=True)
    spikes = np.random.default_rng(4).random((12, 6, 20)) < 0.4
    stalls = Stalls(i=EVERY_OTHER, o=EVERY_OTHER << 1)
    decisions = golden(plan, spikes, LEASE)
    assert len(np.unique(decisions, axis=0)) > 2
    np.testing.assert_array_equal(simulator(plan, spikes, LEASE, stalls), decisions)


@pytest.mark.parametrize("source", ["trivium", "lfsr"])
@pytest.mark.parametrize("name", SPECS)
def test_every_kind_of_decision_on_either_source(name: str, source: Any) -> None:
    plan = Plan(SPECS[name], lanes=16, source=source)
    steps = SPECS[name].steps or 1
    spikes = np.random.default_rng(5).random((9, steps, 20)) < 0.4
    np.testing.assert_array_equal(amaranth_sim(plan, spikes, LEASE), golden(plan, spikes, LEASE))


@settings(max_examples=12)
@given(decision_cases())
def test_random_networks_decide_as_the_model(case: Case) -> None:
    expected = golden(case.plan, case.spikes, case.lease)
    np.testing.assert_array_equal(amaranth_sim(case.plan, case.spikes, case.lease, case.stalls), expected)


def test_soak_random_networks_decide_as_the_model(soak: bool) -> None:
    """300 cases with `--soak`, three otherwise."""

    @settings(max_examples=300 if soak else 3, database=None)
    @given(decision_cases())
    def compare(case: Case) -> None:
        expected = golden(case.plan, case.spikes, case.lease)
        np.testing.assert_array_equal(amaranth_sim(case.plan, case.spikes, case.lease, case.stalls), expected)

    compare()


@pytest.mark.parametrize("name", ["kary", "one_hot", "readout"])
def test_the_pins_tell_nothing_but_the_decision(name: str) -> None:
    """Different raw inputs: in every cycle the same ready, valid and late, and a payload of zero while not valid."""
    plan, rng = Plan(SPECS[name], lanes=8), np.random.default_rng(6)
    cycles = plan.cadence * (6 * 4 + plan.slots + 2)
    timings = []
    for rate in (0.0, 0.3, 1.0):
        pins = observe(plan, rng.random((4, 6, 20)) < rate, LEASE, cycles=cycles)
        assert pins.o_taken.sum() == 4
        timings.append(pins.timing)
    for timing in timings[1:]:
        np.testing.assert_array_equal(timing, timings[0])


def test_a_decision_leaves_a_fixed_number_of_slots_after_its_last_step() -> None:
    plan = Plan(SPECS["kary"], lanes=8)
    pins = observe(plan, np.zeros((3, 6, 20), bool), LEASE, cycles=plan.cadence * (18 + plan.slots + 2))
    leaving = np.flatnonzero(pins.o_taken)
    assert np.diff(leaving).tolist() == [6 * plan.cadence] * 2


@pytest.mark.parametrize("seed", range(3))
def test_irregular_input_moves_a_decision_by_whole_slots(seed: int) -> None:
    """Rows arrive with random gaps: a decision follows the tick that admits its record's last step by `slots` ticks."""
    plan, dice = Plan(SPECS["kary"], lanes=8), Random(seed)
    stalls = Stalls(i=(1 << STALL_BITS) - 1 ^ sum(1 << dice.randrange(STALL_BITS) for _ in range(2 + seed)), o=0)
    spikes = np.random.default_rng(seed).random((3, 6, 20)) < 0.4
    cycles = 18 * max(plan.cadence, STALL_BITS) + plan.cadence * (plan.slots + 3)  # two rows or more in STALL_BITS
    pins = observe(plan, spikes, LEASE, cycles=cycles, stalls=stalls)
    record_rows = 6 * plan.i_rows
    arrival = np.array(accepted_rows(pins, stalls, len(spikes) * record_rows))[record_rows - 1 :: record_rows]
    admission = 1 + plan.cadence * -(-arrival // plan.cadence)  # the first tick is in cycle 1
    leaving = np.flatnonzero(pins.o_taken)
    assert len(set((admission - arrival).tolist())) > 1, "the gaps must differ"
    assert len(leaving) == len(spikes)
    assert len(set((leaving - admission).tolist())) == 1
    assert (leaving - admission)[0] // plan.cadence == plan.slots


def accepted_rows(pins: Pins, stalls: Stalls, count: int) -> list[int]:
    """The cycles in which `observe` had its rows accepted."""
    cycles: list[int] = []
    offering = False
    for cycle, ready in enumerate(pins.i_ready):
        offering = len(cycles) < count and (offering or not stalls.i >> cycle % STALL_BITS & 1)
        if offering and ready:
            cycles.append(cycle)
            offering = False
    return cycles


@pytest.mark.verilator
def test_a_readout_of_64_classes_in_verilator() -> None:
    rng = np.random.default_rng(8)
    layer = LayerSpec(rng.integers(-8, 8, (64, 30)), weight_bits=4, readout=True, leak=Leak.scale(3, 2))
    network = NetworkSpec([layer], decision=Decision.for_epsilon(6.0, 64), steps=5)
    plan = Plan(network, lanes=16)
    spikes = rng.random((20, 5, 30)) < 0.5
    np.testing.assert_array_equal(verilator(plan, spikes, LEASE), golden(plan, spikes, LEASE))


def test_the_rows_of_the_last_layer_are_of_one_class_each() -> None:
    for lanes in (1, 3, 8, 16):
        for schedule in ("private", "fast"):
            plan = Plan(SPECS["kary"], lanes=lanes, schedule=schedule, unsafe=True)  # type: ignore[arg-type]
            assert 2 % plan.layer_lanes[-1].scan == 0
