"""Exact composition of equal responses: closed forms, literal figures, mpmath, two other accountants."""

import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest

from spikeveil.host.privacy.binomial import delta_of_epsilon, epsilon_of_delta, log_pmf

QUARTER = Fraction(1, 4)
LAST_DIGITS = mpmath.mpf(10) ** -25


def true_delta(p, m, epsilon, digits=60):
    """P[I <= n] - e^epsilon P[I' <= n] for I ~ Binomial(m, p), I' ~ Binomial(m, 1 - p), by mpmath."""
    with mpmath.workdps(digits):  # the difference loses digits: callers allow the last 30
        low, epsilon = mpmath.mpf(p.numerator) / p.denominator, mpmath.mpf(epsilon)
        high = 1 - low
        n = int(mpmath.ceil((m - epsilon / mpmath.log(high / low)) / 2)) - 1
        if n < 0:
            return mpmath.mpf(0)
        return cumulative(m, low, n) - mpmath.exp(epsilon) * cumulative(m, high, n)


def cumulative(m, chance, n):
    """P[Binomial(m, chance) <= n], term by term outwards from the largest."""
    start = min(n, int((m + 1) * chance))
    logs = mpmath.loggamma(m + 1) - mpmath.loggamma(start + 1) - mpmath.loggamma(m - start + 1)
    peak = mpmath.exp(logs + start * mpmath.log(chance) + (m - start) * mpmath.log(1 - chance))
    odds, total = chance / (1 - chance), peak
    term = peak
    for i in range(start, 0, -1):
        term = term * i / ((m - i + 1) * odds)
        total += term
        if term < total * mpmath.eps:
            break
    term = peak
    for i in range(start, n):
        term = term * (m - i) * odds / (i + 1)
        total += term
        if term < total * mpmath.eps:
            break
    return total


def nearest(epsilon):
    """Flip probability 1 / (1 + e^epsilon) as the float next to it."""
    return Fraction(1 / (1 + math.exp(epsilon)))


@pytest.mark.parametrize(
    ("p", "bits", "delta", "digits", "figure"),
    [
        (nearest(1), 160, 1e-5, 1, 117.8),
        (nearest(1), 1024, 1e-5, 1, 590.4),
        (nearest(0.1), 160, 1e-5, 2, 5.69),
        (QUARTER, 100, 1e-6, 6, 94.289868),
        (QUARTER, 10**6, 1e-6, 2, 553823.51),
        (Fraction(29491, 65536), 6400, 1e-6, 0, 203),
        (Fraction(29491, 65536), 128, 1e-6, 1, 12.5),
        (Fraction(29491, 65536), 32, 1e-6, 1, 5.2),
    ],
)
def test_known_figures(p, bits, delta, digits, figure):
    assert round(epsilon_of_delta(p, bits, delta), digits) == figure


def test_delta_zero_is_the_sum_of_epsilons():
    for m in (1, 2, 7, 10**6, 10**9):
        with mpmath.workdps(40):
            exact = m * mpmath.log(3)
            assert exact <= epsilon_of_delta(QUARTER, m, 0.0) <= exact * (1 + mpmath.mpf(2) ** -52)
    assert delta_of_epsilon(QUARTER, 10, epsilon_of_delta(QUARTER, 10, 0.0)) == 0.0


def test_one_bit_has_a_closed_form():
    """delta = q - e^epsilon p."""
    for p, epsilon in ((QUARTER, 0.3), (Fraction(1, 65536), 5.0), (Fraction(32767, 65536), 3e-5)):
        with mpmath.workdps(40):
            truth = (1 - mpmath.mpf(p.numerator) / p.denominator) - mpmath.exp(epsilon) * p.numerator / p.denominator
            assert truth <= delta_of_epsilon(p, 1, epsilon) <= truth * (1 + mpmath.mpf(10) ** -13)


def test_delta_at_epsilon_zero_is_the_total_variation():
    """Two bits: total variation is q^2 - p^2; three: q^3 + 3 q^2 p - p^3 - 3 p^2 q."""
    assert delta_of_epsilon(QUARTER, 2, 0.0) == pytest.approx(9 / 16 - 1 / 16, rel=1e-13)
    assert delta_of_epsilon(QUARTER, 3, 0.0) == pytest.approx((27 + 27 - 1 - 9) / 64, rel=1e-13)


def test_fair_coins_and_nothing_cost_nothing():
    for m, p in ((10**9, Fraction(1, 2)), (0, QUARTER)):
        assert epsilon_of_delta(p, m, 0.0) == 0.0
        assert delta_of_epsilon(p, m, 0.0) == 0.0


def test_a_delta_above_total_variation_costs_no_epsilon():
    assert epsilon_of_delta(QUARTER, 2, 0.5 + 1e-9) == 0.0
    assert 0 < epsilon_of_delta(QUARTER, 2, 0.5 - 1e-9) < 1e-7


def test_tiny_results_are_rounded_up_to_a_positive_float():
    assert delta_of_epsilon(QUARTER, 10**6, 1e6) == 5e-324
    assert math.isfinite(epsilon_of_delta(QUARTER, 10**6, 5e-324))


