"""Decisions and flipped spikes about one record together: against every joint outcome, in exact fractions."""

from collections import Counter
from fractions import Fraction
from itertools import product
from typing import Any

import mpmath
import numpy as np
import pytest

from spikeveil.host.privacy import Accountant, Event, KaryRandomizedResponse, RandomizedResponse, compose, loss_bounds
from spikeveil.host.privacy.composition import Composition
from spikeveil.host.privacy.decisions import epsilon_of_decisions
from spikeveil.pysim import Decision, OneHotDecision

#: probabilities of an outcome under one input and under its neighbour
Outcomes = Counter[tuple[Fraction, Fraction]]


def outcomes(mechanism: Any) -> list[tuple[Fraction, Fraction]]:
    """Of every output of one release: two class numbers, two one-hot words, or two bits."""
    if isinstance(mechanism, RandomizedResponse):
        p = mechanism.flip_probability
        return [(p, 1 - p), (1 - p, p)]
    words = 1 << mechanism.bits
    if isinstance(mechanism, Decision):
        rest = Fraction(mechanism.q, words)
        kept = 1 - (mechanism.classes - 1) * rest
        return [(kept, rest), (rest, kept), *[(rest, rest)] * (mechanism.classes - 2)]
    k1, k0 = Fraction(mechanism.k1, words), Fraction(mechanism.k0, words)
    bits = [[(k1, k0), (1 - k1, 1 - k0)], [(k0, k1), (1 - k0, 1 - k1)]]
    return [(a[0] * b[0], a[1] * b[1]) for a, b in product(*bits)]


def joint(events: list[Event]) -> Outcomes:
    """All releases together: how often each pair of probabilities occurs."""
    found: Outcomes = Counter({(Fraction(1), Fraction(1)): 1})
    for event in events:
        for _ in range(event.count):
            following: Outcomes = Counter()
            for (p, q), number in found.items():
                for a, b in outcomes(event.mechanism):
                    following[p * a, q * b] += number
            found = following
    return found


def hockey_stick(found: Outcomes, epsilon: float) -> Any:
    """sum (p - e^epsilon q)+, in 50 digits."""
    with mpmath.workdps(50):
        factor = mpmath.exp(epsilon)
        terms = [
            number * (mpmath.mpf(p.numerator) / p.denominator - factor * mpmath.mpf(q.numerator) / q.denominator)
            for (p, q), number in found.items()
        ]
        return sum((term for term in terms if term > 0), mpmath.mpf(0))


MIXES = [
    [Event(Decision(3, 2, 4), 2), Event(RandomizedResponse(3, 4), 3)],
    [Event(OneHotDecision(3, 12, 3, 4), 2), Event(RandomizedResponse(5, 4), 2)],
    [Event(Decision(10, 25, 8), 2), Event(OneHotDecision(10, 200, 30, 8), 1), Event(RandomizedResponse(69, 8), 3)],
    [Event(Decision(2, 1, 3), 3), Event(Decision(5, 3, 5), 2)],
]


