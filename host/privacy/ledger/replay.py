"""The replay: the ledger's state rebuilt entry by entry, with every rule checked and every charge recomputed."""

import json
from collections import defaultdict
from datetime import datetime

from spikeveil.host.privacy.ledger.balances import balances_of
from spikeveil.host.privacy.ledger.binding import Binding, binding_of
from spikeveil.host.privacy.ledger.booking import Booking
from spikeveil.host.privacy.ledger.chain import GENESIS_HASH, MAX_LEASE, SCHEMA, ChainBroken, Content, canonical, link
from spikeveil.host.privacy.ledger.data_sets import DataSetState, numbered_parts
from spikeveil.host.privacy.ledger.fields import FIELDS, Evidence, Relation, check_relation
from spikeveil.host.privacy.ledger.fields import text as check_text
from spikeveil.host.privacy.ledger.names import normal_name
from spikeveil.host.privacy.ledger.recomputation import Recomputation, costs_of_or_none
from spikeveil.host.privacy.ledger.runs import RunReplay
from spikeveil.host.privacy.ledger.session import session_of
from spikeveil.host.privacy.ledger.views import Verified

#: highest lease that schema 1 granted
MAX_LEASE_1 = (1 << 40) - 1


class Replay:
    """The ledger's state, rebuilt entry by entry; `take` raises ChainBroken at the first that cannot follow.

    recompute: whether every charge is computed again from the session beside it; what that found is in
    `recomputation`. keys: the salted name of each key that leases used, and its source. reversals: the entries of
    schema 1 whose time runs backwards.
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
        self.recomputation = Recomputation()
        self.reversals: list[int] = []
        self.data_sets: dict[str, DataSetState] = {}
        self.bindings: dict[str, tuple[str, int, int]] = {}
        self.keys: dict[str, str] = {}
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
            self._genesis(number, content)
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

    def _genesis(self, number: int, content: Content) -> None:
        self.identity, self.last_lease, self.schema = content["ledger"], content["last_lease"], content["schema"]
        if bytes.fromhex(self.identity).hex() != self.identity or len(self.identity) != 32:
            raise ChainBroken(f"entry {number} has no identity")
        if type(self.last_lease) is not int or not 0 <= self.last_lease <= MAX_LEASE_1:
            raise ChainBroken(f"entry {number} has last lease {self.last_lease}")
        if self.schema not in (1, SCHEMA):
            raise ChainBroken(f"entry {number} has schema {self.schema}")

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
        if content["kind"] == "budget":
            state.make_budget(number, after, binding)
        else:
            state.extend(number, after, binding)
        for first, part in numbered_parts(binding):
            place = (content["data_set"], first, part.records)
            if self.bindings.setdefault(part.digest, place) != place:
                raise ChainBroken(f"entry {number} binds a file that is bound already")

    def _charge(self, number: int, content: Content) -> None:
        state = self.data_sets[content["data_set"]]
        current, before = self.schema >= 2, state.balances
        relation: Relation = content["relation"] if current else "substitution"
        check_relation(relation)
        charge, booking = session_of(content["session"], relation), self._booking(number, content)
        if current:
            ranges = state.ranges(number, content, charge)
            costs = state.charge(number, content, charge, booking, ranges)
        else:
            ranges, costs = None, state.charge_schema_1(number, content, booking)
        if self.recompute:
            exact = costs_of_or_none(charge, booking, before, ranges, state.binding)
            self.recomputation.check(number, charge, costs, exact)
        if content["kind"] == "lease":
            self._lease(number, content, booking)

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
        if (
            content["session"]["kind"] not in ("randomised response", "decision")
            or "specification" not in content["evidence"]
        ):
            raise ChainBroken(f"entry {number} is a lease without a specification or its releases")
        key = content["key"]
        if (key is None) != (booking.source in ("os", "none")):
            raise ChainBroken(f"entry {number} has a key where {booking.source} needs another")
        if key is not None:
            if bytes.fromhex(key).hex() != key or len(key) != 32:
                raise ChainBroken(f"entry {number} cannot be read")
            if (booking.single_use and key in self.keys) or self.keys.setdefault(key, booking.source) != booking.source:
                raise ChainBroken(f"entry {number} uses a seed again")
        self.last_lease, self.leases = content["lease"], self.leases + 1


def verified(
    state: Replay,
    *,
    witnessed: bool | None = None,
    witness_new: bool = False,
    signers: tuple[str, ...] = (),
    resumed_at: int = 0,
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
        state.recomputation.recomputed,
        tuple(state.recomputation.stated),
        tuple(state.recomputation.above),
        tuple(state.reversals),
        tuple(tuple(names) for names in spellings.values() if len(names) > 1),
        signers,
        resumed_at,
    )
