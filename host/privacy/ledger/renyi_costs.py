"""What a charge takes of a budget under a Rényi filter: its Rényi divergence of the budget's order, rounded up."""

import math
from dataclasses import replace
from fractions import Fraction

from spikeveil.host.privacy.binomial import log_ratio
from spikeveil.host.privacy.bounds import pure_rdp
from spikeveil.host.privacy.ledger.amounts import Amount
from spikeveil.host.privacy.ledger.costs import SessionCost
from spikeveil.host.privacy.ledger.decision_session import DecisionSession
from spikeveil.host.privacy.ledger.session import Chargeable, Session
from spikeveil.host.privacy.ledger.stated import Stated
from spikeveil.host.privacy.renyi_filter import divergence
from spikeveil.host.privacy.units import Unit


def renyi_cost(charge: Chargeable, unit: Unit, releases: int | None, order: Fraction) -> SessionCost:
    """The divergence of `charge` at `unit`: of all its releases, or of that many; its delta is 0.

    Releases are purely private, so the deltas of sessions play no part: the budget has one delta for all. A stated cost
    with a delta, or at a unit that says nothing about `unit`, is infinite, as is a run of DP-SGD.
    """
    zero = Fraction(0)
    if isinstance(charge, Stated):
        return SessionCost(unit, 0, _of_pure(charge.cost(unit, releases), order), zero, order=order)
    if not isinstance(charge, Session | DecisionSession):
        return SessionCost(unit, 0, math.inf, zero, order=order)
    count = charge.releases if releases is None else releases
    alone = replace(charge, delta=zero).cost(unit, 1)
    one = _of_pure(alone, order)
    if isinstance(charge, Session):  # the sum over its bits is never above that of one mechanism of the same epsilon
        one = min(one, alone.bits * Fraction(pure_rdp(log_ratio(charge.mechanism.flip_probability), float(order))))
    return SessionCost(unit, alone.bits * count, count * one, zero, order=order)


def _of_pure(cost: SessionCost, order: Fraction) -> Amount:
    """The divergence of a mechanism of pure epsilon; infinite where it has a delta."""
    if cost.delta or not isinstance(cost.epsilon, Fraction):
        return math.inf
    return divergence(cost.epsilon, float(order))