@pytest.mark.parametrize("events", MIXES, ids=[str(number) for number in range(len(MIXES))])
@pytest.mark.parametrize("listed", [loss_bounds.LISTED, 0], ids=["list", "grid"])
def test_a_mixture_is_bounded(events: list[Event], listed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never below the sum over all outcomes; within 1e-9 of it where outcomes are listed."""
    monkeypatch.setattr(loss_bounds, "LISTED", listed)
    found, together = joint(events), compose(events)
    for epsilon in np.linspace(0.05, together.pure_epsilon * 0.98, 7):
        exact = hockey_stick(found, float(epsilon))
        bound = together.delta(float(epsilon))
        assert bound >= exact
        if listed:
            assert bound <= exact * (1 + 1e-9) + 1e-20
    for delta in (1e-1, 1e-3, 1e-6):
        epsilon = together.epsilon(delta)
        assert hockey_stick(found, epsilon) <= delta * (1 + 1e-15)
        if listed and epsilon:
            assert hockey_stick(found, epsilon * (1 - 1e-6)) > delta


def test_random_mixtures_against_exact_fractions(soak: bool) -> None:
    """2,000 cases with `--soak`: no epsilon is below the truth, and none is 1e-6 above it."""
    rng = np.random.default_rng(3)
    for _ in range(2000 if soak else 15):
        classes, bits = int(rng.integers(2, 8)), int(rng.choice([8, 16, 32]))
        q = int(rng.integers(1, (1 << bits) // classes + 1))
        flip = RandomizedResponse(int(rng.integers(1, 128)), 8)
        events = [Event(Decision(classes, q, bits), int(rng.integers(1, 4))), Event(flip, int(rng.integers(1, 5)))]
        delta = float(10.0 ** -rng.uniform(1, 8))
        found, epsilon = joint(events), compose(events).epsilon(delta)
        assert hockey_stick(found, epsilon) <= delta * (1 + 1e-15)
        if epsilon > 1e-6:
            assert hockey_stick(found, epsilon * (1 - 1e-6)) > delta


def test_equal_losses_are_one_group() -> None:
    """The score that found the winner has no part in the loss; a uniform decision has none at all."""
    events = [Event(Decision(10, 25, 8), 2), Event(Decision(10, 25, 8, "sum")), Event(Decision(4, 64, 8), 7)]
    together = compose(events)
    assert together == Composition((), ((Decision(10, 25, 8), 3),))
    assert together.epsilon(1e-6) == epsilon_of_decisions(Decision(10, 25, 8), 3, 1e-6)


def test_the_accountant_takes_decisions() -> None:
    decision = Decision.for_epsilon(1.0, 10)
    accountant = Accountant(30, 1e-5, unit="record")
    assert accountant.spend(decision).charge == Fraction(decision.epsilon)
    session = accountant.spend(decision, count=40, delta=1e-6)
    assert session.charge == Fraction(epsilon_of_decisions(decision, 40, 1e-6)) < 40 * Fraction(decision.epsilon)
    renyi = Accountant(30, 1e-5, unit="record", rule="renyi")
    response = Accountant(30, 1e-5, unit="record", rule="renyi")
    flip = RandomizedResponse(1, 2)
    assert renyi.spend(Decision(2, 1, 2)).charge == response.spend(flip).charge  # both have epsilon ln 3


def test_many_decisions_are_bounded_by_binary_responses() -> None:
    decision = Decision.for_epsilon(0.1, 10)
    assert epsilon_of_decisions(decision, 10**9, 1e-6) <= 10**9 * decision.epsilon
    assert epsilon_of_decisions(decision, 100_001, 1e-6) > epsilon_of_decisions(decision, 1000, 1e-6)
    assert compose([Event(decision, 10**6), Event(RandomizedResponse(3, 4), 10)]).epsilon(1e-6) < 10**5


def test_the_old_label_mechanism_is_the_decision_of_its_probabilities() -> None:
    label = KaryRandomizedResponse(10, 9 * 25, 8)
    assert label.decision() == Decision(10, 25, 8)
    assert label.decision().epsilon == label.epsilon
    with pytest.raises(ValueError, match=r"^label threshold must be a multiple of 9, not 10$"):
        KaryRandomizedResponse(10, 10, 8).decision()


def exact_delta(decision: Decision, count: int, flip: RandomizedResponse, bits: int, epsilon: float) -> Any:
    """Of `count` decisions and `bits` flipped bits, by mpmath, from their joint distribution."""
    words = mpmath.mpf(1 << decision.bits)
    b, a = decision.q / words, ((1 << decision.bits) - (decision.classes - 1) * decision.q) / words
    p = mpmath.mpf(flip.threshold) / (1 << flip.bits)
    one, other, total = mpmath.log(a / b), mpmath.log((1 - p) / p), mpmath.mpf(0)
    sums = Counter[int]()
    for plus in range(count + 1):
        for minus in range(count - plus + 1):
            ways = mpmath.binomial(count, plus) * mpmath.binomial(count - plus, minus)
            sums[plus - minus] += ways * a**plus * b**minus * (1 - a - b) ** (count - plus - minus)
    flips = [mpmath.binomial(bits, i) * p**i * (1 - p) ** (bits - i) for i in range(bits + 1)]
    for net, weight in sums.items():
        for i, chance in enumerate(flips):
            loss = net * one + (bits - 2 * i) * other
            if loss > epsilon:
                total += weight * chance * (1 - mpmath.exp(epsilon - loss))
    return total


@pytest.mark.parametrize("listed", [loss_bounds.LISTED, 0], ids=["list", "grid"])
def test_a_record_of_spikes_and_decisions_about_it(listed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """100 flipped bits and 12 decisions of epsilon 1, at delta 1e-6: exact where listed, 1e-3 above it on the grid."""
    monkeypatch.setattr(loss_bounds, "LISTED", listed)
    decision, flip = Decision.for_epsilon(1.0, 10), RandomizedResponse(69, 8)
    found = compose([Event(decision, 12), Event(flip, 100)]).epsilon(1e-6)
    alone = flip.epsilon_composed(100, 1e-6)
    assert alone < found < alone + 12
    with mpmath.workdps(40):
        assert exact_delta(decision, 12, flip, 100, found) <= 1e-6 * (1 + 1e-12)
        assert exact_delta(decision, 12, flip, 100, found * (1 - (1e-6 if listed else 1e-3))) > 1e-6
