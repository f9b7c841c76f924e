"""What the ledger hands out."""

from dataclasses import dataclass

from spikeveil.host.privacy.ledger.chain import Balance, Content
from spikeveil.host.privacy.ledger.session import Session, SessionCost


@dataclass(frozen=True)
class Entry:
    """One entry: its place, kind ("genesis", "budget", "lease", "spend"), UTC time (ISO 8601), content and hash."""

    sequence: int
    kind: str
    time: str
    content: Content
    hash: str


@dataclass(frozen=True)
class Mark:
    """A state of a ledger: how many entries it had, and the hash of the last."""

    entries: int
    head: str


@dataclass(frozen=True)
class Preview:
    """What a charge would do to one budget: `balance` before it, `cost`, and whether it is `allowed`."""

    balance: Balance
    cost: SessionCost
    allowed: bool


@dataclass(frozen=True)
class Lease:
    """Permission, on the disk before this object exists, to release `session.releases` records of one data set.

    number: 1 to 2^40 - 1, never used before in the ledger `ledger`: the middle 40 bits of the cipher's IV.
    worth: "private", "nominal" (an insecure demonstration) or "none" (booked at infinity).
    """

    ledger: str
    number: int
    data_set: str
    session: Session
    source: str
    worth: str
    charges: tuple[SessionCost, ...]
    entry: Entry

    @property
    def quota(self) -> int:
        """Time steps that may be released."""
        return self.session.releases * self.session.steps


@dataclass(frozen=True)
class Verified:
    """A chain that holds: the ledger's identity, how many entries and leases, the last lease number, the last hash.

    witnessed: whether the witness of this machine agreed (None: it could not be asked).
    """

    ledger: str
    entries: int
    leases: int
    last_lease: int
    head: str
    witnessed: bool | None = None
