"""The replay: the ledger's state rebuilt entry by entry, with every rule checked and every charge recomputed."""

import json
import math
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction

from spikeveil.host.privacy.ledger.amounts import Amount, shown_up
from spikeveil.host.privacy.ledger.binding import Binding, DataIdentity, Ranges, binding_of, check_ranges, size_of
from spikeveil.host.privacy.ledger.chain import (
    GENESIS_HASH,
    MAX_LEASE,
    SCHEMA,
    Balance,
    ChainBroken,
    Content,
    balances_of,
    canonical,
    charges_of,
    link,
)
from spikeveil.host.privacy.ledger.charging import costs_of, effect, network_of
from spikeveil.host.privacy.ledger.names import normal_name
from spikeveil.host.privacy.ledger.runs import RunReplay
from spikeveil.host.privacy.ledger.session import (
    Booking,
    Chargeable,
    Evidence,
    Relation,
    Session,
    SessionCost,
    Stated,
    TrainingSession,
    check_relation,
    session_of,
)
from spikeveil.host.privacy.ledger.session import (
    text as check_text,
)
from spikeveil.host.privacy.ledger.spread import MemorySpread
from spikeveil.host.privacy.ledger.views import Verified

#: highest lease that schema 1 granted
MAX_LEASE_1 = (1 << 40) - 1
#: by how much a recomputed charge may differ on another machine, whose sums of floats round otherwise
TOLERANCE = Fraction(1, 1 << 40)


@dataclass
class DataSetState:
    """A data set after the entries so far."""

    balances: tuple[Balance, ...] = ()
    binding: Binding = field(default_factory=Binding)
    bound: int = 0
    charged: bool = False
    spreads: defaultdict[int, MemorySpread] = field(default_factory=lambda: defaultdict(MemorySpread))


