"""The planner of decisions: the smallest q within a target, the accuracy to expect, the records for a half-width."""

import math
from fractions import Fraction

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy import stats

from spikeveil.host.networks.digits_example import STEPS, held_out, load_network
from spikeveil.host.networks.release import with_decision
from spikeveil.host.privacy.decision_plan import expected_accuracy, half_width, make_decision_plan, reports_for
from spikeveil.host.privacy.decisions import epsilon_of_decisions
from spikeveil.host.privacy.frequency import estimate_shares
from spikeveil.pysim import Decision, Network, OneHotDecision, TriviumSource

FOUR = Decision.for_epsilon(4.0, 10)


def test_one_decision_takes_the_smallest_q_and_no_delta() -> None:
    plan = make_decision_plan(4, 1e-6, 10)
    assert plan.decision == Decision.for_epsilon(4.0, 10)
    assert (plan.epsilon, plan.total_delta) == (plan.decision.epsilon, 0)
    assert plan.ceiling(1) == pytest.approx(math.exp(4) / (math.exp(4) + 9), rel=1e-7)


@pytest.mark.parametrize("releases", [2, 30])
def test_several_decisions_are_composed_exactly(releases: int) -> None:
    plan = make_decision_plan(8, 1e-6, 10, releases, 16)
    q = plan.decision.q
    assert epsilon_of_decisions(plan.decision, releases, Fraction(1, 10**6)) == plan.epsilon <= 8
    assert epsilon_of_decisions(Decision(10, q - 1, 16), releases, Fraction(1, 10**6)) > 8
    assert plan.decision.epsilon > 8 / releases * (1 if releases > 2 else 0.9995)


def test_the_accuracy_to_expect() -> None:
    """Against its terms: r = 9 q / 2^w, a (1 - r) + (1 - a) r / 9."""
    decision = Decision(10, 20, 8)
    r = 180 / 256
    assert expected_accuracy(decision, 0.9) == pytest.approx(0.9 * (1 - r) + 0.1 * r / 9, rel=1e-15)
    assert expected_accuracy(decision, 1.0) == 76 / 256


def test_the_records_for_two_points_at_epsilon_1() -> None:
    """n z^-2 h^2 = p (1 - p) / (p - o)^2 with p = e / (e + 9), o = 1 / (e + 9): the share of every record."""
    decision = Decision.for_epsilon(1.0, 10)
    kept, other = math.e / (math.e + 9), 1 / (math.e + 9)
    exact = kept * (1 - kept) / (kept - other) ** 2 * (stats.norm.ppf(0.975) / 0.02) ** 2
    records = reports_for(decision, 0.02)
    assert records == pytest.approx(exact, abs=2)
    assert half_width(decision, records) <= 0.02 < half_width(decision, records - 1)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ((-1, 0, 10), "target epsilon must be 0 or more"),
        ((1, 1, 10), "delta must be under 1, not 1"),
        ((1, 0, 1), "decision classes must be 2 to 64, not 1"),
        ((1, 0, 10, 0), "releases must be 1 to 1000000000000, not 0"),
        ((0.2, 0, 10, 1, 8), r"target epsilon must be at least 0\.21[0-9]* for 10 classes and 8-bit words, not 0\.2"),
    ],
)
def test_refusals(arguments: tuple[object, ...], sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{sentence}"):
        make_decision_plan(*arguments)  # type: ignore[arg-type]


def key(soak: bool, number: int) -> TriviumSource:
    """A fresh key with `--soak`, otherwise the same ones in every run."""
    return TriviumSource.generate() if soak else TriviumSource(np.random.default_rng([11, number]).bytes(10))


def test_digits_mean_of_30_leases(soak: bool) -> None:
    """Within 1 point of a (1 - r) + (1 - a) r / 9: the mean of 10,800 decisions has a standard error of 0.35 points."""
    images, labels = held_out()
    source = key(soak, 0)
    first = Network(with_decision(load_network(), FOUR, STEPS), source).run(images, lease=1 << 39)
    assert first.winners is not None
    leases = [decisions(source, FOUR, first.winners, (1 << 39) + lease) for lease in range(30)]
    assert_array_equal(leases[0], first.decisions)
    right = [float(np.mean(one == labels)) for one in leases]
    assert len(set(right)) > 5
    assert abs(np.mean(right) - expected_accuracy(FOUR, float(np.mean(first.winners == labels)))) < 0.01


def decisions(
    source: TriviumSource, decision: Decision | OneHotDecision, winners: np.ndarray, lease: int
) -> np.ndarray:
    """What the digits network, whose output layer is layer 1, decides about records with those winners."""
    words = source.words_in_parallel(
        decision.bits, flipper=0, layer=1, lease=lease, first_record=0, records=len(winners), count=decision.draws
    )
    return decision.release(winners, words)


@pytest.mark.parametrize("decision", [FOUR, OneHotDecision.oue(4.0, 10)], ids=["kary", "oue"])
def test_shares_from_10_000_decisions(decision: Decision | OneHotDecision, soak: bool) -> None:
    """Chi-square of the errors over 20 keys, against the covariance at the true shares: p > 0.001."""
    spec = with_decision(load_network(), decision, STEPS)
    winners = Network(spec, key(soak, 0)).run(held_out()[0], lease=1 << 39).winners
    assert winners is not None
    winners = np.resize(winners, 10_000)
    true = np.bincount(winners, minlength=10) / 10_000
    freedom = 9 if isinstance(decision, Decision) else 10  # shares of class numbers add up to 1
    total = 0.0
    for number in range(20):
        shares = estimate_shares(decisions(key(soak, number + 1), decision, winners, 1 << 39), decision)
        error = shares.shares - true
        total += float(error @ np.linalg.pinv(covariance(decision, true, 10_000), rcond=1e-9) @ error)
    assert 0.001 < stats.chi2.sf(total, 20 * freedom) < 0.999


def covariance(decision: Decision | OneHotDecision, true: np.ndarray, records: int) -> np.ndarray:
    """Of the estimates: each record's report is multinomial (k-ary), or a row of independent bits, by its winner."""
    p, o = float(decision.winner_probability), float(decision.other_probability)
    total = np.zeros((10, 10))
    for winner, share in enumerate(true):
        report = np.where(np.arange(10) == winner, p, o)
        one = np.diag(report * (1 - report))
        if isinstance(decision, Decision):
            one = np.diag(report) - np.outer(report, report)
        total += share * one
    return total / (records * (p - o) ** 2)
