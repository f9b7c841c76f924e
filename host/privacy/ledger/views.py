"""What the ledger hands out."""

from dataclasses import dataclass

from spikeveil.host.privacy.ledger.balances import Balance
from spikeveil.host.privacy.ledger.chain import Content
from spikeveil.host.privacy.ledger.costs import SessionCost
from spikeveil.host.privacy.ledger.session import ReleaseSession


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
    """What a charge would do to one budget: `balance` before it, `cost`, and whether it is `allowed`.

    releases_left: how many more single releases of its worst record (or subject) the budget bears at this setting;
    None: without end.
    """

    balance: Balance
    cost: SessionCost
    allowed: bool
    releases_left: int | None = None


@dataclass(frozen=True)
class Lease:
    """Permission, on the disk before this object exists, to release `session.releases` records of one data set.

    number: 1 to 2^39 - 1, never used before in the ledger `ledger`: the middle 40 bits of the cipher's IV.
    worth: "private", "nominal" (an insecure demonstration) or "none" (booked at infinity).
    """

    ledger: str
    number: int
    data_set: str
    session: ReleaseSession
    source: str
    worth: str
    charges: tuple[SessionCost, ...]
    entry: Entry

    @property
    def quota(self) -> int:
        """What the device's guard counts down: time steps, or records of a network that decides."""
        return self.session.quota


@dataclass(frozen=True)
class Verified:
    """A chain that holds: the ledger's identity, how many entries and leases, the last lease number, the last hash.

    witnessed: whether the witness of this machine agreed (None: it could not be asked); witness_new: it had seen
    nothing of this ledger before, so its agreement shows nothing. recomputed: charges that were computed again;
    stated: those that nobody can recompute, a line each; above: those that charge more than they must; reversals:
    entries of schema 1 that are older than the one before them; names: data sets of schema 1 that differ only in
    spelling; signers: public keys whose signature of the head holds (exports only). resumed_at: the
    entries up to this one were verified before on this machine and not read again; what is listed is of those after it.
    """

    ledger: str
    entries: int
    leases: int
    last_lease: int
    head: str
    witnessed: bool | None = None
    witness_new: bool = False
    recomputed: int = 0
    stated: tuple[str, ...] = ()
    above: tuple[str, ...] = ()
    reversals: tuple[int, ...] = ()
    names: tuple[tuple[str, ...], ...] = ()
    signers: tuple[str, ...] = ()
    resumed_at: int = 0