def test_mass_function_agrees_with_mpmath():
    for p, m, i in ((QUARTER, 10**9, 249_900_000), (Fraction(7, 65536), 300, 299), (Fraction(3, 8), 255, 256 // 2)):
        with mpmath.workdps(60):
            x = mpmath.mpf(p.numerator) / p.denominator
            ways = mpmath.loggamma(m + 1) - mpmath.loggamma(i + 1) - mpmath.loggamma(m - i + 1)
            truth = ways + i * mpmath.log(x) + (m - i) * mpmath.log(1 - x)
            assert abs(mpmath.mpf(str(log_pmf(p, m, i))) - truth) < mpmath.mpf(10) ** -44


@pytest.mark.parametrize(
    ("p", "m", "delta"),
    [
        (QUARTER, 10**6, 1e-6),
        (Fraction(1, 65536), 10**9, 1e-12),
        (Fraction(3, 256), 10**7, 0.9),
    ],
)
def test_large_counts_are_sound_and_tight(p, m, delta):
    """A delta between the truth and 1e-8 above it, an epsilon between the truth and 1e-6 above it."""
    epsilon = epsilon_of_delta(p, m, delta)
    assert true_delta(p, m, epsilon, 40) <= delta < true_delta(p, m, epsilon * (1 - 1e-6), 40)
    beside = epsilon * (1 - 1e-9)
    truth = true_delta(p, m, beside, 40)
    assert truth <= delta_of_epsilon(p, m, beside) <= truth * (1 + mpmath.mpf(10) ** -8)


def test_a_thousand_million_bits_are_sound_and_tight(soak):
    """At p = 1/4; 10^9 under --soak (mpmath needs seconds), 10^7 otherwise."""
    test_large_counts_are_sound_and_tight(QUARTER, 10**9 if soak else 10**7, 1e-6)


def random_cases(number):
    """Random (k, w, m, delta): all widths, thresholds over their whole range, counts to 20,000, delta to 1e-30."""
    generator = np.random.default_rng(20261)
    for _ in range(number):
        w = int(generator.integers(1, 17))
        top = 1 << (w - 1)
        k = int(min(top, max(1, round(float(np.exp(generator.uniform(0, math.log(top + 1))))))))
        if generator.random() < 0.5:
            k = int(generator.integers(1, top + 1))
        m = int(np.exp(generator.uniform(0, math.log(20_000))))
        yield k, w, m, float(10 ** generator.uniform(-30, -0.05))


def test_random_cases_are_sound_tight_and_monotone(soak):
    """10,000 cases under --soak, 150 otherwise: against mpmath, and against their own neighbours."""
    for k, w, m, delta in random_cases(10_000 if soak else 150):
        case, p = f"k={k} w={w} m={m} delta={delta!r}", Fraction(k, 1 << w)
        epsilon = epsilon_of_delta(p, m, delta)
        if p == Fraction(1, 2):
            assert epsilon == 0.0, case
            continue
        assert true_delta(p, m, epsilon) * (1 - LAST_DIGITS) <= delta, case
        if epsilon > 1e-6:
            assert true_delta(p, m, epsilon * (1 - 1e-6)) > delta, case
        beside = epsilon * 0.7
        truth = true_delta(p, m, beside)
        given = delta_of_epsilon(p, m, beside)
        assert truth * (1 - LAST_DIGITS) <= given <= truth * (1 + mpmath.mpf(10) ** -10), case
        for other, at in ((m + 1, delta), (m, math.nextafter(delta, 0)), (m, delta / 3)):
            assert epsilon_of_delta(p, other, at) >= epsilon, case
        assert epsilon_of_delta(Fraction(k + 1, 1 << w), m, delta) <= epsilon, case
        assert delta_of_epsilon(p, m, beside * 1.01) <= given, case
        assert delta_of_epsilon(p, m + 1, beside) >= given * (1 - 1e-11), (
            case
        )  # the true ones are equal at lattice points
        assert delta_of_epsilon(Fraction(k + 1, 1 << w), m, beside) <= given, case


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (
            lambda: epsilon_of_delta(0.25, 5, 0.1),
            "flip probability must be a Fraction above 0, at most 1/2, over at most 2^64, not 0.25",
        ),
        (
            lambda: epsilon_of_delta(Fraction(2, 3), 5, 0.1),
            "flip probability must be a Fraction above 0, at most 1/2, over at most 2^64, not Fraction(2, 3)",
        ),
        (lambda: epsilon_of_delta(QUARTER, -1, 0.1), "count must be a whole number from 0 to 10^12, not -1"),
        (lambda: epsilon_of_delta(QUARTER, 2.5, 0.1), "count must be a whole number from 0 to 10^12, not 2.5"),
        (lambda: epsilon_of_delta(QUARTER, 5, 1.0), "delta must be at least 0 and under 1, not 1.0"),
        (lambda: epsilon_of_delta(QUARTER, 5, math.nan), "delta must be at least 0 and under 1, not nan"),
        (lambda: delta_of_epsilon(QUARTER, 5, -0.1), "epsilon must be 0 or more, not -0.1"),
        (lambda: delta_of_epsilon(QUARTER, 5, math.nan), "epsilon must be 0 or more, not nan"),
    ],
)
def test_bad_arguments_are_refused(call, sentence):
    with pytest.raises(ValueError) as caught:
        call()
    assert str(caught.value) == sentence
