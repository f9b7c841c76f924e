"""What repeated decisions about one record cost: exact composition, rounded up.

One decision, k-ary or one-hot, has one of three privacy losses: +epsilon with probability a, -epsilon with probability
b = a e^-epsilon, and 0 otherwise (for one-hot words the losses of the two bits that differ add up to these). The
sum S of n losses, in units of epsilon, has the coefficients of (b x^-1 + (1 - a - b) + a x)^n as its distribution, and
P(-s) = P(s) e^(-s epsilon). The composition is the largest over the thresholds m of what the test "S >= m" tells:

    delta_n(E) = max over m = 1..n of A_m - e^E B_m,  A_m = P(S >= m),  B_m = P(S <= -m)

and so epsilon_n(delta) = max over m of ln((A_m - delta) / B_m). The coefficients from the top down follow from a
recurrence of positive terms alone, in time that is linear in n. Neighbours: any two inputs (the unit is the record);
the same winner costs nothing.

More than `MAX_EXACT` decisions are bounded by the exact composition of the binary randomised responses of the same
epsilon, which dominate them (Kairouz, Oh, Viswanath 2015).
"""

import math
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache

from spikeveil.host.privacy.binomial import (
    check_count,
    check_delta,
    check_epsilon,
    delta_of_epsilon,
    epsilon_of_delta,
    float_up,
    precise,
)
from spikeveil.pysim.model.decision import RandomisedDecision

#: beyond it, decisions are composed as the binary responses that dominate them
MAX_EXACT = 100_000
_WIDEN = Decimal(10) ** -28  # relative; far above the error of 10^6 operations on 40-digit decimals


def dominating_flip(decision: RandomisedDecision) -> Fraction:
    """Flip probability 1 / (1 + e^epsilon) of the binary randomised response that dominates one decision, exactly."""
    return 1 / (1 + decision.ratio)


@lru_cache(maxsize=256)
def epsilon_of_decisions(decision: RandomisedDecision, count: int, delta: float | Fraction = 0.0) -> float:
    """Epsilon of `count` decisions about one record together, at `delta`, rounded up.

    `count`: 0 to 10^12; exact up to `MAX_EXACT`. `delta`: at least 0, under 1; 0 gives count * epsilon. ValueError
    otherwise.
    """
    count = check_count(count)
    check_delta(delta)
    ratio = decision.ratio
    if count == 0 or ratio == 1:
        return 0.0
    whole = math.nextafter(count * decision.epsilon, math.inf) if count > 1 else decision.epsilon
    if delta == 0:
        return whole
    if count > MAX_EXACT:
        return min(whole, epsilon_of_delta(dominating_flip(decision), count, delta))
    with precise():
        allowed = Decimal(Fraction(delta).numerator) / Decimal(Fraction(delta).denominator) * (1 - _WIDEN)
        worst = max((above - allowed) / below for above, below in _tails(decision, count))
        return min(whole, float_up(worst.ln() * (1 + _WIDEN))) if worst > 1 else 0.0


def delta_of_decisions(decision: RandomisedDecision, count: int, epsilon: float | Fraction) -> float:
    """Delta at which `count` decisions about one record are (epsilon, delta)-private, rounded up.

    `count`: 0 to 10^12; exact up to `MAX_EXACT`. `epsilon`: 0 or more. ValueError otherwise.
    """
    count = check_count(count)
    check_epsilon(epsilon)
    if count == 0 or decision.ratio == 1 or epsilon == math.inf:
        return 0.0
    if count > MAX_EXACT:
        return delta_of_epsilon(dominating_flip(decision), count, epsilon)
    with precise():
        factor = _decimal(Fraction(epsilon)).exp() * (1 - _WIDEN)
        worst = max(above - factor * below for above, below in _tails(decision, count))
        return min(1.0, float_up(worst)) if worst > 0 else 0.0


def loss_weights(decision: RandomisedDecision, count: int) -> list[Decimal]:
    """Probabilities of the losses count, count - 1, ..., -count, in units of one decision's epsilon, rounded up."""
    with precise():
        upper = list(_weights(decision, count, count + 1))
        mirror, growth = Decimal(1), _decimal(decision.ratio)
        lower = []
        for weight in reversed(upper[:-1]):
            mirror /= growth
            lower.append(weight * mirror)
        return [weight * (1 + _WIDEN) for weight in (*upper, *lower)]


def _tails(decision: RandomisedDecision, count: int) -> Iterator[tuple[Decimal, Decimal]]:
    """(A_m, B_m) for m = count down to 1: the first never too small, the second never too large."""
    growth = _decimal(decision.ratio)
    mirror = growth**-count  # P(-s) / P(s)
    above, below = Decimal(0), Decimal(0)
    for j, weight in enumerate(_weights(decision, count, count)):
        mirror *= growth if j else 1
        above += weight
        below += weight * mirror
        yield above * (1 + _WIDEN), below * (1 - _WIDEN)


def _weights(decision: RandomisedDecision, count: int, terms: int) -> Iterator[Decimal]:
    """d_0, ..., d_(terms - 1): the probabilities that the sum is count - j. Call within `binomial.precise`.

    With z = 1 - a - b: j a d_j = z (n - j + 1) d_(j-1) + b (2 n - j + 2) d_(j-2).
    """
    touched, ratio = decision.loss_probability, decision.ratio
    plus, minus = touched * ratio / (1 + ratio), touched / (1 + ratio)
    zero_odds, minus_odds = _decimal((1 - touched) / plus), _decimal(minus / plus)
    weight, before = _decimal(plus) ** count, Decimal(0)
    for j in range(terms):
        if j:
            following = zero_odds * (count - j + 1) * weight + minus_odds * (2 * count - j + 2) * before
            weight, before = following / j, weight
        yield weight


def _decimal(exact: Fraction) -> Decimal:
    return Decimal(exact.numerator) / Decimal(exact.denominator)
