"""The ledger: what may still be released from a data set, committed to disk before anything leaves."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from secrets import token_hex
from sqlite3 import Connection

from spikeveil.host.privacy.ledger import entries
from spikeveil.host.privacy.ledger.amounts import amount, probability
from spikeveil.host.privacy.ledger.chain import (
    MAX_LEASE,
    SCHEMA,
    Balance,
    Content,
    balances_of,
    charge_record,
    charges_of,
)
from spikeveil.host.privacy.ledger.database import create as create_file
from spikeveil.host.privacy.ledger.errors import BudgetRefused, KeyReused, LedgerError
from spikeveil.host.privacy.ledger.reader import LedgerFile
from spikeveil.host.privacy.ledger.session import Booking, Evidence, Session, SessionCost, Stated, key_digest, text
from spikeveil.host.privacy.ledger.views import Entry, Lease, Mark, Preview
from spikeveil.host.privacy.ledger.witness import Witness
from spikeveil.host.privacy.units import Unit

NO_EVIDENCE = Evidence()


class Ledger(LedgerFile):
    """Budgets, leases and spends in the file at `path`; several processes may have it open.

    The filter: within a data set, every charge is added to every budget of that data set, each at its own unit, as
    the pure sum of (epsilon, delta) of pre-declared sessions in exact fractions (basic composition, which holds for
    adaptively chosen sessions); a session's own epsilon is the exact binomial's at the session's delta. A charge
    that any budget cannot bear is refused whole, with BudgetExceeded, before anything is written. What is charged
    is never given back.

    path: made where it is missing, unless `create` is false. timeout: seconds to wait for other processes.
    after_lease: a new file's first lease is the next number (for a device that has used up earlier ones).
    state_directory: where the witness lies (see `witness`), by default the user's state directory.

    Raises LedgerError, of which there is a subclass for each cause, and ValueError for bad arguments.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        create: bool = True,
        timeout: float = 10.0,
        after_lease: int = 0,
        state_directory: str | Path | None = None,
    ) -> None:
        if str(path) == ":memory:":
            raise ValueError("ledger path must name a file, not ':memory:': a ledger outlives its process")
        if isinstance(after_lease, bool) or not isinstance(after_lease, int) or not 0 <= after_lease < MAX_LEASE:
            raise ValueError(f"after_lease must be 0 to 2^40 - 2, not {after_lease!r}")
        path = Path(path)
        if create and not path.exists():
            genesis = {
                "ledger": token_hex(16),
                "schema": SCHEMA,
                "software": f"spikeveil {metadata.version('spikeveil')}",
            }
            content = entries.new_content(1, "genesis", after_lease, genesis)
            create_file(path, "ledger", lambda connection: entries.fill(connection, content))
        super().__init__(path, timeout, Path(state_directory) if state_directory else None)

    def preview(
        self,
        data_set: str,
        cost: Session | Stated,
        *,
        source: str = "trivium",
        unsafe: bool = False,
        demonstration: bool = False,
    ) -> tuple[Preview, ...]:
        """What a charge (see `spend`) would do to each budget of `data_set`; nothing is charged."""
        booking = Booking(source, unsafe, demonstration)
        with self._reading() as connection:
            balances = self._balances(connection, data_set)
        return tuple(entries.preview(balance, booking.cost(cost, balance.unit)) for balance in balances)

    def create_budget(self, data_set: str, unit: Unit | str, epsilon: object, delta: object) -> Balance:
        """Give `data_set` a budget at `unit`: at most `epsilon` and `delta` in all, read exactly (see `amount`).

        A data set has at most one budget a unit, all made before its first charge, and a budget never changes.
        """
        text("data set", data_set)
        fresh = Balance(Unit(unit), amount("budget epsilon", epsilon), probability("budget delta", delta))
        with self._appending() as draft:
            latest = entries.latest(draft.connection, data_set)
            before = balances_of(latest.content) if latest else ()
            if latest and latest.kind != "budget":
                raise LedgerError(f"data set {data_set!r} has been charged: budgets are made before the first charge")
            if any(balance.unit is fresh.unit for balance in before):
                raise LedgerError(f"data set {data_set!r} already has a budget at {fresh.unit.value} level")
            draft.append("budget", {"data_set": data_set, "balances": [one.record() for one in (*before, fresh)]})
        return fresh

    def spend(
        self,
        data_set: str,
        cost: Session | Stated,
        *,
        source: str,
        device: str = "",
        evidence: Evidence = NO_EVIDENCE,
        unsafe: bool = False,
        demonstration: bool = False,
    ) -> Entry:
        """Charge `cost` to every budget of `data_set`, for a release without a lease; on the disk when this returns.

        source: where the noise comes from: "os" (the operating system's generator), "trivium", "lfsr" or "none". The
        last two give no privacy and are booked at infinity. `demonstration` says that an insecure demonstration is
        meant: then the nominal cost is charged, of an LFSR too, and the budget is marked nominal for good.
        unsafe: the specification has a path around the flipper; infinite in any case.
        Raises BudgetExceeded (BudgetRefused), LedgerError, ValueError.
        """
        return self._charge(data_set, cost, Booking(source, unsafe, demonstration), device, evidence)

    def lease(
        self,
        data_set: str,
        session: Session,
        *,
        key: bytes | None,
        specification: str,
        source: str = "trivium",
        device: str = "",
        evidence: Evidence = NO_EVIDENCE,
        unsafe: bool = False,
        demonstration: bool = False,
    ) -> Lease:
        """Charge `session` as `spend` does and grant the next lease number for it; on the disk when this returns.

        key: the cipher's 10 bytes, or under lfsr the seeds (16 bytes for each flipper), from the operating system's
        generator; None for other sources. Only a salted hash of it is kept. A key that serves another ledger, and a
        seed that was used before, raise KeyReused. specification: the network specification's SHA-256, hexadecimal.
        """
        if not isinstance(session, Session):
            raise ValueError(f"lease session must be a Session, not {session!r}")
        booking = Booking(source, unsafe, demonstration)
        booking.check_key(key)
        proof = replace(evidence, specification=specification)
        if evidence.specification not in (None, proof.specification):
            raise ValueError(f"evidence specification must be the lease's own, not {evidence.specification!r}")
        entry = self._charge(data_set, session, booking, device, proof, lease=True, key=key)
        number = int(entry.content["lease"])
        return Lease(self.identity, number, data_set, session, source, booking.worth, charges_of(entry.content), entry)

    # Inside

    def _balances(self, connection: Connection, data_set: str) -> tuple[Balance, ...]:
        latest = entries.latest(connection, data_set)
        if latest is None:
            raise LedgerError(f"data set {data_set!r} has no budget in ledger {self.path}: make one before any release")
        return balances_of(latest.content)

    def _charge(
        self,
        data_set: str,
        cost: Session | Stated,
        booking: Booking,
        device: str,
        evidence: Evidence,
        *,
        lease: bool = False,
        key: bytes | None = None,
    ) -> Entry:
        if device:
            text("device", device)
        with self._reading() as connection:  # the sums are computed here, so that nobody waits for them at the lock
            for balance in self._balances(connection, data_set):
                booking.cost(cost, balance.unit)
        with self._appending() as draft:
            balances = self._balances(draft.connection, data_set)
            costs = [booking.cost(cost, balance.unit) for balance in balances]
            after = [_charged(data_set, *pair, booking) for pair in zip(balances, costs, strict=True)]
            content: Content = {
                "data_set": data_set,
                "session": cost.record(),
                "source": booking.source,
                "unsafe": booking.unsafe,
                "worth": booking.worth,
                "device": device,
                "evidence": evidence.record(),
                "charges": [charge_record(one) for one in costs],
                "balances": [balance.record() for balance in after],
            }
            if lease:
                content |= {"lease": draft.next_lease(), "key": self._claim(draft.connection, booking, key)}
            return draft.append("lease" if lease else "spend", content)

    def _claim(self, connection: Connection, booking: Booking, key: bytes | None) -> str | None:
        """The salted name of `key` in this ledger, once nothing stands against its use."""
        if key is None:
            return None
        name = key_digest(b"spikeveil ledger key", bytes.fromhex(self.identity), key)
        owner = self._writable_witness().claim(key, self.identity)
        if owner not in ("", self.identity):
            raise KeyReused("the key serves another ledger, whose lease numbers are the same: make a fresh key")
        used = owner or connection.execute("SELECT 1 FROM entries WHERE key = ?", (name,)).fetchone()
        if booking.single_use and used:
            raise KeyReused("the seed was used before, and the same seed gives the same masks: make a fresh seed")
        return name

    def _writable_witness(self) -> Witness:
        if self._witness is None:
            raise self.witness_error or LedgerError(f"ledger {self.path} has no witness")
        return self._witness

    @contextmanager
    def _appending(self) -> Iterator[entries.Draft]:
        """One entry's transaction: head and witness are checked at its start, and the witness is told at its end."""
        witness = self._writable_witness()
        with self._naming_the_file(), self._database.write() as connection:
            tip, last_lease = self._tip(connection)
            mark = witness.mark(self.identity)
            if mark is not None and mark != tip and entries.hash_at(connection, mark.entries) != mark.head:
                raise self._rolled_back(mark, tip.entries)
            draft = entries.Draft(connection, tip.entries + 1, last_lease)
            yield draft
        witness.seen(self.identity, Mark(draft.entry.sequence, draft.entry.hash))
        self._database.tidy()


def _charged(data_set: str, balance: Balance, cost: SessionCost, booking: Booking) -> Balance:
    """The balance after the charge. Raises BudgetRefused where a limit would be broken."""
    excess = entries.first_excess(balance, cost)
    if excess is not None:
        quantity, limit, spent, asked = excess
        raise BudgetRefused(data_set, limit, spent, asked, balance.unit, quantity)
    return balance.charged(cost, booking.worth == "nominal")
