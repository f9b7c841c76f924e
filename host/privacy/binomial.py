"""Exact composition of m equal randomised responses, rounded so that the error is always against us.

Write q = 1 - p >= p and L = ln(q / p). Under m randomised responses of flip probability p the number I of flips is
Binomial(m, p), and the privacy loss against the input with all m raw bits changed is (m - 2I) L. Therefore

    delta(epsilon) = sum over i <= n of b(i) (1 - exp(epsilon - (m - 2i) L)),  n the largest i with (m - 2i) L > epsilon

with b(i) = C(m, i) p^i q^(m-i): a finite sum of non-negative terms. It is the whole trade-off curve of the m-fold
mechanism, hence tight, and it bounds the m-fold composition of ANY mechanisms that are L-differentially private
(Kairouz, Oh, Viswanath 2015, theorem 3.3), also when each is chosen after seeing the earlier outputs, as long as m and
L are fixed beforehand.

**In the cell of n**, with gap g = (m - 2n) L - epsilon in (0, 2L],

    delta = D + (1 - exp(-g)) C,   D = sum_{i<n} b(i) (1 - (p/q)^(2(n-i))),   C = sum_{i<=n} b(i) (p/q)^(2(n-i)),

all terms again non-negative; so epsilon(delta) is the largest n with D <= delta and a logarithm.

**Arithmetic.** Everything but the sums runs in 60-digit decimals. The anchor b(a), a = min(n, mode) for D and
a = n for C, is exp(ln m! - ln a! - ln (m-a)! + a ln p + (m-a) ln q). Stirling's series stops before a term below
1.5e-57 for factorials from 256! on, and its error is less than that term; smaller factorials are exact. For
m <= 10^12 the parts of the exponent are below 10^14, its error below 1e-44; every decimal result is widened by
1e-30, which covers that many times over. The sums run in float64 outwards from the anchor: term j is the product of
j ratios that fall and are at most 1. With u = 2^-53 a ratio is off by at most 3u, a product of j of them by 5j u
with its own roundings, the factor 1 - exp(.) by 20u, the sum of J terms by J u; the total is raised by (7J + 64)u,
which covers all. What lies beyond the window is at most (last term) r / (1 - r), r the next ratio; it is added, twice
over, once it is below 2^-60 of the sum. A window has about 9 sqrt(m p q) terms on either side of the mode: the
excess of delta is below 4e-10 of it for m = 10^9 and below 2e-12 for m = 10^4. The excess of epsilon is
(excess of delta) / |d delta / d epsilon| plus one float; relative to epsilon it is far under 1e-6 except where
epsilon itself is next to 0, that is where delta(0) exceeds the delta asked for by less than a part in 10^6. Both
functions are monotone in every argument wherever the true values differ by more than that excess (delta does not
change from m to m + 1 bits where epsilon lies on the lattice of m + 1).
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import MAX_EMAX, MIN_EMIN, ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal, localcontext
from fractions import Fraction
from functools import lru_cache
from numbers import Real
from operator import index

import numpy as np
from numpy.typing import NDArray

MAX_COUNT = 10**12
MAX_DENOMINATOR = 1 << 64

Terms = NDArray[np.float64]

_WIDEN = Decimal("1e-30")
_NEAR_ZERO = Decimal("1e-40")
_FLOOR = 2.0**-1000  # raising a weight to this keeps the sum an upper bound and out of subnormal numbers
_UNIT_ROUNDOFF = 2.0**-53
_PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459230781640628620899")
#: B_2k / (2k (2k - 1)) for k = 1 ... 12
_STIRLING = (
    (1, 12), (-1, 360), (1, 1260), (-1, 1680), (1, 1188), (-691, 360360), (1, 156), (-3617, 122400),
    (43867, 244188), (-174611, 125400), (77683, 5796), (-236364091, 1506960),
)  # fmt: skip


def delta_of_epsilon(p: Fraction, count: int, epsilon: float | Fraction) -> float:
    """Delta at which `count` randomised responses of flip probability `p` are (epsilon, delta)-private, rounded up.

    p: above 0, at most 1/2, denominator at most 2^64. count: 0 to 10^12. epsilon: 0 or more. ValueError otherwise.
    """
    _check_probability(p)
    count = check_count(count)
    check_epsilon(epsilon)
    if count == 0 or p == Fraction(1, 2) or epsilon == math.inf:
        return 0.0
    with precise():
        loss, wanted = log_ratio(p), _floor(epsilon)
        n = math.ceil((count - wanted / loss) / 2) - 1
        if n < 0:
            return 0.0
        gap = (count - 2 * n) * loss - wanted + _NEAR_ZERO
        d, c = _cell(p, count, n)
        return min(1.0, float_up((d + (1 - (-gap).exp()) * c) * (1 + _WIDEN)))


def epsilon_of_delta(p: Fraction, count: int, delta: float | Fraction) -> float:
    """Epsilon at which `count` randomised responses of flip probability `p` are (epsilon, delta)-private, rounded up.

    p: above 0, at most 1/2, denominator at most 2^64. count: 0 to 10^12. delta: at least 0, under 1; 0 gives
    count * ln((1 - p) / p). ValueError otherwise.
    """
    _check_probability(p)
    count = check_count(count)
    check_delta(delta)
    if count == 0 or p == Fraction(1, 2):
        return 0.0
    with precise():
        loss, allowed = log_ratio(p), _floor(delta)
        low, high = 0, (count + 1) // 2
        d, c = _cell(p, count, 0)
        while high - low > 1:
            middle = (low + high) // 2
            pieces = _cell(p, count, middle)
            if pieces[0] <= allowed:
                low, (d, c) = middle, pieces
            else:
                high = middle
        share = (allowed - d) / c * (1 - _WIDEN)
        gap = 2 * loss if share >= 1 else min(2 * loss, -(1 - share).ln() * (1 - _WIDEN) - _NEAR_ZERO)
        left = (count - 2 * low) * loss - max(Decimal(0), gap)
        return float_up(left + _NEAR_ZERO) if left > 0 else 0.0


def power_complement_up(p: Fraction, count: int) -> float:
    """1 - (1 - p)^count for p in (0, 1], rounded up."""
    if count * p.denominator.bit_length() <= 1 << 14:
        exact_ratio = 1 - (1 - p) ** count
        nearest = exact_ratio.numerator / exact_ratio.denominator
        return nearest if Fraction(nearest) >= exact_ratio else math.nextafter(nearest, 1.0)
    with precise():
        chance = Decimal(p.numerator) / Decimal(p.denominator)
        exact = (1 - (1 - chance) ** count) * (1 + _WIDEN) + _NEAR_ZERO
        union = count * chance * (1 + _WIDEN)  # where p is too small for 60 digits
        return min(1.0, float_up(min(exact, union)))


def check_count(count: int) -> int:
    """`count` as an int; ValueError unless it is a whole number from 0 to 10^12."""
    if isinstance(count, bool | np.bool_) or not hasattr(count, "__index__") or not 0 <= index(count) <= MAX_COUNT:
        raise ValueError(f"count must be a whole number from 0 to 10^12, not {count!r}")
    return index(count)


def check_delta(delta: float | Fraction) -> None:
    """ValueError unless `delta` is a number of at least 0 and under 1."""
    if isinstance(delta, bool) or not isinstance(delta, Real) or not 0 <= delta < 1:
        raise ValueError(f"delta must be at least 0 and under 1, not {delta!r}")


def check_epsilon(epsilon: float | Fraction) -> None:
    """ValueError unless `epsilon` is a number of 0 or more."""
    if isinstance(epsilon, bool) or not isinstance(epsilon, Real) or not epsilon >= 0:
        raise ValueError(f"epsilon must be 0 or more, not {epsilon!r}")


def log_pmf(p: Fraction, count: int, i: int) -> Decimal:
    """ln b(i) within 1e-44, as a 60-digit decimal."""
    with precise():
        q = 1 - p
        ways = _log_factorial(count) - _log_factorial(i) - _log_factorial(count - i)
        return ways + i * _log(p.numerator) + (count - i) * _log(q.numerator) - count * _log(p.denominator)


def log_ratio(p: Fraction) -> Decimal:
    """ln((1 - p) / p) to 58 digits or an absolute 1e-58."""
    with precise():
        return _log(p.denominator - p.numerator) - _log(p.numerator)


def float_up(value: Decimal) -> float:
    """The smallest float that is not below `value`."""
    nearest = float(value)
    return nearest if Decimal(nearest) >= value else math.nextafter(nearest, math.inf)


def falling_sum(ratio: Callable[[Terms], Terms], factor: Callable[[Terms], Terms], terms: int) -> float:
    """Upper bound of sum over j < terms of w_j factor(j), where w_0 = 1 and w_j = w_{j-1} ratio(j).

    For ratios that fall and are at most 1 and factors in [0, 1]; error bound in the module's text.
    """
    total, weight, start, size = 0.0, 1.0, 0, 1024
    while start < terms:
        stop = min(start + size, terms)
        j = np.arange(start, stop, dtype=np.float64)
        steps = ratio(j) if start else np.append(1.0, ratio(j[1:]))
        weights = np.maximum(weight * np.cumprod(steps), _FLOOR)
        total += float(np.sum(weights * factor(j)))
        weight, start, size = float(weights[-1]), stop, min(2 * size, 1 << 16)
        following = float(ratio(np.array([stop], dtype=np.float64))[0])
        if stop < terms and following < 1 - 2.0**-30:
            rest = 2 * weight * following / (1 - following)
            if rest <= total * 2.0**-60:
                total += rest
                break
    return total * (1 + (7 * start + 64) * _UNIT_ROUNDOFF)


def _cell(p: Fraction, m: int, n: int) -> tuple[Decimal, Decimal]:
    """Upper bounds of D and C of cell n (module's text), before the widening."""
    rise, fall, loss = float((1 - p) / p), float(p / (1 - p)), float(log_ratio(p))
    anchor = min(n, math.floor((m + 1) * p))
    apart = float(n - anchor)
    d = falling_sum(
        lambda j: (anchor - j + 1) * rise / (m - anchor + j),
        lambda j: -np.expm1(-2 * loss * (apart + j)),
        anchor + 1,
    )
    if apart > 1:
        d += falling_sum(
            lambda j: (m - anchor - j + 1) * fall / (anchor + j),
            lambda j: -np.expm1(-2 * loss * (apart - j)) * (j > 0),
            n - anchor,
        )
    c = falling_sum(lambda j: (n - j + 1) * fall / (m - n + j), np.ones_like, n + 1)
    d_anchor = log_pmf(p, m, anchor).exp()
    c_anchor = d_anchor if n == anchor else log_pmf(p, m, n).exp()
    return Decimal(d) * d_anchor * (1 + _WIDEN), Decimal(c) * c_anchor * (1 + _WIDEN)


@lru_cache(maxsize=1024)
def _log_factorial(n: int) -> Decimal:
    """ln n!, for the precise context."""
    if n < 256:
        return Decimal(math.factorial(n)).ln()
    x = Decimal(n)
    log = _log(n)
    series = sum((Decimal(a) / b / x ** (2 * k + 1) for k, (a, b) in enumerate(_STIRLING)), Decimal(0))
    return x * log - x + (log + _log_two_pi()) / 2 + series


@lru_cache(maxsize=1024)
def _log(n: int) -> Decimal:
    return Decimal(n).ln()


@lru_cache(maxsize=1)
def _log_two_pi() -> Decimal:
    return (2 * _PI).ln()


@contextmanager
def precise() -> Iterator[None]:
    context = Context(prec=60, rounding=ROUND_HALF_EVEN, Emin=MIN_EMIN, Emax=MAX_EMAX)
    with localcontext(context):
        yield


def _floor(value: float | Fraction) -> Decimal:
    """The largest 60-digit decimal at or under `value`."""
    exact = Fraction(value)
    with localcontext() as context:
        context.rounding = ROUND_FLOOR
        return Decimal(exact.numerator) / exact.denominator


def _check_probability(p: Fraction) -> None:
    if not isinstance(p, Fraction) or not 0 < p <= Fraction(1, 2) or p.denominator > MAX_DENOMINATOR:
        raise ValueError(f"flip probability must be a Fraction above 0, at most 1/2, over at most 2^64, not {p!r}")
