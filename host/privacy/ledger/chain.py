"""The hash chain: what an entry is, how entries hang together, and the replay that checks every rule of the ledger.

An entry is a JSON object in one canonical form (sorted keys, no spaces, ASCII; numbers are integers, amounts are
"n/d" text). Its hash is SHA-256(previous hash, 32 bytes || canonical text); the first entry follows 32 zero bytes.
Every entry about a data set carries the balances of ALL its budgets after it, so the latest one is the state.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

from spikeveil.host.privacy.ledger.amounts import Amount, fraction_from_text, from_text, to_text
from spikeveil.host.privacy.ledger.session import SessionCost
from spikeveil.host.privacy.units import Unit

SCHEMA = 1
GENESIS_HASH = "0" * 64
MAX_LEASE = (1 << 40) - 1

Content = dict[str, Any]


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
    """One budget's limits and what is spent of them, in exact amounts. `nominal`: something of it is no guarantee."""

    unit: Unit
    epsilon_limit: Amount
    delta_limit: Fraction
    epsilon_spent: Amount = Fraction(0)
    delta_spent: Fraction = Fraction(0)
    nominal: bool = False

    def charged(self, cost: SessionCost, nominal: bool) -> "Balance":
        """The balance after `cost`, whether or not it is within the limits (`within` says)."""
        return replace(
            self,
            epsilon_spent=self.epsilon_spent + cost.epsilon,
            delta_spent=self.delta_spent + cost.delta,
            nominal=self.nominal or nominal,
        )

    @property
    def within(self) -> bool:
        """Whether no more is spent than the limits permit."""
        return self.epsilon_spent <= self.epsilon_limit and self.delta_spent <= self.delta_limit

    def record(self) -> Content:
        """The balance as it stands in an entry."""
        return {
            "unit": self.unit.value,
            "epsilon_limit": to_text(self.epsilon_limit),
            "delta_limit": to_text(self.delta_limit),
            "epsilon_spent": to_text(self.epsilon_spent),
            "delta_spent": to_text(self.delta_spent),
            "nominal": self.nominal,
        }


def balances_of(content: Content) -> tuple[Balance, ...]:
    """The balances that an entry carries."""
    return tuple(
        Balance(
            Unit(one["unit"]),
            from_text(one["epsilon_limit"]),
            fraction_from_text(one["delta_limit"]),
            from_text(one["epsilon_spent"]),
            fraction_from_text(one["delta_spent"]),
            one["nominal"] is True,
        )
        for one in content["balances"]
    )


def charge_record(cost: SessionCost) -> Content:
    """One budget's charge as it stands in an entry."""
    return {
        "unit": cost.unit.value,
        "bits": cost.bits,
        "epsilon": to_text(cost.epsilon),
        "delta": to_text(cost.delta),
    }


def charges_of(content: Content) -> tuple[SessionCost, ...]:
    """The charges that an entry made, one for each balance."""
    return tuple(
        SessionCost(Unit(one["unit"]), one["bits"], from_text(one["epsilon"]), fraction_from_text(one["delta"]))
        for one in content["charges"]
    )


class Replay:
    """The ledger's state, rebuilt entry by entry; `take` raises ChainBroken at the first that cannot follow."""

    def __init__(self) -> None:
        self.entries = 0
        self.leases = 0
        self.last_lease = 0
        self.head = GENESIS_HASH
        self.identity = ""
        self._balances: dict[str, tuple[Balance, ...]] = {}
        self._charged: set[str] = set()

    def take(self, text: str, digest: str) -> Content:
        """Check the next entry (its canonical text and its hash) and add it to the state; returns its content."""
        number = self.entries + 1
        try:
            if link(self.head, text) != digest:
                raise ChainBroken(f"entry {number} or the one before it was changed: its hash does not fit")
            content = json.loads(text)
            if canonical(content) != text or content["sequence"] != number or not isinstance(content["time"], str):
                raise ChainBroken(f"entry {number} is not in canonical form")
            self._apply(number, content)
            if content["last_lease"] != self.last_lease:
                raise ChainBroken(f"entry {number} has last lease {content['last_lease']}, not {self.last_lease}")
        except ChainBroken:
            raise
        except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError):
            raise ChainBroken(f"entry {number} cannot be read") from None
        self.entries, self.head = number, digest
        return dict(content)

    def _apply(self, number: int, content: Content) -> None:
        kind = content["kind"]
        if (kind == "genesis") != (number == 1):
            raise ChainBroken(f"entry {number} is a {kind} where none can be")
        if kind == "genesis":
            self.identity, self.last_lease = content["ledger"], content["last_lease"]
        elif kind == "budget":
            self._budget(number, content)
        elif kind in ("spend", "lease"):
            self._charge(number, content)
        else:
            raise ChainBroken(f"entry {number} is of the unknown kind {kind!r}")

    def _budget(self, number: int, content: Content) -> None:
        data_set, after = content["data_set"], balances_of(content)
        before = self._balances.get(data_set, ())
        fresh = after[-1]
        if (
            data_set in self._charged
            or after[:-1] != before
            or any(fresh.unit is other.unit for other in before)
            or replace(fresh, epsilon_spent=Fraction(0), delta_spent=Fraction(0), nominal=False) != fresh
        ):
            raise ChainBroken(f"entry {number} makes a budget that cannot follow")
        self._balances[data_set] = after

    def _charge(self, number: int, content: Content) -> None:
        data_set = content["data_set"]
        before, costs, nominal = self._balances[data_set], charges_of(content), content["worth"] == "nominal"
        if [cost.unit for cost in costs] != [balance.unit for balance in before]:
            raise ChainBroken(f"entry {number} does not charge every budget of its data set")
        after = tuple(balance.charged(cost, nominal) for balance, cost in zip(before, costs, strict=True))
        if after != balances_of(content) or not all(balance.within for balance in after):
            raise ChainBroken(f"entry {number} has balances that do not add up")
        if content["kind"] == "lease":
            if content["lease"] != self.last_lease + 1 or content["lease"] > MAX_LEASE:
                raise ChainBroken(f"entry {number} has lease {content['lease']} where {self.last_lease + 1} is due")
            self.last_lease, self.leases = content["lease"], self.leases + 1
        self._balances[data_set] = after
        self._charged.add(data_set)


def check_columns(number: int, content: Content, columns: Sequence[object]) -> None:
    """The searchable columns beside an entry (sequence, data set, lease, key) must say what the entry says."""
    expected = (content["sequence"], content.get("data_set"), content.get("lease"), content.get("key"))
    if tuple(columns) != expected:
        raise ChainBroken(f"the index columns of entry {number} were changed")
