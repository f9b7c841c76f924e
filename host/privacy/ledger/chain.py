"""The hash chain: what an entry is, how entries hang together, and the balances that they carry.

An entry is a JSON object in one canonical form (sorted keys, no spaces, ASCII; numbers are integers, amounts are
"n/d" text). Its hash is SHA-256(previous hash, 32 bytes || canonical text); the first entry follows 32 zero bytes.
Every entry about a data set carries the balances of ALL its budgets after it, so the latest one is the state.
"""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from spikeveil.host.privacy.ledger.amounts import Amount, fraction_from_text, from_text, to_text
from spikeveil.host.privacy.ledger.session import Relation, SessionCost, check_hash, check_layer, check_relation
from spikeveil.host.privacy.units import SMALL_UNITS, Unit
from spikeveil.pysim.model.source import FIRST_SIMULATED_LEASE

SCHEMA = 2
GENESIS_HASH = "0" * 64
#: the last lease of a ledger, 2^39 - 1: those above belong to simulations, so that none repeats a mask of a device
MAX_LEASE = FIRST_SIMULATED_LEASE - 1

Content = dict[str, Any]
Network = tuple[str, int]


class ChainBroken(ValueError):  # noqa: N818, it says what happened to the chain
    """An entry contradicts the ones before it; the message is half a sentence for LedgerCorrupt."""


def canonical(content: Content) -> str:
    """The one text of an entry. Raises ValueError for a float, which has no exact form."""
    if _has_float(content):
        raise ValueError("an entry holds no floats")
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def _has_float(value: object) -> bool:
    if isinstance(value, dict):
        return any(_has_float(part) for part in value.values())
    if isinstance(value, list | tuple):
        return any(_has_float(part) for part in value)
    return isinstance(value, float)


def link(previous: str, text: str) -> str:
    """The hash of the entry `text` that follows the entry with hash `previous` (both hexadecimal)."""
    return hashlib.sha256(bytes.fromhex(previous) + text.encode("ascii")).hexdigest()


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


def charge_dict(cost: SessionCost) -> Content:
    """One budget's charge as it stands in an entry."""
    found: Content = {
        "unit": cost.unit.value,
        "bits": cost.bits,
        "epsilon": to_text(cost.epsilon),
        "delta": to_text(cost.delta),
    }
    if cost.counts:
        found["counts"] = [[count, to_text(epsilon), to_text(delta)] for count, epsilon, delta in cost.counts]
    return found


def charges_of(content: Content) -> tuple[SessionCost, ...]:
    """The charges that an entry made, one for each budget of its relation."""
    return tuple(_charge(one) for one in content["charges"])


def _charge(one: Content) -> SessionCost:
    counts = tuple((n, from_text(epsilon), fraction_from_text(delta)) for n, epsilon, delta in one.get("counts", ()))
    cost = SessionCost(
        Unit(one["unit"]), one["bits"], from_text(one["epsilon"]), fraction_from_text(one["delta"]), counts
    )
    if charge_dict(cost) != one:
        raise ValueError("a charge is not in canonical form")
    return cost


def check_columns(number: int, content: Content, columns: Sequence[object]) -> None:
    """The searchable columns beside an entry (sequence, data set, lease, key) must say what the entry says."""
    expected = (content["sequence"], content.get("data_set"), content.get("lease"), content.get("key"))
    if tuple(columns) != expected:
        raise ChainBroken(f"the index columns of entry {number} were changed")
