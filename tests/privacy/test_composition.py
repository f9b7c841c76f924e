"""Composition of mixed events, the table of theorems, and two accountants of another library with their faults."""

import math
from collections import Counter
from decimal import Decimal
from fractions import Fraction
from itertools import product

import mpmath
import numpy as np
import pytest

from spikeveil.host.privacy import (
    Event,
    KaryRandomizedResponse,
    NotPrivate,
    RandomizedResponse,
    SpikeSubsampling,
    UnsupportedEvent,
    compose,
    loss_bounds,
)
from spikeveil.host.privacy.binomial import epsilon_of_delta
from spikeveil.host.privacy.bounds import comparison, pure_rdp, response_rdp
from spikeveil.host.privacy.composition import Composition
from spikeveil.host.privacy.dpsgd import DpSgd
from spikeveil.host.privacy.loss_bounds import LossBounds

QUARTER = RandomizedResponse(1, 2)
EIGHTH = RandomizedResponse(1, 3)


def true_delta(groups, epsilon):
    """delta by listing every outcome of every group, at 50 digits."""
    with mpmath.workdps(50):
        outcomes = {mpmath.mpf(0): mpmath.mpf(1)}
        for p, m in groups:
            flip = mpmath.mpf(p.numerator) / p.denominator
            loss, longer = mpmath.log((1 - flip) / flip), Counter()
            for (so_far, weight), i in product(outcomes.items(), range(m + 1)):
                longer[so_far + (m - 2 * i) * loss] += weight * mpmath.binomial(m, i) * flip**i * (1 - flip) ** (m - i)
            outcomes = longer
        return mpmath.fsum(w * (1 - mpmath.exp(epsilon - x)) for x, w in outcomes.items() if x > epsilon)


def random_groups(number):
    generator = np.random.default_rng(7)
    for _ in range(number):
        flips = {Fraction(int(k), 65536) for k in generator.integers(1, 32768, size=generator.integers(2, 4))}
        groups = tuple((p, int(generator.integers(1, 9))) for p in sorted(flips, reverse=True))
        yield groups, float(10 ** generator.uniform(-12, -0.5))


def test_mixed_groups_are_sound_and_tight(soak):
    """Against every outcome listed: never below, delta within 1e-10, epsilon within 1e-6."""
    for groups, delta in random_groups(200 if soak else 6):
        together = Composition(groups)
        epsilon = together.epsilon(delta)
        assert true_delta(groups, mpmath.mpf(epsilon)) <= delta
        if epsilon > 0:
            assert true_delta(groups, mpmath.mpf(epsilon) * (1 - mpmath.mpf(10) ** -6)) > delta
        truth = true_delta(groups, mpmath.mpf(epsilon * 0.8))
        assert truth <= together.delta(epsilon * 0.8) <= truth * (1 + mpmath.mpf(10) ** -10)


@pytest.mark.parametrize("m", [1, 100, 10**6, 10**9])
@pytest.mark.parametrize("delta", [1e-6, 1e-40])
def test_the_grid_agrees_with_the_exact_sum_on_one_group(m, delta, monkeypatch):
    monkeypatch.setattr(loss_bounds, "LISTED", 0)
    exact = epsilon_of_delta(Fraction(1, 4), m, delta)
    gridded = LossBounds.of(((Fraction(1, 4), m),), delta * 2.0**-30).epsilon(delta)
    assert exact <= gridded <= exact * (1 + 1e-6)


def test_the_grid_lies_closely_above_the_list(monkeypatch):
    """Three groups, each of whose outcomes carries weight: the chord over a kink of delta shows, upwards."""
    groups = ((Fraction(4915, 16384), 8), (Fraction(2767, 16384), 1), (Fraction(5167, 32768), 5))
    for epsilon in (3.0, 13.40015, 16.0):
        truth = true_delta(groups, mpmath.mpf(epsilon))
        listed = Composition(groups).delta(epsilon)
        with monkeypatch.context() as patch:
            patch.setattr(loss_bounds, "LISTED", 0)
            gridded = Composition(groups).delta(epsilon)
        assert truth <= listed <= gridded <= truth * (1 + mpmath.mpf(10) ** -3)


def test_two_groups_that_almost_agree_cost_what_one_costs():
    """p = 1/4 and 1/4 - 2^-16 lie between 1000 bits of either."""
    near = RandomizedResponse(16383, 16)
    mixed = compose([Event(QUARTER, 500), Event(near, 500)]).epsilon(1e-6)
    assert QUARTER.epsilon_composed(1000, 1e-6) < mixed < near.epsilon_composed(1000, 1e-6)


