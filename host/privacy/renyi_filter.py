"""The Rényi filter: how much divergence of one order a budget (epsilon, delta) bears, and what a release takes of it.

A spend is allowed while the sum of the Rényi divergences of order a stays within the capacity
B = epsilon - ln(1 - 1/a) + ln(a delta) / (a - 1). Then everything together is (a, B)-RDP (Feldman, Zrnic 2021: also
where each mechanism is chosen after seeing the results before it, if the order was fixed before the first) and so
(epsilon, delta)-DP (Canonne, Kamath, Steinke 2020, proposition 12). Used by `Accountant` and by the ledger.
"""

import math
from decimal import Decimal
from fractions import Fraction

from spikeveil.host.privacy.binomial import precise
from spikeveil.host.privacy.bounds import pure_rdp
from spikeveil.host.privacy.rdp import ORDERS

#: epsilon from which a mechanism is charged epsilon itself, which its divergence of any order cannot pass
LARGEST = 1000


def capacity(epsilon: Fraction, delta: Fraction, order: float) -> Fraction:
    """B of the budget, in nats, rounded down. ValueError where there is no such order, delta is 0, or B is negative."""
    found = _capacity(epsilon, delta, order)
    if found < 0:
        raise ValueError(
            f"epsilon limit {float(epsilon):g} at delta {float(delta):g} is out of reach of a Rényi filter of its order"
        )
    return found


def _capacity(epsilon: Fraction, delta: Fraction, order: float) -> Fraction:
    if isinstance(order, bool) or not isinstance(order, int | float) or not 1 < order < math.inf:
        raise ValueError(f"order must be above 1 and finite, not {order!r}")
    if delta == 0:
        raise ValueError("delta limit must be above 0 for the renyi rule, not 0")
    with precise():
        a = Decimal(order)
        limit = Decimal(delta.numerator) / delta.denominator
        overhead = (1 - 1 / a).ln() - (limit * a).ln() / (a - 1)
        return epsilon - Fraction(overhead) - Fraction(1, 10**40)


def best_order(epsilon: Fraction, delta: Fraction) -> float:
    """The order a of `rdp.ORDERS` with the largest B / a, which bears the most small releases."""
    return max(ORDERS, key=lambda order: _capacity(epsilon, delta, order) / Fraction(order))


def divergence(epsilon: Fraction, order: float) -> Fraction:
    """The largest Rényi divergence of that order of a mechanism of pure `epsilon`, in nats, rounded up."""
    if epsilon > LARGEST:
        return epsilon
    with precise():
        loss = Decimal(epsilon.numerator) / epsilon.denominator * (1 + Decimal("1e-50"))
    return Fraction(pure_rdp(loss, order))


def largest_pure(remaining: Fraction, order: float) -> Fraction:
    """The largest pure epsilon whose Rényi divergence of this order is at most `remaining`, rounded down to a float."""
    low, high = 0.0, 1.0
    while Fraction(pure_rdp(Decimal(high), order)) <= remaining:
        low, high = high, 2 * high
    while (middle := (low + high) / 2) not in (low, high):
        if Fraction(pure_rdp(Decimal(middle), order)) <= remaining:
            low = middle
        else:
            high = middle
    return Fraction(low)
