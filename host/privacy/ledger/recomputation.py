"""Charges computed again from the sessions beside them, and compared."""

import math
from fractions import Fraction

from spikeveil.host.privacy.ledger.amounts import Amount, shown_up
from spikeveil.host.privacy.ledger.balances import Balance
from spikeveil.host.privacy.ledger.binding import Binding, Ranges
from spikeveil.host.privacy.ledger.booking import Booking
from spikeveil.host.privacy.ledger.chain import ChainBroken
from spikeveil.host.privacy.ledger.charging import costs_of
from spikeveil.host.privacy.ledger.costs import SessionCost
from spikeveil.host.privacy.ledger.session import Chargeable
from spikeveil.host.privacy.ledger.stated import Stated

#: by how much a recomputed charge may differ on another machine, whose sums of floats round otherwise
TOLERANCE = Fraction(1, 1 << 40)


class Recomputation:
    """Compares charges with what their sessions cost: `check`, entry by entry.

    recomputed: how many were computed again; stated, above: a line for each charge that nobody can recompute, and for
    each that charges more than it must.
    """

    def __init__(self) -> None:
        self.recomputed = 0
        self.stated: list[str] = []
        self.above: list[str] = []

    def check(
        self, number: int, charge: Chargeable, charged: tuple[SessionCost, ...], exact: tuple[SessionCost, ...] | None
    ) -> None:
        """Compare what entry `number` charged with what `charge` costs (None: not computable here). ChainBroken."""
        if exact is None:
            self.stated.append(f"entry {number}: DP-SGD by the pld bound, which needs dp-accounting to be recomputed")
            return
        for cost, wanted in zip(charged, exact, strict=True):
            self._compare(number, cost, wanted)
        if isinstance(charge, Stated):
            self.stated.append(f"entry {number}: {charge.mechanism}, epsilon {shown_up(charge.epsilon)}")
        else:
            self.recomputed += 1

    def _compare(self, number: int, cost: SessionCost, exact: SessionCost) -> None:
        level = f"at {cost.unit.value} level"
        if (cost.unit, cost.bits, cost.delta, cost.order) != (exact.unit, exact.bits, exact.delta, exact.order):
            raise ChainBroken(f"entry {number} does not charge what its session composes {level}")
        if [(n, delta) for n, _, delta in cost.counts] != [(n, delta) for n, _, delta in exact.counts]:
            raise ChainBroken(f"entry {number} does not charge its subjects what its session composes")
        pairs = [(cost.epsilon, exact.epsilon)]
        pairs += [(one[1], other[1]) for one, other in zip(cost.counts, exact.counts, strict=True)]
        amounts = shown_up(cost.epsilon), shown_up(exact.epsilon)
        if any(below(charged, needed) for charged, needed in pairs):
            raise ChainBroken(
                f"entry {number} charges {cost.quantity} {amounts[0]} {level} for what costs {amounts[1]}"
            )
        if any(below(needed, charged) for charged, needed in pairs):
            self.above.append(f"entry {number}: charged {amounts[0]} {level}, costs {amounts[1]}")


def costs_of_or_none(
    charge: Chargeable, booking: Booking, balances: tuple[Balance, ...], ranges: Ranges | None, binding: Binding
) -> tuple[SessionCost, ...] | None:
    """What `charge` costs; None where a library that the figure needs is not installed."""
    try:
        return costs_of(charge, booking, balances, ranges, binding)
    except ImportError:
        return None


def below(one: Amount, other: Amount) -> bool:
    """Whether `one` is under `other` by more than floats of two machines may differ."""
    if one == other or one == math.inf:
        return False
    return other == math.inf or one < other * (1 - TOLERANCE)