class Replay:
    """The ledger's state, rebuilt entry by entry; `take` raises ChainBroken at the first that cannot follow.

    recompute: whether every charge is computed again from the session beside it. What that found is in `recomputed`
    (charges), `stated` and `above` (a line each); `reversals` has the entries of schema 1 whose time runs backwards.
    """

    def __init__(self, recompute: bool = True) -> None:
        self.entries = 0
        self.leases = 0
        self.last_lease = 0
        self.head = GENESIS_HASH
        self.identity = ""
        self.schema = 0
        self.time = ""
        self.recompute = recompute
        self.recomputed = 0
        self.stated: list[str] = []
        self.above: list[str] = []
        self.reversals: list[int] = []
        self.data_sets: dict[str, DataSetState] = {}
        self.bindings: dict[str, tuple[str, int, int]] = {}
        self._keys: dict[str, str] = {}
        self.runs = RunReplay()

    def take(self, text: str, digest: str) -> Content:
        """Check the next entry (its canonical text and its hash) and add it to the state; returns its content."""
        number = self.entries + 1
        try:
            if link(self.head, text) != digest:
                raise ChainBroken(f"entry {number} or the one before it was changed: its hash does not fit")
            content = json.loads(text)
            if canonical(content) != text or content["sequence"] != number:
                raise ChainBroken(f"entry {number} is not in canonical form")
            self._apply(number, content)
            self.runs.take(number, content, digest)
            self._take_time(number, content["time"])
            if content["last_lease"] != self.last_lease:
                raise ChainBroken(f"entry {number} has last lease {content['last_lease']}, not {self.last_lease}")
        except ChainBroken:
            raise
        except (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError, IndexError):
            raise ChainBroken(f"entry {number} cannot be read") from None
        self.entries, self.head = number, digest
        return dict(content)

    def _take_time(self, number: int, time: str) -> None:
        if datetime.fromisoformat(time).isoformat(timespec="microseconds") != time:
            raise ChainBroken(f"entry {number} has no time in ISO 8601, UTC")
        if time < self.time:
            if self.schema >= 2:
                raise ChainBroken(f"entry {number} is older than the one before it: {time} after {self.time}")
            self.reversals.append(number)
        self.time = max(time, self.time)

    def _apply(self, number: int, content: Content) -> None:
        kind = content["kind"]
        if (kind == "genesis") != (number == 1):
            raise ChainBroken(f"entry {number} is a {kind} where none can be")
        if kind == "genesis":
            self.identity, self.last_lease, self.schema = content["ledger"], content["last_lease"], content["schema"]
            if bytes.fromhex(self.identity).hex() != self.identity or len(self.identity) != 32:
                raise ChainBroken(f"entry {number} has no identity")
            if type(self.last_lease) is not int or not 0 <= self.last_lease <= MAX_LEASE_1:
                raise ChainBroken(f"entry {number} has last lease {self.last_lease}")
            if self.schema not in (1, SCHEMA):
                raise ChainBroken(f"entry {number} has schema {self.schema}")
        elif kind == "upgrade":
            if self.schema >= SCHEMA or content["schema"] != SCHEMA:
                raise ChainBroken(f"entry {number} upgrades where nothing can be")
            self.schema = SCHEMA
        elif kind in ("budget", "extend"):
            self._budget(number, content)
        elif kind in ("spend", "lease"):
            self._charge(number, content)
        elif kind not in FIELDS or self.schema < 2:
            raise ChainBroken(f"entry {number} is of the unknown kind {kind!r}")
        self._check_keys(number, content)

    def _check_keys(self, number: int, content: Content) -> None:
        """Every entry has exactly the fields of its kind."""
        if self.schema < 2 or content["kind"] == "genesis":
            return
        if content.keys() != FIELDS[content["kind"]]:
            raise ChainBroken(f"entry {number} does not have the fields of a {content['kind']}")

    def _state(self, number: int, content: Content) -> DataSetState:
        name = content["data_set"]
        if name not in self.data_sets and self.schema >= 2 and normal_name(name) != name:
            raise ChainBroken(f"entry {number} has a data set whose name is not in normal form")
        return self.data_sets.setdefault(name, DataSetState())

    def _budget(self, number: int, content: Content) -> None:
        state, after = self._state(number, content), balances_of(content)
        binding = binding_of(content) if self.schema >= 2 else Binding()
        wrong = ChainBroken(f"entry {number} makes a budget that cannot follow")
        if content["kind"] == "budget":
            fresh = after[-1]
            unspent = Balance(
                fresh.unit,
                fresh.epsilon_limit,
                fresh.delta_limit,
                relation=fresh.relation,
                specification=fresh.specification,
                layer=fresh.layer,
            )
            repeated = any(fresh.same_budget(other) for other in state.balances)
            rebound = state.binding.parts and binding != state.binding
            if state.charged or after[:-1] != state.balances or repeated or rebound or fresh != unspent:
                raise wrong
            if fresh.unit.value == "subject" and binding.subjects is None:
                raise wrong
        else:
            old = state.binding.subjects.runs if state.binding.subjects else ()
            new = binding.subjects.runs if binding.subjects else ()
            if not state.binding.parts or binding.parts[:-1] != state.binding.parts or new[: len(old)] != old:
                raise wrong
            count = state.binding.subjects.count if state.binding.subjects else 0
            if any(number < count for _, number in new[len(old) :]) or after != state.balances:
                raise wrong
            if bool(old) != bool(new):
                raise wrong
        for first, part in _numbered(binding):
            if self.bindings.setdefault(part.digest, (content["data_set"], first, part.records)) != (
                content["data_set"],
                first,
                part.records,
            ):
                raise ChainBroken(f"entry {number} binds a file that is bound already")
        state.balances, state.binding, state.bound = after, binding, number

    def _charge(self, number: int, content: Content) -> None:
        state = self.data_sets[content["data_set"]]
        current = self.schema >= 2
        relation: Relation = content["relation"] if current else "substitution"
        check_relation(relation)
        charge, booking = session_of(content["session"], relation), self._booking(number, content)
        ranges: Ranges | None = None
        if current and content["records"] is not None:
            ranges = check_ranges(content["records"], state.binding.records)
        if ranges is not None and isinstance(charge, Session) and size_of(ranges) != charge.releases:
            raise ChainBroken(f"entry {number} releases {charge.releases} records and names {size_of(ranges)}")
        if ranges is not None and isinstance(charge, TrainingSession):
            raise ChainBroken(f"entry {number} trains on named records")
        if current and content["bound"] != state.bound:
            raise ChainBroken(f"entry {number} is bound by entry {content['bound']}, not {state.bound}")
        costs = charges_of(content)
        before = state.balances
        if not current:
            found = tuple(b.charged(c, booking.worth == "nominal") for b, c in zip(before, costs, strict=True))
            if [cost.unit for cost in costs] != [balance.unit for balance in before]:
                raise ChainBroken(f"entry {number} does not charge every budget of its data set")
        else:
            if [cost.unit for cost in costs] != [one.unit for one in before if one.relation == relation]:
                raise ChainBroken(f"entry {number} does not charge every budget of its data set")
            worked = effect(
                before,
                costs,
                relation,
                ranges,
                state.binding,
                state.spreads.__getitem__,
                nominal=booking.worth == "nominal",
                network=network_of(charge, content["evidence"].get("specification")),
            )
            found = worked.after
            worked.write(state.spreads.__getitem__)
        if found != balances_of(content) or not all(balance.within for balance in found):
            raise ChainBroken(f"entry {number} has balances that do not add up")
        if self.recompute:
            self._recompute(number, charge, costs, costs_of_or_none(charge, booking, before, ranges, state.binding))
        if content["kind"] == "lease":
            self._lease(number, content, booking)
        state.balances, state.charged = found, True
        if not current:
            state.bound = 0  # schema 1 bound nothing

    def _booking(self, number: int, content: Content) -> Booking:
        """The source and its worth, which follow from one another."""
        if not isinstance(content["unsafe"], bool) or not isinstance(content.get("demonstration", False), bool):
            raise ChainBroken(f"entry {number} cannot be read")
        demonstration = content["demonstration"] if self.schema >= 2 else content["worth"] == "nominal"
        booking = Booking(content["source"], content["unsafe"], demonstration)
        if booking.worth != content["worth"]:
            raise ChainBroken(
                f"entry {number} books {content['source']} as {content['worth']}, and it is worth {booking.worth}"
            )
        if content["device"]:
            check_text("device", content["device"])
        if Evidence(**content["evidence"]).to_dict() != content["evidence"]:
            raise ChainBroken(f"entry {number} cannot be read")
        return booking

    def _lease(self, number: int, content: Content, booking: Booking) -> None:
        top = MAX_LEASE if self.schema >= 2 else MAX_LEASE_1
        if content["lease"] != self.last_lease + 1 or content["lease"] > top:
            raise ChainBroken(f"entry {number} has lease {content['lease']} where {self.last_lease + 1} is due")
        if content["session"]["kind"] != "randomised response" or "specification" not in content["evidence"]:
            raise ChainBroken(f"entry {number} is a lease without a specification or its releases")
        key = content["key"]
        if (key is None) != (booking.source in ("os", "none")):
            raise ChainBroken(f"entry {number} has a key where {booking.source} needs another")
        if key is not None:
            if bytes.fromhex(key).hex() != key or len(key) != 32:
                raise ChainBroken(f"entry {number} cannot be read")
            if (booking.single_use and key in self._keys) or self._keys.setdefault(
                key, booking.source
            ) != booking.source:
                raise ChainBroken(f"entry {number} uses a seed again")
        self.last_lease, self.leases = content["lease"], self.leases + 1

    def _recompute(
        self, number: int, charge: Chargeable, costs: tuple[SessionCost, ...], wanted: tuple[SessionCost, ...] | None
    ) -> None:
        """Compare the charges with what the session costs; a stated one is only what somebody said."""
        if wanted is None:
            self.stated.append(f"entry {number}: DP-SGD by the pld bound, which needs dp-accounting to be recomputed")
            return
        for cost, exact in zip(costs, wanted, strict=True):
            if (cost.unit, cost.bits, cost.delta) != (exact.unit, exact.bits, exact.delta):
                raise ChainBroken(
                    f"entry {number} does not charge what its session composes at {cost.unit.value} level"
                )
            pairs = [(cost.epsilon, exact.epsilon)]
            pairs += [(one[1], other[1]) for one, other in zip(cost.counts, exact.counts, strict=True)]
            if [(n, d) for n, _, d in cost.counts] != [(n, d) for n, _, d in exact.counts]:
                raise ChainBroken(f"entry {number} does not charge its subjects what its session composes")
            if any(below(charged, needed) for charged, needed in pairs):
                raise ChainBroken(
                    f"entry {number} charges epsilon {shown_up(cost.epsilon)} at {cost.unit.value} level for what "
                    f"costs {shown_up(exact.epsilon)}"
                )
            if any(below(needed, charged) for charged, needed in pairs):
                self.above.append(
                    f"entry {number}: charged {shown_up(cost.epsilon)} at {cost.unit.value} level, "
                    f"costs {shown_up(exact.epsilon)}"
                )
        if isinstance(charge, Stated):
            self.stated.append(f"entry {number}: {charge.mechanism}, epsilon {shown_up(charge.epsilon)}")
        else:
            self.recomputed += 1


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


