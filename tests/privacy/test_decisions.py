"""Composition of decisions: against every sequence of outputs where there are few, and against mpmath."""

from fractions import Fraction
from itertools import product
from typing import Any

import mpmath
import numpy as np
import pytest

from spikeveil.host.privacy.decisions import delta_of_decisions, epsilon_of_decisions
from spikeveil.pysim import Decision, OneHotDecision


def probabilities(decision: Any, winner: int) -> dict[Any, Fraction]:
    """Of every output of one decision, exactly."""
    words = 1 << decision.bits
    if isinstance(decision, Decision):
        other = Fraction(decision.q, words)
        return {c: 1 - (decision.classes - 1) * other if c == winner else other for c in range(decision.classes)}
    found = {}
    for bits in product((0, 1), repeat=decision.classes):
        found[bits] = Fraction(1)
        for number, bit in enumerate(bits):
            one = Fraction(decision.k1 if number == winner else decision.k0, words)
            found[bits] *= one if bit else 1 - one
    return found


SMALL = [
    Decision(2, 1, 2),
    Decision(3, 2, 4),
    Decision(5, 3, 5),
    OneHotDecision(2, 3, 1, 2),
    OneHotDecision(3, 12, 3, 4),
]


@pytest.mark.parametrize("decision", SMALL, ids=repr)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_delta_is_the_hockey_stick_over_all_outputs(decision: Any, count: int) -> None:
    p, q = probabilities(decision, 0), probabilities(decision, 1)
    for epsilon in (0.0, 0.3, 1.0, 2.5):
        with mpmath.workdps(40):
            bound, exact = mpmath.exp(epsilon), mpmath.mpf(0)
            for outputs in product(p, repeat=count):
                first = mpmath.mpf(1)
                second = mpmath.mpf(1)
                for output in outputs:
                    first *= mpmath.mpf(p[output].numerator) / p[output].denominator
                    second *= mpmath.mpf(q[output].numerator) / q[output].denominator
                exact += max(mpmath.mpf(0), first - bound * second)
            found = delta_of_decisions(decision, count, epsilon)
            assert found >= exact
            assert found <= exact * (1 + 1e-9) + 1e-15


def loss_probabilities(decision: Any) -> tuple[Any, Any]:
    """The probabilities of the losses +epsilon and -epsilon of one decision, by mpmath."""
    words = mpmath.mpf(1 << decision.bits)
    if isinstance(decision, Decision):
        return ((1 << decision.bits) - (decision.classes - 1) * decision.q) / words, decision.q / words
    k1, k0 = decision.k1 / words, decision.k0 / words
    return k1 * (1 - k0), (1 - k1) * k0


def exact_delta(decision: Any, count: int, epsilon: float) -> Any:
    """By mpmath, from the trinomial distribution of (wins, losses)."""
    a, b = loss_probabilities(decision)
    zero, loss, total = 1 - a - b, mpmath.log(a / b), mpmath.mpf(0)
    for plus in range(count + 1):
        for minus in range(min(plus, count - plus) + 1):
            if (plus - minus) * loss > epsilon:
                ways = mpmath.binomial(count, plus) * mpmath.binomial(count - plus, minus)
                weight = ways * a**plus * b**minus * (zero ** (count - plus - minus) if zero else count == plus + minus)
                total += weight * (1 - mpmath.exp(epsilon - (plus - minus) * loss))
    return total


def test_random_compositions_against_mpmath(soak: bool) -> None:
    """10,000 cases with `--soak`: never below, within 1e-6."""
    rng = np.random.default_rng(1)
    for _ in range(10_000 if soak else 40):
        classes, bits = int(rng.integers(2, 20)), int(rng.choice([8, 16, 32]))
        q = int(rng.integers(1, (1 << bits) // classes + 1)) if rng.random() < 0.5 else int(rng.integers(1, 12))
        decision: Any = Decision(classes, q, bits)
        if rng.random() < 0.3:
            k1 = int(rng.integers(2, 1 << bits))
            decision = OneHotDecision(classes, k1, int(rng.integers(1, k1)), bits)
        count = int(rng.integers(1, 40 if rng.random() < 0.1 else 12))
        delta = float(10.0 ** -rng.uniform(1, 9))
        with mpmath.workdps(60):
            epsilon = epsilon_of_decisions(decision, count, delta)
            assert exact_delta(decision, count, epsilon) <= mpmath.mpf(delta) * (1 + mpmath.mpf(10) ** -14)
            if epsilon > 1e-6:
                assert exact_delta(decision, count, epsilon * (1 - 1e-6)) > delta


def test_one_decision_costs_its_epsilon_and_repetition_less_than_the_sum() -> None:
    decision = Decision.for_epsilon(1.0, 10)
    assert epsilon_of_decisions(decision, 1) == decision.epsilon <= 1.0
    assert epsilon_of_decisions(decision, 0, 1e-6) == 0
    assert 9.99 < epsilon_of_decisions(decision, 10) <= 10.0000001
    assert epsilon_of_decisions(decision, 100, 1e-6) < 50 < 100 * decision.epsilon


@pytest.mark.parametrize("decision", [Decision.for_epsilon(1.0, 10), OneHotDecision.oue(1.0, 10)], ids=["kary", "oue"])
def test_the_most_that_may_be_composed_takes_seconds(decision: Any) -> None:
    """Mean and spread of the losses give the order: n epsilon (a - b) plus normal tails."""
    count, delta, words = 100_000, 1e-6, 1 << decision.bits
    if isinstance(decision, Decision):
        plus, minus = 1 - 9 * decision.q / words, decision.q / words
    else:
        plus, minus = decision.k1 * (words - decision.k0) / words**2, (words - decision.k1) * decision.k0 / words**2
    spread = np.sqrt(count * (plus + minus - (plus - minus) ** 2))
    found = epsilon_of_decisions(decision, count, delta) / decision.epsilon
    assert 4.5 * spread < found - count * (plus - minus) < 4.8 * spread
    assert delta_of_decisions(decision, count, found * decision.epsilon) == pytest.approx(delta, rel=1e-6)


def test_one_decision_never_costs_more_than_its_epsilon_at_any_delta() -> None:
    for decision in (Decision(10, 25, 8), OneHotDecision(3, (1 << 32) - 3, 5), Decision(2, (1 << 31) - 1)):
        assert 0 < epsilon_of_decisions(decision, 1, 5e-324) <= decision.epsilon
        assert epsilon_of_decisions(decision, 1, 0.9999999999) < decision.epsilon


def test_a_uniform_decision_costs_nothing() -> None:
    assert epsilon_of_decisions(Decision(4, 64, 8), 5, 0.0) == 0


@pytest.mark.parametrize("count", [-1, 10**12 + 1, 1.5])
def test_a_count_out_of_bounds_is_refused(count: Any) -> None:
    with pytest.raises(ValueError, match=r"count must be"):
        epsilon_of_decisions(Decision(3, 5, 8), count, 1e-6)
