"""Shares of many decisions: against pure-ldp, against simulation, and by hand."""

import json
from typing import Any

import numpy as np
import pytest
from support.paths import DATA

from spikeveil.host.privacy.frequency import ReportCounts, add, correct, estimate_shares, half_width, reports_for
from spikeveil.pysim import Decision, OneHotDecision
from spikeveil.pysim.model.decision import RandomisedDecision

TRUE = np.array([0.4, 0.3, 0.2, 0.06, 0.04])
MECHANISMS = [Decision.for_epsilon(1.0, 5), OneHotDecision.symmetric(1.0, 5), OneHotDecision.oue(2.0, 5)]


def released(decision: RandomisedDecision, winners: Any, rng: np.random.Generator) -> Any:
    return decision.release(winners, rng.integers(0, 1 << decision.bits, (len(winners), decision.draws), np.uint64))


@pytest.mark.parametrize("row", json.loads((DATA / "frequency/estimates.json").read_text()))
def test_shares_are_those_of_pure_ldp(row: dict[str, Any]) -> None:
    """Its real-valued probabilities differ from ours of 32-bit words by less than 1e-8."""
    make = {"kary": Decision.for_epsilon, "symmetric": OneHotDecision.symmetric, "oue": OneHotDecision.oue}[row["kind"]]
    counts = ReportCounts(make(row["epsilon"], 4), np.array(row["counts"]), row["reports"])
    np.testing.assert_allclose(estimate_shares(counts).shares, row["shares"], atol=1e-6)


@pytest.mark.parametrize("decision", MECHANISMS, ids=["kary", "symmetric", "oue"])
def test_covariance_and_coverage_by_simulation(decision: RandomisedDecision, soak: bool) -> None:
    """Fixed winners, fresh words: the estimates spread as their covariance says, and intervals hold."""
    rng, runs, n = np.random.default_rng(1), 20_000 if soak else 2_000, 1000
    winners = np.repeat(np.arange(5), (TRUE * n).astype(int))
    found = [estimate_shares(released(decision, winners, rng), decision) for _ in range(runs)]
    shares = np.array([one.shares for one in found])
    np.testing.assert_allclose(shares.mean(axis=0), TRUE, atol=5 * shares.std(axis=0).max() / np.sqrt(runs))
    seen, stated = np.cov(shares.T), np.mean([one.covariance for one in found], axis=0)
    np.testing.assert_allclose(seen, stated, atol=8 * np.abs(np.diag(stated)).max() / np.sqrt(runs))
    inside = np.mean([(one.low <= TRUE) & (one.high >= TRUE) for one in found], axis=0)
    assert ((inside > 0.93) & (inside < 0.97)).all(), inside
    every = np.mean([((one.simultaneous_low <= TRUE) & (one.simultaneous_high >= TRUE)).all() for one in found])
    assert every >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / runs)


def test_the_population_adds_the_sampling_of_the_records() -> None:
    decision, rng, runs, n = MECHANISMS[0], np.random.default_rng(2), 1500, 1000
    inside = []
    for _ in range(runs):
        winners = rng.choice(5, n, p=TRUE)
        one = estimate_shares(released(decision, winners, rng), decision, population=True)
        inside.append((one.low <= TRUE) & (one.high >= TRUE))
    coverage = np.mean(inside, axis=0)
    assert ((coverage > 0.93) & (coverage < 0.97)).all(), coverage


def test_devices_of_different_epsilon_are_combined_without_bias() -> None:
    rng, runs = np.random.default_rng(3), 800
    weak, strong = Decision.for_epsilon(2.0, 5), Decision.for_epsilon(3.0, 5)
    draw = lambda: rng.choice(5, 500, p=TRUE)  # noqa: E731
    found = []
    for _ in range(runs):
        parts = [ReportCounts.of(released(decision, draw(), rng), decision) for decision in (weak, strong)]
        found.append(estimate_shares(parts, population=True))
    shares = np.array([one.shares for one in found])
    np.testing.assert_allclose(shares.mean(axis=0), TRUE, atol=5 * shares.std(axis=0).max() / np.sqrt(runs))
    stated = np.mean([one.covariance for one in found], axis=0)
    alone = [estimate_shares(released(strong, draw(), rng), strong, population=True).covariance for _ in range(50)]
    assert (np.diag(stated) < np.diag(np.mean(alone, axis=0))).all()
    np.testing.assert_allclose(np.cov(shares.T), stated, atol=8 * np.diag(stated).max() / np.sqrt(runs))


def test_groups_whose_records_differ_are_not_confused() -> None:
    """A weak device that saw class 0 alone and a precise one that saw class 1 alone: half of the records each."""
    rng, runs, found = np.random.default_rng(5), 600, []
    weak, strong = Decision.for_epsilon(2.0, 3), Decision.for_epsilon(6.0, 3)
    for _ in range(runs):
        parts = [ReportCounts.of(released(d, np.full(400, c), rng), d) for c, d in enumerate((weak, strong))]
        found.append(estimate_shares(parts))
    shares = np.array([one.shares for one in found])
    np.testing.assert_allclose(shares.mean(axis=0), [0.5, 0.5, 0.0], atol=5 * shares.std(axis=0).max() / np.sqrt(runs))
    inside = np.mean([(one.low <= [0.5, 0.5, 0]) & (one.high >= [0.5, 0.5, 0]) for one in found], axis=0)
    assert (inside > 0.92).all(), inside


