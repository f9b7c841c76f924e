"""Writing to a ledger: one transaction for each entry, and the charge in it."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from sqlite3 import Connection

from spikeveil.host.privacy.ledger import entries, verification
from spikeveil.host.privacy.ledger.accounts import Account
from spikeveil.host.privacy.ledger.balances import balances_of
from spikeveil.host.privacy.ledger.binding import DataIdentity, Ranges, ranges_of
from spikeveil.host.privacy.ledger.booking import Booking
from spikeveil.host.privacy.ledger.chain import SCHEMA, Content
from spikeveil.host.privacy.ledger.charging import costs_of, network_of
from spikeveil.host.privacy.ledger.costs import charge_dict
from spikeveil.host.privacy.ledger.errors import BudgetRefused, KeyReused, LedgerError
from spikeveil.host.privacy.ledger.fields import Evidence, key_digest, text
from spikeveil.host.privacy.ledger.group_commit import GroupCommit
from spikeveil.host.privacy.ledger.reader import LedgerReader
from spikeveil.host.privacy.ledger.session import Chargeable, ReleaseSession
from spikeveil.host.privacy.ledger.spread import TableSpread
from spikeveil.host.privacy.ledger.stated import Stated
from spikeveil.host.privacy.ledger.training_session import TrainingSession
from spikeveil.host.privacy.ledger.views import Entry
from spikeveil.host.privacy.ledger.witness import Witness

NO_EVIDENCE = Evidence()
#: entries that are read again before the first write of a process
CHECKED = 1000


class LedgerWriter(LedgerReader):
    """An existing ledger for reading and writing; see `Ledger`."""

    def __init__(self, path: Path, timeout: float, state_directory: Path | None) -> None:
        super().__init__(path, timeout, state_directory)
        self._together = GroupCommit(self._appending)
        self._checked = False

    def _account(self, connection: Connection, data_set: str) -> Account:
        name = self._name(connection, data_set)
        latest = entries.latest(connection, name)
        if latest is None:
            raise LedgerError(f"data set {name!r} has no budget in ledger {self.path}: make one before any release")
        bound = latest.sequence if latest.kind in ("budget", "extend") else int(latest.content.get("bound", 0))
        binding = self._binding(connection, latest.content)
        return Account(name, balances_of(latest.content), binding, bound)

    @staticmethod
    def _bind(connection: Connection, name: str, first: int, data: DataIdentity) -> None:
        """Bind a file to a data set. LedgerError where it is another one's: it would have two budgets."""
        row = connection.execute("SELECT data_set, first FROM bindings WHERE digest = ?", (data.digest,)).fetchone()
        if row is None:
            connection.execute("INSERT INTO bindings VALUES (?, ?, ?, ?)", (data.digest, name, first, data.records))
        elif row != (name, first):
            raise LedgerError(f"the data are bound to data set {row[0]!r} already: a file has one set of budgets")

    def _charge(
        self,
        data_set: str,
        cost: Chargeable,
        booking: Booking,
        device: str,
        evidence: Evidence,
        records: Iterable[int] | Ranges | None,
        data: DataIdentity | None,
        *,
        lease: bool = False,
        key: bytes | None = None,
    ) -> Entry:
        if not isinstance(cost, ReleaseSession | TrainingSession | Stated):
            raise ValueError(f"charge must be a Session, DecisionSession, TrainingSession or Stated cost, not {cost!r}")
        if device:
            text("device", device)
        if records is not None and not isinstance(records, tuple):
            records = ranges_of(records)
        with self._reading_aside() as connection:  # the sums are computed here: nobody waits for them at the lock
            account = self._account(connection, data_set)
            costs_of(cost, booking, account.balances, account.ranges(cost, records, data), account.binding)
        return self._together.run(
            lambda draft: self._append_charge(
                draft, data_set, cost, booking, device, evidence, records, data, lease=lease, key=key
            )
        )

    def _append_charge(
        self,
        draft: entries.Draft,
        data_set: str,
        cost: Chargeable,
        booking: Booking,
        device: str,
        evidence: Evidence,
        records: Iterable[int] | Ranges | None = None,
        data: DataIdentity | None = None,
        *,
        lease: bool = False,
        key: bytes | None = None,
    ) -> Entry:
        """Charge within a transaction. BudgetRefused."""
        account = self._account(draft.connection, data_set)
        ranges, network = account.ranges(cost, records, data), network_of(cost, evidence.specification)
        costs = costs_of(cost, booking, account.balances, ranges, account.binding)
        worked = account.effect(draft.connection, costs, cost.relation, ranges, booking, network)
        if worked.excess is not None:
            one = worked.excess
            unit = one.balance.unit
            raise BudgetRefused(account.name, one.limit, one.spent, one.asked, unit, one.quantity, one.who)
        worked.write(lambda axis: TableSpread(draft.connection, account.name, axis))
        content: Content = {
            "data_set": account.name,
            "session": cost.to_dict(),
            "relation": cost.relation,
            "records": None if ranges is None else [list(one) for one in ranges],
            "bound": account.bound,
            "source": booking.source,
            "unsafe": booking.unsafe,
            "demonstration": booking.demonstration,
            "worth": booking.worth,
            "device": device,
            "evidence": evidence.to_dict(),
            "charges": [charge_dict(one) for one in costs],
            "balances": [balance.to_dict() for balance in worked.after],
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

    def _check_before_writing(self) -> None:
        """Once, before this process writes: LedgerCorrupt where the latest `CHECKED` entries, or the sums, are corrupt.

        A ledger of at most that many entries is replayed whole. A longer one is replayed from its last verification
        on this machine, if no more than that were appended since; otherwise the hashes of the latest are checked.
        """
        if self._checked:
            return
        with self._reading() as connection:
            number = self._tip(connection).sequence
            start = self._snapshot(recompute=False) if number > CHECKED else None
            if number <= CHECKED or (start is not None and start.entries <= number <= start.entries + CHECKED):
                verification.replay(connection, start=start, recompute=False)
            else:
                verification.check_links(connection, CHECKED)
        self._checked = True

    @contextmanager
    def _appending(self) -> Iterator[entries.Draft]:
        """One entry's transaction: head and witness are checked at its start, and the witness is told at its end."""
        witness = self._writable_witness()
        self._check_before_writing()
        with self._naming_the_file(), self._database.write() as connection:
            tip = self._tip(connection)
            mark = witness.mark(self.identity)
            if mark is not None and mark != self._mark(tip) and entries.hash_at(connection, mark.entries) != mark.head:
                raise self._rolled_back(mark, tip.sequence)
            draft = entries.Draft(connection, tip, int(tip.content["last_lease"]))
            if entries.schema_of(connection) < SCHEMA:
                entries.upgrade(connection)
                draft.append("upgrade", {"schema": SCHEMA, "software": software()})
            yield draft
        witness.seen(self.identity, self._mark(draft.last))
        self._database.tidy()


def software() -> str:
    """Name and version of the program, as entries hold them."""
    return f"spikeveil {metadata.version('spikeveil')}"
