"""Decisions: probabilities by enumeration of every word, epsilon against mpmath, winners and ties by hand."""

import math
from collections import Counter
from fractions import Fraction

import mpmath
import numpy as np
import pytest

from spikeveil.pysim.model.decision import Decision, OneHotDecision, winners_by_potential, winners_by_spikes


@pytest.mark.parametrize(
    ("classes", "q", "bits"), [(2, 1, 1), (2, 3, 4), (3, 5, 4), (10, 25, 8), (7, 1, 6), (64, 4, 8)]
)
def test_every_other_class_has_probability_q_of_all_words(classes: int, q: int, bits: int) -> None:
    decision, words = Decision(classes, q, bits), np.arange(1 << bits)[:, None]
    for winner in range(classes):
        released = decision.release(np.full(1 << bits, winner), words)
        counts = Counter(released.tolist())
        assert {other: counts[other] for other in range(classes) if other != winner} == dict.fromkeys(
            (other for other in range(classes) if other != winner), q
        )
        assert counts[winner] == (1 << bits) - (classes - 1) * q


def test_the_others_come_in_ascending_order_with_the_winner_skipped() -> None:
    released = Decision(4, 2, 3).release(np.full(8, 1), np.arange(8)[:, None])
    assert released.tolist() == [0, 0, 2, 2, 3, 3, 1, 1]


@pytest.mark.parametrize(("classes", "k1", "k0", "bits"), [(2, 2, 1, 2), (3, 9, 2, 4), (5, 7, 6, 3)])
def test_one_hot_probabilities_and_epsilon_by_enumeration(classes: int, k1: int, k0: int, bits: int) -> None:
    """The likelihood ratio of every output under every pair of winners, from each bit's exact probability."""
    decision, words = OneHotDecision(classes, k1, k0, bits), 1 << bits
    one = [np.mean(decision.release(np.zeros(words, int), np.repeat(np.arange(words)[:, None], classes, 1)), axis=0)]
    assert one[0].tolist() == [k1 / words, *[k0 / words] * (classes - 1)]
    likelihood = lambda output, winner: math.prod(  # noqa: E731
        Fraction(k, words) if bit else 1 - Fraction(k, words)
        for index, bit in enumerate(output)
        for k in (k1 if index == winner else k0,)
    )
    outputs = [[(output >> bit) & 1 for bit in range(classes)] for output in range(1 << classes)]
    worst = max(
        likelihood(output, a) / likelihood(output, b)
        for output in outputs
        for a in range(classes)
        for b in range(classes)
    )
    assert worst == decision.ratio


@pytest.mark.parametrize("bits", [4, 8, 16, 32])
@pytest.mark.parametrize("classes", [2, 3, 10])
def test_epsilon_is_the_logarithm_rounded_up(bits: int, classes: int) -> None:
    rng = np.random.default_rng(bits * 100 + classes)
    with mpmath.workdps(80):
        for q in {
            1,
            (1 << bits) // classes,
            *(int(q) for q in rng.integers(1, (1 << bits) // classes, 20, endpoint=True)),
        }:
            exact = mpmath.log(mpmath.mpf((1 << bits) - (classes - 1) * q) / q)
            epsilon = Decision(classes, q, bits).epsilon
            assert mpmath.mpf(epsilon) >= exact
            assert epsilon == 0 or mpmath.mpf(math.nextafter(epsilon, 0)) < exact


@pytest.mark.parametrize("epsilon", [0.25, 1.0, 4.0, 8.0, 20.0])
def test_for_epsilon_gives_the_smallest_q(epsilon: float) -> None:
    decision = Decision.for_epsilon(epsilon, classes=10)
    assert decision.bits == 32
    assert decision.epsilon <= epsilon < Decision(10, decision.q - 1).epsilon


def test_for_epsilon_of_one_hot_words() -> None:
    symmetric, oue = OneHotDecision.symmetric(2.0, 10), OneHotDecision.oue(2.0, 10)
    assert symmetric.k1 + symmetric.k0 == 1 << 32
    assert symmetric.epsilon <= 2.0 < OneHotDecision(10, symmetric.k1 + 1, symmetric.k0 - 1).epsilon
    assert oue.k1 == 1 << 31
    assert oue.epsilon <= 2.0 < OneHotDecision(10, oue.k1, oue.k0 - 1).epsilon
    assert oue.k0 / 2**32 == pytest.approx(1 / (math.exp(2.0) + 1), rel=1e-8)  # Wang and others, section 4.3


def test_a_width_that_reaches_no_such_epsilon_is_refused() -> None:
    """8-bit words, 10 classes: q <= 25, so that epsilon is at least ln(31/25)."""
    with pytest.raises(
        ValueError, match=r"decision epsilon must be at least 0\.215111 for words of this width, not 0\.2"
    ):
        Decision.for_epsilon(0.2, classes=10, bits=8)
    assert Decision.for_epsilon(0.2152, classes=10, bits=8).q == 25


REFUSED = [
    (lambda: Decision(1, 1), "decision classes must be 2 to 64, not 1"),
    (lambda: Decision(65, 1), "decision classes must be 2 to 64, not 65"),
    (lambda: Decision(10, 0), "decision q must be 1 to 429496729, not 0"),
    (lambda: Decision(10, 26, 8), "decision q must be 1 to 25, not 26"),
    (lambda: Decision(10, 1, 33), "decision bits must be 1 to 32, not 33"),
    (lambda: Decision(10, 1, 3), "decision classes must be at most 2^bits = 8, not 10"),
    (lambda: OneHotDecision(10, 256, 1, 8), "decision k1 must be 2 to 255, not 256"),
    (lambda: OneHotDecision(10, 5, 5, 8), "decision k0 must be 1 to 4, not 5"),
    (lambda: OneHotDecision(10, 5, 0, 8), "decision k0 must be 1 to 4, not 0"),
    (lambda: Decision.for_epsilon(float("nan"), classes=3), "decision epsilon must be 0 or more, not nan"),
    (lambda: Decision.for_epsilon(-1, classes=3), "decision epsilon must be 0 or more, not -1"),
]


@pytest.mark.parametrize(("make", "sentence"), REFUSED, ids=[sentence for _, sentence in REFUSED])
def test_a_refusal_is_one_sentence(make: object, sentence: str) -> None:
    with pytest.raises(ValueError) as refused:
        make()  # type: ignore[operator]
    assert str(refused.value) == sentence


def test_the_class_with_most_spikes_wins_and_the_lowest_of_equals() -> None:
    raw = np.zeros((4, 3, 6), bool)  # 3 classes of 2 neurons
    raw[0, :, 5] = True  # class 2: 3
    raw[1, 0, [2, 3]] = raw[1, 1, 0] = raw[1, 2, 1] = True  # classes 0 and 1: 2 each
    raw[2, 0, [2, 4]] = True  # classes 1 and 2: 1 each
    assert winners_by_spikes(raw, 3).tolist() == [2, 0, 1, 0]  # the last record is silent


def test_the_largest_potential_wins_at_the_end_or_in_the_sum() -> None:
    potentials = np.array([[[5, 0, -1], [1, 2, 2]], [[-7, -7, -9], [-3, -3, -3]]], np.int32)
    assert winners_by_potential(potentials, "final").tolist() == [1, 0]
    assert winners_by_potential(potentials, "sum").tolist() == [0, 0]