def test_corrected_shares_of_the_records_that_reported_carry_what_the_network_made_of_them() -> None:
    """The truth is fixed and the mechanism nearly silent, so the network's own errors are all the noise there is."""
    rng, runs, inside = np.random.default_rng(6), 600, []
    rates = np.array([[0.7, 0.3], [0.2, 0.8]])
    truth, decision = np.repeat([0, 1], [120, 180]), Decision.for_epsilon(8.0, 2)
    for _ in range(runs):
        winners = (rng.random(300) < rates[truth, 1]).astype(np.int64)
        confusion = np.array([rng.multinomial(4000, row) for row in rates])
        one = correct(estimate_shares(released(decision, winners, rng), decision), confusion)
        inside.append((one.low <= [0.4, 0.6]) & (one.high >= [0.4, 0.6]))
    coverage = np.mean(inside, axis=0)
    assert ((coverage > 0.92) & (coverage < 0.98)).all(), coverage


def test_a_confusion_matrix_is_inverted_and_its_error_carried() -> None:
    rng, runs = np.random.default_rng(4), 1500
    rates = np.array([[0.8, 0.15, 0.05], [0.1, 0.85, 0.05], [0.05, 0.1, 0.85]])
    true, decision, inside = np.array([0.5, 0.3, 0.2]), Decision.for_epsilon(3.0, 3), []
    for _ in range(runs):
        truth = rng.choice(3, 400, p=true)
        winners = (rng.random((400, 1)) > np.cumsum(rates, axis=1)[truth]).sum(axis=1)
        confusion = np.array([rng.multinomial(100, row) for row in rates])
        one = correct(estimate_shares(released(decision, winners, rng), decision, population=True), confusion)
        inside.append((one.low <= true) & (one.high >= true))
    coverage = np.mean(inside, axis=0)
    assert ((coverage > 0.93) & (coverage < 0.975)).all(), coverage


def test_the_planner_is_the_interval() -> None:
    decision = Decision.for_epsilon(1.0, 10)
    n = reports_for(decision, 0.02)
    assert half_width(decision, n) <= 0.02 < half_width(decision, n - 1)
    p, o = np.exp(1) / (np.exp(1) + 9), 1 / (np.exp(1) + 9)
    assert half_width(decision, 360) == pytest.approx(1.959964 * np.sqrt(p * (1 - p) / 360) / (p - o), rel=1e-5)


def test_simplex() -> None:
    counts = ReportCounts(Decision.for_epsilon(1.0, 3), np.array([700, 290, 10]), 1000)
    shares = estimate_shares(counts)
    projected = shares.on_simplex()
    assert shares.shares.min() < 0 <= projected.min()
    assert projected.sum() == pytest.approx(1)
    assert np.argsort(projected).tolist()[-1] == 0


def test_counts_of_equal_decisions_are_added() -> None:
    decision, other = Decision(3, 5, 8), Decision(3, 6, 8)
    parts = [ReportCounts.of([0, 1, 2, 2], decision), ReportCounts.of([0], other), ReportCounts.of([2], decision)]
    first, second = add(parts)
    assert (first.counts.tolist(), first.reports, second.reports) == ([1, 1, 3], 5, 1)


REFUSED = [
    (lambda: estimate_shares([0, 3], Decision(3, 5, 8)), "decisions must be 0 to 2, not 3"),
    (lambda: estimate_shares([], Decision(3, 5, 8)), "decisions must hold one report or more, not none"),
    (lambda: estimate_shares([[0, 256, 1]], OneHotDecision(3, 3, 1, 2)), "decisions must be 0 to 1, not 256"),
    (
        lambda: estimate_shares([[0, 0.5, 1]], OneHotDecision(3, 3, 1, 2)),
        "decisions must have an integer dtype, not fl",
    ),
    (lambda: estimate_shares([0, 1]), "decision must be given for released decisions: without its mechanism they say"),
    (
        lambda: estimate_shares([0], Decision(2, 1, 1)),
        "decision must report the winner most often to be",
    ),
    (lambda: estimate_shares([0], Decision(3, 5, 8), 1.5), "confidence must be above 0 and below 1, not 1.5"),
    (lambda: reports_for(Decision(3, 5, 8), 0), "half_width must be at least 1e-12 and below 1, not 0"),
    (lambda: reports_for(Decision(3, 5, 8), 1e-300), "half_width must be at least 1e-12 and below 1, not 1e-300"),
    (
        lambda: correct(estimate_shares([0], Decision(2, 5, 8)), [[1, 0], [0, 0]]),
        "confusion row 1 must hold one record or more, not none",
    ),
]


@pytest.mark.parametrize(("call", "sentence"), REFUSED, ids=[sentence[:40] for _, sentence in REFUSED])
def test_a_refusal_is_one_sentence(call: Any, sentence: str) -> None:
    with pytest.raises(ValueError) as refused:
        call()
    assert str(refused.value).startswith(sentence), refused.value
