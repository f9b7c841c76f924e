"""The plan: the weakest sufficient noise, and the ceiling that no classifier passes."""

import itertools
import json
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from support.commands import invoke

from spikeveil.host.privacy import RandomizedResponse, Unit
from spikeveil.host.privacy.plan import accuracy_ceiling, make_privacy_plan, unit_costs
from spikeveil.host.privacy.wording import Raster


@settings(derandomize=True, max_examples=40, deadline=None)
@given(
    target=st.floats(0.01, 60),
    unit=st.sampled_from(Unit),
    steps=st.integers(1, 30),
    neurons=st.integers(1, 20),
    limit=st.none() | st.integers(1, 50),
    releases=st.integers(1, 30),
    delta=st.sampled_from([0, 1e-9, 1e-5]),
)
def test_the_plan_is_the_smallest_threshold_within_the_target(
    target: float, unit: Unit, steps: int, neurons: int, limit: int | None, releases: int, delta: float
) -> None:
    raster = Raster(steps, neurons, limit)
    plan = make_privacy_plan(target, delta, unit, raster, releases, bits=12)
    threshold = plan.mechanism.threshold
    assert plan.epsilon <= target
    if threshold > 1:
        weaker = RandomizedResponse(threshold - 1, 12)
        assert weaker.epsilon_composed(plan.bits, delta) > target
    assert plan.bits == releases * unit.bits(steps, neurons, spike_limit=limit)


def test_a_plan_without_delta_is_a_plain_sum() -> None:
    plan = make_privacy_plan(8, 0, "record", Raster(4, 2), 2)
    assert plan.bits == 16
    assert plan.mechanism == RandomizedResponse.for_epsilon(0.5)
    exact = 16 * mpmath.log((65536 - mpmath.mpf(plan.mechanism.threshold)) / plan.mechanism.threshold)
    assert 0 <= plan.epsilon - exact < 1e-12
    assert plan.record_epsilon_one == plan.epsilon_one == pytest.approx(float(exact / 2), rel=1e-12)


def test_an_impossible_target_is_met_by_a_fair_coin() -> None:
    plan = make_privacy_plan(0, 0, "record", Raster(16, 10), 1)
    assert plan.mechanism.flip_probability == Fraction(1, 2)
    assert plan.epsilon == 0
    assert plan.ceiling(10, 1) == 0.1


@pytest.mark.parametrize(("epsilon", "percent"), [(1, 23), (3, 69), (5, 94)])
def test_the_ceiling_at_ten_classes(epsilon: float, percent: int) -> None:
    ceiling = accuracy_ceiling(epsilon, 0, 10)
    exact = mpmath.exp(epsilon) / (mpmath.exp(epsilon) + 9)
    assert 0 <= ceiling - exact < 1e-15
    assert round(100 * ceiling) == percent


@pytest.mark.parametrize(
    ("epsilon", "delta", "classes"), [(1.0, 0.0, 3), (0.5, 0.01, 3), (2.0, 0.1, 2), (0.0, 0.05, 4)]
)
def test_the_ceiling_is_what_a_linear_program_finds(epsilon: float, delta: float, classes: int) -> None:
    """The best channel P[guess | class] under (epsilon, delta) on every set of guesses, by linear programming."""
    rows, limits = [], []
    for i, j in itertools.permutations(range(classes), 2):
        for size in range(1, classes):
            for guesses in itertools.combinations(range(classes), size):
                row = np.zeros((classes, classes))
                row[i, list(guesses)] += 1
                row[j, list(guesses)] -= np.exp(epsilon)
                rows.append(row.ravel())
                limits.append(delta)
    sums = np.kron(np.eye(classes), np.ones(classes))
    best = linprog(
        -np.eye(classes).ravel() / classes, A_ub=np.array(rows), b_ub=limits, A_eq=sums, b_eq=np.ones(classes)
    )
    assert best.status == 0
    assert accuracy_ceiling(epsilon, delta, classes) == pytest.approx(-best.fun, rel=1e-6)
    assert accuracy_ceiling(epsilon, delta, classes) >= -best.fun - 1e-9