def _numbered(binding: Binding) -> list[tuple[int, DataIdentity]]:
    found, first = [], 0
    for part in binding.parts:
        found.append((first, part))
        first += part.records
    return found


_COMMON = {"sequence", "kind", "time", "last_lease"}
_BUDGET = _COMMON | {"data_set", "balances", "data", "subjects"}
_SPEND = _COMMON | {
    "data_set",
    "session",
    "relation",
    "records",
    "bound",
    "source",
    "unsafe",
    "demonstration",
    "worth",
    "device",
    "evidence",
    "charges",
    "balances",
}
#: kind of entry -> its fields in schema 2
FIELDS = {
    "upgrade": _COMMON | {"schema", "software"},
    "budget": _BUDGET,
    "extend": _BUDGET,
    "spend": _SPEND,
    "lease": _SPEND | {"lease", "key"},
    "block": _COMMON | {"run", "key", "start", "steps", "again"},
    "checkpoint": _COMMON | {"run", "block", "key", "token"},
}


def verified(
    state: Replay, *, witnessed: bool | None = None, witness_new: bool = False, signers: tuple[str, ...] = ()
) -> Verified:
    """What a replay that came to its end has shown."""
    spellings = defaultdict[str, list[str]](list)
    for name in state.data_sets:
        spellings[normal_name(name)].append(name)
    return Verified(
        state.identity,
        state.entries,
        state.leases,
        state.last_lease,
        state.head,
        witnessed,
        witness_new,
        state.recomputed,
        tuple(state.stated),
        tuple(state.above),
        tuple(state.reversals),
        tuple(tuple(names) for names in spellings.values() if len(names) > 1),
        signers,
    )
