"""Balances: one budget's limits and what is spent of them, as every entry about its data set carries them."""

import math
from dataclasses import dataclass, replace
from fractions import Fraction

from spikeveil.host.privacy.ledger.amounts import Amount, fraction_from_text, from_text, to_text
from spikeveil.host.privacy.ledger.chain import Content
from spikeveil.host.privacy.ledger.costs import DIVERGENCE, SessionCost
from spikeveil.host.privacy.ledger.fields import Relation, check_hash, check_layer, check_relation
from spikeveil.host.privacy.renyi_filter import capacity, largest_pure
from spikeveil.host.privacy.units import SMALL_UNITS, Unit


@dataclass(frozen=True)
class Balance:
    """One budget's limits and what is spent of them, in exact amounts.

    order: None for the pure-sum filter, which adds up epsilons and deltas; otherwise that of a Rényi filter
    (`privacy.renyi_filter`), which adds up Rényi divergences of that order. spent: the sum of the record (or the
    subject) that has spent most, in epsilon or in divergence; every: the part of it that was charged to every record,
    because the charge did not name any. delta_spent, delta_every: likewise; 0 under a Rényi filter. relation: what
    neighbours differ by. specification, layer: the network and the layer that a unit below the record is bound to, None
    until the first charge. nominal: something of it is no guarantee.
    """

    unit: Unit
    epsilon_limit: Amount
    delta_limit: Fraction
    spent: Amount = Fraction(0)
    delta_spent: Fraction = Fraction(0)
    nominal: bool = False
    relation: Relation = "substitution"
    every: Amount = Fraction(0)
    delta_every: Fraction = Fraction(0)
    specification: str | None = None
    layer: int | None = None
    order: Fraction | None = None

    @property
    def quantity(self) -> str:
        """What `spent` and `capacity` are amounts of: "epsilon" or "Rényi divergence"."""
        return "epsilon" if self.order is None else DIVERGENCE

    @property
    def capacity(self) -> Amount:
        """What `spent` may reach: the limit of epsilon, or the divergence that a Rényi filter bears."""
        if self.order is None or not isinstance(self.epsilon_limit, Fraction):
            return self.epsilon_limit
        return capacity(self.epsilon_limit, self.delta_limit, float(self.order))

    @property
    def epsilon_spent(self) -> Amount:
        """The epsilon that may be stated for everything charged so far; under a Rényi filter the limit, once used."""
        return self.spent if self.order is None or not self.spent else self.epsilon_limit

    @property
    def delta_stated(self) -> Fraction:
        """The delta that belongs to `epsilon_spent`."""
        return self.delta_spent if self.order is None or not self.spent else self.delta_limit

    @property
    def filter(self) -> str:
        """The filter in words, to stand beside every number of this budget."""
        if self.order is None:
            return "pure-sum filter"
        return f"Rényi filter of order {float(self.order):g}, fixed beforehand"

    @property
    def small(self) -> bool:
        """Whether the unit is part of a record, and so means something for one layer of one network only."""
        return self.unit in SMALL_UNITS

    def charged(self, cost: SessionCost, nominal: bool) -> "Balance":
        """The balance after every record was charged `cost`, whether or not it is within the limits."""
        return replace(
            self,
            spent=self.spent + cost.epsilon,
            delta_spent=self.delta_spent + cost.delta,
            every=self.every + cost.epsilon,
            delta_every=self.delta_every + cost.delta,
            nominal=self.nominal or nominal,
        )

    def raised(self, amount: Amount, delta: Fraction, nominal: bool) -> "Balance":
        """The balance after some record reached `amount` and some `delta`, besides what every record was charged."""
        return replace(
            self,
            spent=max(self.spent, self.every + amount),
            delta_spent=max(self.delta_spent, self.delta_every + delta),
            nominal=self.nominal or nominal,
        )

    @property
    def within(self) -> bool:
        """Whether no more is spent than the limits permit."""
        return self.spent <= self.capacity and self.delta_spent <= self.delta_limit

    @property
    def epsilon_remaining(self) -> Amount:
        """What the worst record (or subject) may still spend; under a Rényi filter, as ONE release of pure epsilon."""
        if self.epsilon_limit == math.inf:
            return math.inf
        remaining = self.capacity - self.spent
        if self.order is None:
            return remaining
        return largest_pure(Fraction(remaining), float(self.order))

    @property
    def spent_by_worst(self) -> Amount | None:
        """What the worst record spent besides what every one was charged; None where every one was charged infinity."""
        if self.every == math.inf:
            return None
        return math.inf if self.spent == math.inf else self.spent - self.every

    def unspent(self) -> "Balance":
        """The same budget as it was made."""
        zero = Fraction(0)
        return replace(self, spent=zero, delta_spent=zero, nominal=False, every=zero, delta_every=zero)

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
            "nominal": self.nominal,
        }
        if self.order is None:
            found |= {"epsilon_spent": to_text(self.spent), "epsilon_every": to_text(self.every)}
            found |= {"delta_spent": to_text(self.delta_spent), "delta_every": to_text(self.delta_every)}
        else:
            found |= {"divergence_spent": to_text(self.spent), "divergence_every": to_text(self.every)}
            found["order"] = to_text(self.order)
        if self.small:
            found |= {"specification": self.specification, "layer": self.layer}
        return found


_BALANCE_1 = frozenset({"unit", "epsilon_limit", "delta_limit", "epsilon_spent", "delta_spent", "nominal"})


def balances_of(content: Content) -> tuple[Balance, ...]:
    """The balances that an entry carries. In schema 1 every charge counts for every record. ValueError, KeyError."""
    return tuple(_balance(one) for one in content["balances"])


def _balance(one: Content) -> Balance:
    old, order = one.keys() == _BALANCE_1, fraction_from_text(one["order"]) if "order" in one else None
    quantity = "epsilon" if order is None else "divergence"
    spent = from_text(one[f"{quantity}_spent"])
    delta = fraction_from_text(one["delta_spent"]) if order is None else Fraction(0)
    found = Balance(
        Unit(one["unit"]),
        from_text(one["epsilon_limit"]),
        fraction_from_text(one["delta_limit"]),
        spent,
        delta,
        one["nominal"] is True,
        "substitution" if old else one["relation"],
        spent if old else from_text(one[f"{quantity}_every"]),
        delta if old or order is not None else fraction_from_text(one["delta_every"]),
        one.get("specification"),
        one.get("layer"),
        order,
    )
    check_order(found)
    check_relation(found.relation)
    check_hash("specification", found.specification)
    check_layer(found.layer)
    if not old and found.to_dict() != one:
        raise ValueError("a balance is not in canonical form")
    return found


def check_order(balance: Balance) -> None:
    """Raise ValueError where a Rényi filter of its order cannot be the filter of the budget."""
    if balance.order is None:
        return
    if balance.relation != "substitution" or not isinstance(balance.epsilon_limit, Fraction):
        raise ValueError("a Rényi filter is for a finite epsilon and for releases: substitution")
    if not 1 < balance.order <= 1000 or Fraction(float(balance.order)) != balance.order:
        raise ValueError(f"order must be a float above 1, at most 1000, not {float(balance.order):g}")
    capacity(balance.epsilon_limit, balance.delta_limit, float(balance.order))