def test_the_ceiling_at_the_ends() -> None:
    assert accuracy_ceiling(float("inf"), 0, 10) == 1.0
    assert accuracy_ceiling(5000.0, 0, 10) == 1.0
    assert accuracy_ceiling(0, 0, 4) == 0.25
    assert accuracy_ceiling(0, Fraction(1, 2), 2) == 0.75


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: make_privacy_plan(-1, 0, "record", Raster(1, 1), 1), "target epsilon must be 0 or more, not -1"),
        (lambda: make_privacy_plan(1, 1, "record", Raster(1, 1), 1), "delta must be under 1, not 1"),
        (
            lambda: make_privacy_plan(1, 0, "pixel", Raster(1, 1), 1),
            "unit must be spike, neuron, step, record or subject, not 'pixel'",
        ),
        (lambda: make_privacy_plan(1, 0, "record", Raster(1, 1), 0), "releases must be an integer of 1 or more, not 0"),
        (lambda: make_privacy_plan(1, 0, "record", Raster(1, 1), 1, 17), "flip bits must be 1 to 16, not 17"),
        (lambda: Raster(0, 1), "steps must be an integer of 1 or more, not 0"),
        (lambda: accuracy_ceiling(1, 0, 1), "classes must be an integer of 2 or more, not 1"),
        (lambda: accuracy_ceiling(-1, 0, 2), "epsilon must be 0 or more, not -1"),
    ],
)
def test_bad_arguments_are_one_sentence(call: object, sentence: str) -> None:
    with pytest.raises(ValueError) as refusal:
        call()  # type: ignore[operator]
    assert str(refusal.value) == sentence


def test_every_unit_has_its_own_count() -> None:
    costs = unit_costs(RandomizedResponse(1, 2), Raster(5, 4), 5, 1e-6)
    assert [(cost.bits_one, cost.bits) for cost in costs] == [(1, 5), (5, 25), (4, 20), (20, 100)]
    assert round(costs[-1].epsilon, 6) == 94.289868
    assert all(cost.epsilon_one <= cost.epsilon for cost in costs)


def test_the_command_prints_the_whole_claim() -> None:
    arguments = (
        "plan --epsilon 10 --delta 1e-6 --unit record -T 16 -N 10 --spike-limit 16 --releases-per-day 8 --days 3"
    )
    shown = invoke(*arguments.split())
    text = " ".join(shown.stdout.replace("│", " ").split())
    for part in (
        "record level, delta 1e-06, 768 bits",
        "all 24 releases",
        "neighbours differ in the whole record of raw spikes",
        "at most 16 spikes a record enter the flipper",
        "secret 80-bit key",
        "accuracy ceiling, 10 classes",
        "exact binomial of a session declared beforehand, rounded up",
    ):
        assert part in text
    record = json.loads(invoke(*arguments.split(), "--json").stdout)
    mechanism = RandomizedResponse(record["threshold"], record["bits"])
    assert record["epsilon"] == mechanism.epsilon_composed(768, 1e-6) <= 10
    assert RandomizedResponse(record["threshold"] - 1, 16).epsilon_composed(768, 1e-6) > 10
    assert record["composed_bits"] == 768


def test_the_command_refuses_in_one_sentence() -> None:
    start = "plan --unit record -T 16 -N 10 --releases-per-day 1"
    for arguments, sentence in (
        ("--epsilon -1 --delta 0", "target epsilon must be 0 or more, not '-1'"),
        ("--epsilon inf --delta 0", "target epsilon must be finite, not inf"),
        ("--epsilon 1 --delta 1", "delta must be at least 0 and under 1, not '1'"),
        ("--epsilon 1 --delta 0 -w 17", "flip bits must be 1 to 16, not 17"),
    ):
        assert sentence in invoke(*start.split(), *arguments.split(), code=2).stderr
