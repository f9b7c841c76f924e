"""What repeated decisions about one record cost: exact composition, rounded up.

One decision, k-ary or one-hot, has one of three privacy losses: +epsilon with probability a, -epsilon with probability
b = a e^-epsilon, and 0 otherwise (for one-hot words the losses of the two bits that differ add up to these). The
sum S of n losses, in units of epsilon, has the coefficients of (b x^-1 + (1 - a - b) + a x)^n as its distribution, and
P(-s) = P(s) e^(-s epsilon). The composition is the largest over the thresholds m of what the test "S >= m" tells:

    delta_n(E) = max over m = 1..n of A_m - e^E B_m,  A_m = P(S >= m),  B_m = P(S <= -m)

and so epsilon_n(delta) = max over m of ln((A_m - delta) / B_m). The coefficients from the top down follow from a
recurrence of positive terms alone, in time that is linear in n. Neighbours: any two inputs (the unit is the record);
the same winner costs nothing.
"""

import math
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction

from spikeveil.host.privacy.binomial import check_count, check_delta, float_up, precise
from spikeveil.pysim.model import checks
from spikeveil.pysim.model.decision import RandomisedDecision

MAX_COMPOSED = 100_000
_WIDEN = Decimal(10) ** -28  # relative; far above the error of 10^6 operations on 40-digit decimals


def epsilon_of_decisions(decision: RandomisedDecision, count: int, delta: float | Fraction = 0.0) -> float:
    """Epsilon of `count` decisions about one record together, at `delta`, rounded up.

    `count`: 0 to 100,000. `delta`: at least 0, under 1; 0 gives count * epsilon. ValueError otherwise.
    """
    _check_count(count)
    check_delta(delta)
    ratio = decision.ratio
    if count == 0 or ratio == 1:
        return 0.0
    whole = math.nextafter(count * decision.epsilon, math.inf) if count > 1 else decision.epsilon
    if delta == 0:
        return whole
    with precise():
        allowed = Decimal(Fraction(delta).numerator) / Decimal(Fraction(delta).denominator) * (1 - _WIDEN)
        worst = max((above - allowed) / below for above, below in _tails(decision, count))
        return min(whole, float_up(worst.ln() * (1 + _WIDEN))) if worst > 1 else 0.0


def delta_of_decisions(decision: RandomisedDecision, count: int, epsilon: float) -> float:
    """Delta at which `count` decisions about one record are (epsilon, delta)-private, rounded up.

    `count`: 0 to 100,000. `epsilon`: 0 or more. ValueError otherwise.
    """
    _check_count(count)
    if isinstance(epsilon, bool) or not isinstance(epsilon, int | float) or not epsilon >= 0:
        raise ValueError(f"epsilon must be 0 or more, not {epsilon!r}")
    ratio = decision.ratio
    if count == 0 or ratio == 1:
        return 0.0
    with precise():
        factor = Decimal(epsilon).exp() * (1 - _WIDEN)
        worst = max(above - factor * below for above, below in _tails(decision, count))
        return min(1.0, float_up(worst)) if worst > 0 else 0.0


def _tails(decision: RandomisedDecision, count: int) -> Iterator[tuple[Decimal, Decimal]]:
    """(A_m, B_m) for m = count down to 1: the first never too small, the second never too large.

    With d_j the probability that the sum is n - j, and z = 1 - a - b:
    j a d_j = z (n - j + 1) d_(j-1) + b (2 n - j + 2) d_(j-2).
    """
    touched, ratio = decision.loss_probability, decision.ratio
    plus, minus = touched * ratio / (1 + ratio), touched / (1 + ratio)
    zero_odds, minus_odds = _decimal((1 - touched) / plus), _decimal(minus / plus)
    growth = _decimal(ratio)
    weight, before = _decimal(plus) ** count, Decimal(0)
    mirror = growth**-count  # P(-s) / P(s)
    above, below = Decimal(0), Decimal(0)
    for j in range(count):
        if j:
            following = zero_odds * (count - j + 1) * weight + minus_odds * (2 * count - j + 2) * before
            weight, before = following / j, weight
            mirror *= growth
        above += weight
        below += weight * mirror
        yield above * (1 + _WIDEN), below * (1 - _WIDEN)


def _decimal(exact: Fraction) -> Decimal:
    return Decimal(exact.numerator) / Decimal(exact.denominator)


def _check_count(count: int) -> None:
    checks.integer("decisions", check_count(count), 0, MAX_COMPOSED)