def test_compose_is_a_law():
    """n events once, one event n times, in any order and grouping: the same composition."""
    once = compose([Event(QUARTER, 12), Event(EIGHTH, 3)])
    assert once == compose([Event(EIGHTH)] * 3 + [Event(QUARTER, 4)] * 3)
    assert compose([Event(RandomizedResponse(2, 3), 12), Event(EIGHTH, 3)]) == once  # 2/8 is 1/4
    assert compose([Event(QUARTER, 160)]).epsilon(1e-5) == QUARTER.epsilon_composed(160, 1e-5)
    assert compose([Event(QUARTER, 160), Event(RandomizedResponse(1, 1), 99)]) == compose([Event(QUARTER, 160)])


def test_nothing_costs_nothing():
    assert compose([]).epsilon(0.0) == 0.0
    assert compose([Event(QUARTER, 0)]).delta(0.0) == 0.0


def test_delta_zero_and_beyond_floats_is_the_sum():
    together = compose([Event(QUARTER, 10), Event(EIGHTH, 20)])
    with mpmath.workdps(40):
        exact = 10 * mpmath.log(3) + 20 * mpmath.log(7)
        assert exact <= together.epsilon(0.0) <= exact * (1 + mpmath.mpf(2) ** -52)
    assert together.epsilon(1e-300) == together.pure_epsilon
    assert together.delta(together.pure_epsilon) == 0.0


def test_small_deltas_of_mixed_groups():
    groups = ((Fraction(1, 4), 8), (Fraction(1, 8), 6))
    for epsilon in (15.0, 20.0):
        truth = true_delta(groups, mpmath.mpf(epsilon))
        assert truth <= Composition(groups).delta(epsilon) <= truth * (1 + mpmath.mpf(10) ** -6)


def test_monotone_in_delta_and_count():
    few, more = (compose([Event(QUARTER, 50), Event(EIGHTH, n)]) for n in (10, 11))
    epsilons = [few.epsilon(delta) for delta in (1e-12, 1e-9, 1e-6, 1e-3)]
    assert epsilons == sorted(epsilons, reverse=True)
    assert few.epsilon(1e-6) < more.epsilon(1e-6)
    assert few.delta(60.0) < more.delta(60.0)


def test_a_label_is_bounded_by_the_binary_response_of_its_epsilon():
    """10 classes: the exact two-fold delta, by listing outcomes, lies under the bound."""
    label = KaryRandomizedResponse(10, 1, 1)  # 1/2 stays, 1/18 goes to each other class
    losses = {math.log(9): 0.5, -math.log(9): 1 / 18, 0.0: 8 / 18}
    exact = sum(
        a * b * max(0.0, 1 - math.exp(1.0 - x - y)) for (x, a), (y, b) in product(losses.items(), losses.items())
    )
    assert exact < compose([Event(label, 2)]).delta(1.0) < 2 * exact


def test_what_cannot_be_composed_is_named():
    with pytest.raises(NotPrivate, match="SpikeSubsampling is not differentially private: its epsilon is infinite"):
        compose([Event(SpikeSubsampling(0.5))])
    with pytest.raises(UnsupportedEvent, match="composition covers mechanisms with pure epsilon, not DpSgd"):
        compose([Event(DpSgd(1.0, 250, 60_000))])
    with pytest.raises(ValueError, match=r"count must be a whole number from 0 to 10\^12, not 1.5"):
        Event(QUARTER, 1.5)


# ---- the table of theorems


def test_theorems_by_hand():
    """160 bits at p = 1/4, delta = 1e-5: each closed form, worked out here."""
    table = {bound.name: bound.epsilon for bound in comparison([Event(QUARTER, 160)], 1e-5)}
    e, m, delta = math.log(3), 160, 1e-5
    assert table["basic"] == pytest.approx(m * e, rel=1e-12)
    assert table["advanced"] == pytest.approx(math.sqrt(2 * m * math.log(1 / delta)) * e + m * e * 2, rel=1e-10)
    rho, orders = m * e**2 / 2, 1 + np.geomspace(1e-4, 10, 200_001)
    zcdp = orders * rho + np.log1p(-1 / orders) - np.log(orders * delta) / (orders - 1)
    assert table["zcdp"] == pytest.approx(zcdp.min(), rel=1e-5)
    assert table["exact"] == QUARTER.epsilon_composed(160, 1e-5)


@pytest.mark.parametrize("events", [[Event(QUARTER, 500)], [Event(QUARTER, 100), Event(EIGHTH, 30)]])
@pytest.mark.parametrize("delta", [1e-3, 1e-9])
def test_no_theorem_undercuts_the_exact_one(events, delta):
    table = {bound.name: bound.epsilon for bound in comparison(events, delta)}
    assert min(table.values()) == table["exact"]
    assert table["renyi"] <= table["zcdp"] * (1 + 1e-3)  # the orders of the curve are coarser


