"""Randomised responses and DP-SGD together: the laws of composition, and outside truth for a mixed sum."""

import math
from fractions import Fraction

import numpy as np
import pytest
from scipy.special import log_ndtr

from spikeveil.host.privacy import DpSgd, Event, NotPrivate, RandomizedResponse, SpikeSubsampling, UnsupportedEvent
from spikeveil.host.privacy.gdp import delta_from_mu
from spikeveil.host.privacy.mixed import compose_mixed
from spikeveil.host.privacy.pld import flip_pld

FLIP = RandomizedResponse(16384)  # p = 1/4, epsilon = ln 3
RUN = DpSgd(1.0, 250, 60000)
DELTA = 1e-5

pytestmark = pytest.mark.xdist_group("dp_accounting")


def exact_delta(bits: int, mu: float, epsilon: float) -> float:
    """delta of `bits` flips at p = 1/4 and one mu-GDP mechanism: the binomial mean of the Gaussian's delta."""
    total = 0.0
    for i in range(bits + 1):
        rest = epsilon - (bits - 2 * i) * math.log(3)
        if rest >= 0:
            delta = delta_from_mu(mu, rest)
        else:  # delta(-e) = 1 - e^-e (1 - delta(e)), the Gaussian pair being symmetric
            first, second = log_ndtr(-rest / mu + mu / 2), log_ndtr(-rest / mu - mu / 2)
            delta = math.exp(first) - math.exp(rest + second)
        total += math.comb(bits, i) * 0.25**i * 0.75 ** (bits - i) * delta
    return total


@pytest.mark.parametrize("bits", [1, 12, 100])
def test_against_the_exact_sum_for_the_full_batch(bits: int) -> None:
    """With every example in every batch the run is exactly GDP, so the mixture has a closed form."""
    run, steps = DpSgd(8.0, 50, 50), 16
    both = compose_mixed([Event(run, steps), Event(FLIP, bits)])
    for epsilon in (0.5, 2.0, 0.6 * bits * math.log(3)):
        exact = exact_delta(bits, 0.5, epsilon)
        assert exact <= both.delta(epsilon) <= exact * 1.01 + 1e-9
        assert exact <= both.delta(epsilon, "rdp")


@pytest.mark.parametrize("count", [1, 160, 10_000])
def test_flips_alone_through_the_distribution_equal_their_exact_composition(count: int) -> None:
    exact = FLIP.epsilon_composed(count, DELTA)
    coarse = flip_pld(FLIP.flip_probability, count, 2.0**-6).epsilon(DELTA)
    assert exact <= coarse * (1 + 1e-12) and coarse <= exact * (1 + 1e-5) + 2.0**-6


def test_sum_of_parts_bounds_the_whole_and_each_part_is_below() -> None:
    run = DpSgd(0.6, 250, 60000)
    both = compose_mixed([Event(run, 2400), Event(FLIP, 50)])
    alone = run.epsilon(2400, DELTA / 2), FLIP.epsilon_composed(50, DELTA / 2)
    assert max(FLIP.epsilon_composed(50, DELTA), run.epsilon(2400, DELTA)) < both.epsilon(DELTA) < sum(alone)
    assert both.epsilon(DELTA) < both.epsilon(DELTA, "rdp")
    assert both.delta(both.epsilon(DELTA)) <= DELTA


def test_composing_n_at_once_is_composing_n_times() -> None:
    """Law: compose(e, n) == n times compose(e), for events of every kind, in any order."""
    apart = [Event(RUN, 5), Event(FLIP, 2)] * 7
    together = [Event(FLIP, 14), Event(RUN, 35)]
    assert compose_mixed(apart) == compose_mixed(together)
    np.testing.assert_array_equal(compose_mixed(apart).rdp_curve(), compose_mixed(together).rdp_curve())
    one, many = RUN.pld(1, 2.0**-12), RUN.pld(20, 2.0**-12)
    repeated = one
    for _ in range(19):
        repeated = repeated + one
    assert repeated.epsilon(1e-4) == pytest.approx(many.epsilon(1e-4), rel=1e-6)


def test_library_fault_repeated_responses_are_counted_once() -> None:
    """dp-accounting 0.6.0 ignores the count of a randomised response; ours does not."""
    import dp_accounting
    from dp_accounting.pld import PLDAccountant
    from dp_accounting.privacy_accountant import NeighboringRelation

    accountant = PLDAccountant(NeighboringRelation.REPLACE_ONE)
    event = dp_accounting.dp_event.RandomizedResponseDpEvent(noise_parameter=0.5, num_buckets=2)
    claimed = accountant.compose(event, 100).get_epsilon(DELTA)
    assert claimed < 1.11 < 80 < flip_pld(Fraction(1, 4), 100, 2.0**-10).epsilon(DELTA)


def test_without_training_it_is_the_exact_composition() -> None:
    only = compose_mixed([Event(FLIP, 100)])
    assert only.epsilon(DELTA) == only.epsilon(DELTA, "rdp") == FLIP.epsilon_composed(100, DELTA)
    assert only.delta(50.0) == FLIP.delta_composed(100, 50.0)
    assert compose_mixed([]).epsilon(DELTA) == 0.0
    with pytest.raises(ValueError) as refusal:
        only.pld()
    assert str(refusal.value) == "mixed composition needs at least one DP-SGD run, not 0: use the exact composition"


def test_what_cannot_be_bounded_is_refused() -> None:
    with pytest.raises(NotPrivate):
        compose_mixed([Event(RUN), Event(SpikeSubsampling(Fraction(1, 2)))])
    with pytest.raises(UnsupportedEvent):
        compose_mixed([Event("noise")])
    with pytest.raises(ValueError) as refusal:
        compose_mixed([Event(RUN)]).epsilon(DELTA, "clt")  # type: ignore[arg-type]
    assert str(refusal.value) == "method must be pld or rdp, not 'clt': an approximation bounds nothing"
    with pytest.raises(ValueError, match=r"^privacy-loss grids must be equal to compose, not 0\.5 and 0\.25$"):
        RUN.pld(1, 0.5) + RUN.pld(1, 0.25)
    with pytest.raises(ValueError, match=r"^composition count must be an integer of 1 or more, not 0$"):
        RUN.pld(1, 0.5).compose(0)
