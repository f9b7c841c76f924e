"""Walls in a row: what flipped layers behind one another cost together, when each alone would cost more.

*Theorem.* Let the first wall be a-DP for the pair of inputs asked about, and let the likelihood ratio of the second
one's output be at most e^b between ANY two of its inputs. If the second reads only what the first released, its output
is epsilon-DP for that pair with

    epsilon = ln((e^(a+b) + 1) / (e^a + e^b)) <= min(a, b).

*Proof.* The first wall is a post-processing of binary randomised response of epsilon a (Kairouz, Oh, Viswanath 2015).
So the second one's output has the distributions q X + p Y and p X + q Y, with q / p = e^a and X, Y two distributions of
likelihood ratio at most e^b; their ratio is largest at e^b, where it is (e^a e^b + 1) / (e^b + e^a).

*Conditions.* Both figures are pure. b is the second wall's bound for a whole record, whatever unit a has: ten neurons
that copy one spike turn a change of one bit into a change of ten. The walls are in one chain: every path from the first
to the output crosses the second. Applied again and again for further walls.
"""

import math
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache

from spikeveil.host.privacy.binomial import epsilon_of_delta, float_up, log_ratio, precise

#: above it the composition of several releases is taken as the sum of their pure epsilons: e^-40 is over 2^-58
LARGEST_COMPOSED = 40

#: a wall as (flip probability, bits that may differ in one release)
Bits = tuple[Fraction, int]


def series_pure(first: Decimal, second: Decimal) -> Decimal:
    """ln((e^(a+b) + 1) / (e^a + e^b)) of two pure epsilons, to 50 digits. Call within `binomial.precise`."""
    low, high = min(first, second), max(first, second)
    return low + ((1 + (-(low + high)).exp()) / (1 + (low - high).exp())).ln()


@lru_cache(maxsize=256)
def series_epsilon(own: Bits, later: tuple[Bits, ...], releases: int, delta: float | Fraction) -> float:
    """Epsilon at `delta` of `releases` releases through the wall `own` and the walls `later` behind it, rounded up.

    own: the wall with the bits that may differ at the unit asked about; later: those behind it, in order, with the
    bits of a whole record. It is the smallest of what `own` costs alone (exact composition) and what the chain costs.
    """
    alone = epsilon_of_delta(own[0], own[1] * releases, delta)
    if not later:
        return alone
    with precise():
        pure = own[1] * log_ratio(own[0])
        for p, bits in later:
            pure = series_pure(pure, bits * log_ratio(p))
        pure = max(pure, Decimal(0)) * (1 + Decimal("1e-30")) + Decimal("1e-40")
        together = float_up(pure * releases)
        flip = _flip(pure) if pure < LARGEST_COMPOSED else None
    composed = math.inf if flip is None or releases == 1 else epsilon_of_delta(flip, releases, delta)
    return min(alone, together, composed)


def _flip(pure: Decimal) -> Fraction:
    """The flip probability of binary randomised response of that epsilon, rounded down to a multiple of 2^-64."""
    return Fraction(math.floor(1 / (1 + pure.exp()) * (1 - Decimal("1e-30")) * (1 << 64)), 1 << 64)