def test_at_delta_zero_only_sums_remain():
    table = {bound.name: bound.epsilon for bound in comparison([Event(QUARTER, 3)], 0.0)}
    assert table["exact"] == table["basic"] == pytest.approx(3 * math.log(3))
    assert table["advanced"] == table["zcdp"] == table["renyi"] == math.inf


def test_renyi_divergence_of_a_response():
    """Order 2 at p = 1/4: ln(27/12 + 1/12) = ln(7/3)."""
    with mpmath.workdps(40):
        truth = mpmath.log(mpmath.mpf(7) / 3)
        assert truth <= response_rdp(Fraction(1, 4), 2.0) <= truth * (1 + mpmath.mpf(2) ** -52)
    assert response_rdp(Fraction(1, 2), 2.0) == 0.0
    with pytest.raises(ValueError, match="order must be above 1 and finite, not 1"):
        response_rdp(Fraction(1, 4), 1)
    assert pure_rdp(Decimal(3).ln(), 60.0) <= math.log(3)  # never above the pure epsilon


# ---- another library's accountants


@pytest.fixture
def dp_accounting():
    return pytest.importorskip("dp_accounting")


def aligned_pld(p):
    """Its privacy-loss distribution of one bit, on a grid whose step is the loss itself."""
    from dp_accounting.pld import privacy_loss_distribution

    step = math.log(1 - p) - math.log(p)  # the very float that it computes
    return privacy_loss_distribution.from_randomized_response(2 * p, 2, value_discretization_interval=step)


@pytest.mark.parametrize(("p", "m", "delta"), [(0.25, 100, 1e-6), (0.25, 1000, 1e-5), (0.375, 400, 1e-4)])
def test_agrees_with_its_privacy_loss_distribution(dp_accounting, p, m, delta):
    """Pessimistic, and within a thousandth above ours at moderate delta."""
    theirs = aligned_pld(p).self_compose(m).get_epsilon_for_delta(delta)
    ours = epsilon_of_delta(Fraction(p), m, delta)
    assert ours <= theirs * (1 + 1e-9)
    assert theirs <= ours * (1 + 1e-3)


def test_its_renyi_accountant_bounds_ours_from_above(dp_accounting):
    from dp_accounting.rdp import RdpAccountant

    accountant = RdpAccountant(neighboring_relation=dp_accounting.NeighboringRelation.REPLACE_ONE)
    accountant.compose(dp_accounting.RandomizedResponseDpEvent(0.5, 2), 100)
    theirs = accountant.get_epsilon(1e-6)
    table = {bound.name: bound.epsilon for bound in comparison([Event(QUARTER, 100)], 1e-6)}
    assert table["exact"] < table["renyi"]
    assert table["renyi"] == pytest.approx(theirs, rel=2e-3)  # its grid of orders is another


def test_fault_its_accountant_ignores_the_count_of_a_response(dp_accounting):
    """100 bits are charged as one: never hand it the event, compose the distribution."""
    from dp_accounting.pld import PLDAccountant

    accountant = PLDAccountant(dp_accounting.NeighboringRelation.REPLACE_ONE)
    accountant.compose(dp_accounting.RandomizedResponseDpEvent(0.5, 2), 100)
    assert accountant.get_epsilon(1e-6) < 1.11 < 94 < epsilon_of_delta(Fraction(1, 4), 100, 1e-6)


def test_fault_its_pessimistic_distribution_falls_below_the_truth_at_tiny_delta(dp_accounting):
    """10^4 bits of p = 0.45 at delta = 1e-15: it says 342.3; true delta there is far above 1e-15."""
    theirs = aligned_pld(0.45).self_compose(10**4).get_epsilon_for_delta(1e-15)
    assert theirs == pytest.approx(342.3, abs=0.05)
    assert epsilon_of_delta(Fraction(0.45), 10**4, 1e-15) == pytest.approx(357.9, abs=0.05)
    flip, n = mpmath.mpf(0.45), int((10**4 - theirs / math.log(0.55 / 0.45)) / 2)
    with mpmath.workdps(40):
        terms = (
            mpmath.binomial(10**4, i) * flip**i * (1 - flip) ** (10**4 - i)
            * (1 - mpmath.exp(theirs - (10**4 - 2 * i) * mpmath.log((1 - flip) / flip)))
            for i in range(n - 300, n + 1)
        )  # fmt: skip
        assert mpmath.fsum(terms) > 20 * mpmath.mpf(10) ** -15
