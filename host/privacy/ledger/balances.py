"""Balances: one budget's limits and what is spent of them, as every entry about its data set carries them."""

import math
from dataclasses import dataclass, replace
from fractions import Fraction

from spikeveil.host.privacy.ledger.amounts import Amount, fraction_from_text, from_text, to_text
from spikeveil.host.privacy.ledger.chain import Content
from spikeveil.host.privacy.ledger.costs import SessionCost
from spikeveil.host.privacy.ledger.fields import Relation, check_hash, check_layer, check_relation
from spikeveil.host.privacy.units import SMALL_UNITS, Unit


@dataclass(frozen=True)
class Balance:
    """One budget's limits and what is spent of them, in exact amounts.

    epsilon_spent, delta_spent: by the record (or the subject) that has spent most. epsilon_every, delta_every: the
    part of it that was charged to every record, because the charge did not name any. relation: what neighbours differ
    by. specification, layer: the network and the layer that a unit below the record is bound to, None until the first
    charge. nominal: something of it is no guarantee.
    """

    unit: Unit
    epsilon_limit: Amount
    delta_limit: Fraction
    epsilon_spent: Amount = Fraction(0)
    delta_spent: Fraction = Fraction(0)
    nominal: bool = False
    relation: Relation = "substitution"
    epsilon_every: Amount = Fraction(0)
    delta_every: Fraction = Fraction(0)
    specification: str | None = None
    layer: int | None = None

    @property
    def small(self) -> bool:
        """Whether the unit is part of a record, and so means something for one layer of one network only."""
        return self.unit in SMALL_UNITS

    def charged(self, cost: SessionCost, nominal: bool) -> "Balance":
        """The balance after every record was charged `cost`, whether or not it is within the limits."""
        return replace(
            self,
            epsilon_spent=self.epsilon_spent + cost.epsilon,
            delta_spent=self.delta_spent + cost.delta,
            epsilon_every=self.epsilon_every + cost.epsilon,
            delta_every=self.delta_every + cost.delta,
            nominal=self.nominal or nominal,
        )

    def raised(self, epsilon: Amount, delta: Fraction, nominal: bool) -> "Balance":
        """The balance after some record reached `epsilon` and some `delta`, besides what every record was charged."""
        return replace(
            self,
            epsilon_spent=max(self.epsilon_spent, self.epsilon_every + epsilon),
            delta_spent=max(self.delta_spent, self.delta_every + delta),
            nominal=self.nominal or nominal,
        )

    @property
    def within(self) -> bool:
        """Whether no more is spent than the limits permit."""
        return self.epsilon_spent <= self.epsilon_limit and self.delta_spent <= self.delta_limit

    @property
    def epsilon_remaining(self) -> Amount:
        """What the worst record (or subject) may still spend; infinite where the limit is."""
        return self.epsilon_limit if self.epsilon_limit == math.inf else self.epsilon_limit - self.epsilon_spent

    @property
    def epsilon_named(self) -> Amount | None:
        """What the worst record spent besides what every one was charged; None where every one was charged infinity."""
        if self.epsilon_every == math.inf:
            return None
        return math.inf if self.epsilon_spent == math.inf else self.epsilon_spent - self.epsilon_every

    def unspent(self) -> "Balance":
        """The same budget as it was made."""
        return replace(
            self,
            epsilon_spent=Fraction(0),
            delta_spent=Fraction(0),
            nominal=False,
            epsilon_every=Fraction(0),
            delta_every=Fraction(0),
        )

    def same_budget(self, other: "Balance") -> bool:
        """Whether both are the budget of one unit and relation."""
        return (self.unit, self.relation) == (other.unit, other.relation)

    def to_dict(self) -> Content:
        """The balance as it stands in an entry."""
        found: Content = {
            "unit": self.unit.value,
            "relation": self.relation,
            "epsilon_limit": to_text(self.epsilon_limit),
            "delta_limit": to_text(self.delta_limit),
            "epsilon_spent": to_text(self.epsilon_spent),
            "delta_spent": to_text(self.delta_spent),
            "epsilon_every": to_text(self.epsilon_every),
            "delta_every": to_text(self.delta_every),
            "nominal": self.nominal,
        }
        if self.small:
            found |= {"specification": self.specification, "layer": self.layer}
        return found


_BALANCE_1 = frozenset({"unit", "epsilon_limit", "delta_limit", "epsilon_spent", "delta_spent", "nominal"})


def balances_of(content: Content) -> tuple[Balance, ...]:
    """The balances that an entry carries. In schema 1 every charge counts for every record. ValueError, KeyError."""
    return tuple(_balance(one) for one in content["balances"])


def _balance(one: Content) -> Balance:
    old = one.keys() == _BALANCE_1
    epsilon, delta = from_text(one["epsilon_spent"]), fraction_from_text(one["delta_spent"])
    found = Balance(
        Unit(one["unit"]),
        from_text(one["epsilon_limit"]),
        fraction_from_text(one["delta_limit"]),
        epsilon,
        delta,
        one["nominal"] is True,
        "substitution" if old else one["relation"],
        epsilon if old else from_text(one["epsilon_every"]),
        delta if old else fraction_from_text(one["delta_every"]),
        one.get("specification"),
        one.get("layer"),
    )
    check_relation(found.relation)
    check_hash("specification", found.specification)
    check_layer(found.layer)
    if not old and found.to_dict() != one:
        raise ValueError("a balance is not in canonical form")
    return found
