"""What repeated decisions about one record cost: exact composition, rounded up.

One decision, k-ary or one-hot, has one of three privacy losses: +epsilon with probability a, -epsilon with probability
b = a e^-epsilon, and 0 otherwise (for one-hot words the losses of the two bits that differ add up to these). Among n
decisions K have a loss other than 0, K ~ Bin(n, a + b), and given K each loss is that of binary randomised response
with flip probability b / (a + b) = 1 / (1 + e^epsilon). So

    delta_n(E) = sum_K Bin(n, a + b)(K) delta_K(E)

with delta_K the exact composition of K binary responses (`binomial.delta_of_epsilon`). Neighbours: any two inputs (the
unit is the record); the same winner costs nothing.
"""

import math
from decimal import Decimal
from fractions import Fraction

from spikeveil.host.privacy.binomial import check_count, check_delta, delta_of_epsilon, float_up, precise
from spikeveil.pysim.model import checks
from spikeveil.pysim.model.decision import Decision, OneHotDecision, RandomisedDecision

MAX_COMPOSED = 100_000
_WIDEN = Decimal(10) ** -15  # relative; far above the error of 40-digit decimals, far below what is asked for


def epsilon_of_decisions(decision: RandomisedDecision, count: int, delta: float | Fraction = 0.0) -> float:
    """Epsilon of `count` decisions about one record together, at `delta`, rounded up.

    `count`: 0 to 100,000. `delta`: at least 0, under 1; 0 gives count * epsilon. ValueError otherwise.
    """
    _check_count(count)
    check_delta(delta)
    ratio = decision.ratio
    if count == 0 or ratio == 1:
        return 0.0
    whole = math.nextafter(count * decision.epsilon, math.inf)
    if delta == 0:
        return whole if count > 1 else decision.epsilon
    low, high = 0.0, whole
    if delta_of_decisions(decision, count, 0.0) <= delta:
        return 0.0
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if delta_of_decisions(decision, count, middle) <= delta else (middle, high)
    return high


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
    flip = Fraction(1, 1) / (1 + ratio)
    touched = _loss_probability(decision)
    least = math.floor(epsilon / decision.epsilon)  # fewer losses than that cannot exceed epsilon
    total = Decimal(0)
    with precise():
        for losses, weight in _binomial(count, touched):
            if losses >= least:
                total += weight * Decimal(_response_delta(flip, losses, epsilon))
        return min(1.0, float_up(total * (1 + _WIDEN)))


def _response_delta(flip: Fraction, losses: int, epsilon: float) -> float:
    """`binomial.delta_of_epsilon`, whose denominators are at most 2^64; a smaller flip probability costs more."""
    if flip.denominator > 1 << 64:
        flip = Fraction(math.floor(flip * (1 << 64)), 1 << 64)
    return delta_of_epsilon(flip, losses, epsilon)


def _binomial(count: int, p: Fraction) -> list[tuple[int, Decimal]]:
    """The probabilities of 0 to `count` successes, by their ratio from one to the next."""
    if p == 1:
        return [(count, Decimal(1))]
    odds = Decimal(p.numerator) / Decimal(p.denominator - p.numerator)
    weight = (count * (Decimal(p.denominator - p.numerator) / Decimal(p.denominator)).ln()).exp()
    weights = [(0, weight)]
    for successes in range(1, count + 1):
        weight = weight * odds * (count - successes + 1) / successes
        weights.append((successes, weight))
    return weights


def _loss_probability(decision: RandomisedDecision) -> Fraction:
    """a + b: the probability that one decision has a loss other than 0, between two different winners."""
    words = 1 << decision.bits
    if isinstance(decision, Decision):
        return Fraction(words - (decision.classes - 2) * decision.q, words)
    if isinstance(decision, OneHotDecision):
        p, o = Fraction(decision.k1, words), Fraction(decision.k0, words)
        return p * (1 - o) + (1 - p) * o
    raise ValueError(f"decision must be a Decision or a OneHotDecision, not {decision!r}")


def _check_count(count: int) -> None:
    checks.integer("decisions", check_count(count), 0, MAX_COMPOSED)
