"""Reading a ledger and checking it."""

from collections.abc import Iterator
from sqlite3 import Connection
from typing import TextIO

from numpy.typing import ArrayLike

from spikeveil.host.privacy.ledger import entries, exports, verification
from spikeveil.host.privacy.ledger.balances import Balance, balances_of
from spikeveil.host.privacy.ledger.binding import Binding, DataIdentity, DataKey
from spikeveil.host.privacy.ledger.chain import ChainBroken
from spikeveil.host.privacy.ledger.charging import AXES, axis_of
from spikeveil.host.privacy.ledger.errors import LedgerError, LedgerRolledBack
from spikeveil.host.privacy.ledger.ledger_file import LedgerFile
from spikeveil.host.privacy.ledger.replay import Replay, verified
from spikeveil.host.privacy.ledger.runs import RunReplay, RunState
from spikeveil.host.privacy.ledger.signing import Signer
from spikeveil.host.privacy.ledger.snapshots import SnapshotFile
from spikeveil.host.privacy.ledger.spread import TableSpread
from spikeveil.host.privacy.ledger.views import Entry, Mark, Verified
from spikeveil.host.privacy.units import Unit

#: entries that are read at a time
PAGE = 1000


class LedgerReader(LedgerFile):
    """The part of `Ledger` that reads and checks."""

    def budgets(self, data_set: str | None = None) -> dict[str, tuple[Balance, ...]]:
        """The budgets of every data set, or of one, as they stand; reads one entry of each."""
        with self._reading() as connection:
            names = entries.data_sets(connection) if data_set is None else [self._name(connection, data_set)]
            found = {name: entries.latest(connection, name) for name in names}
        return {name: balances_of(entry.content) for name, entry in found.items() if entry is not None}

    def history(self, data_set: str | None = None, last: int | None = None, before: int | None = None) -> list[Entry]:
        """The entries, or those about one data set, in order.

        last: only so many from the end; before: only entries with a lower number. A page costs what it holds.
        """
        for argument, value in (("last", last), ("before", before)):
            if value is not None and (type(value) is not int or not 1 <= value < 1 << 62):
                raise ValueError(f"history {argument} must be an integer of 1 or more, not {value!r}")
        with self._reading() as connection:
            name = None if data_set is None else self._name(connection, data_set)
            found = entries.last_rows(connection, name, last or 1 << 62, before or 1 << 62)
            return [entries.entry_of(row) for row in found]

    def pages(self, data_set: str | None = None, before: int | None = None) -> Iterator[list[Entry]]:
        """`history` from its start, `PAGE` entries at a time: memory stays small, however long it is."""
        with self._reading() as connection:
            name = None if data_set is None else self._name(connection, data_set)
        after, more = 0, True
        while more:
            with self._reading() as connection:
                page = [entries.entry_of(row) for row in entries.rows(connection, name, after).fetchmany(PAGE)]
            page = [entry for entry in page if before is None or entry.sequence < before]
            more = bool(page)
            if page:
                yield page
                after = page[-1].sequence

    @property
    def head(self) -> Mark:
        """The number and the hash of the last entry: whoever notes them down can later prove a cut (`verify`)."""
        with self._reading() as connection:
            return self._mark(self._tip(connection))

    @property
    def last_lease(self) -> int:
        """The highest lease number used."""
        with self._reading() as connection:
            return int(self._tip(connection).content["last_lease"])

    def verify(self, known_head: Mark | None = None, *, since_verified: bool = False) -> Verified:
        """Check the file, every hash, every sum and every lease number, the witness, and a head noted down earlier.

        since_verified: read only what was appended since the last verification on this machine, whose outcome lies in
        the state directory (`snapshots`); everything, where there is none. Raises LedgerCorrupt for a contradiction,
        LedgerRolledBack where the file is older than the witness or `known_head`, or went another way than they did.
        """
        mark = self._witness.mark(self.identity) if self._witness else None
        known = [seen for seen in (mark, known_head) if seen is not None]
        with self._reading() as connection:
            start = self._snapshot() if since_verified else None
            resumed_at = 0 if start is None else start.entries
            if start is None:
                problems = [row[0] for row in connection.execute("PRAGMA integrity_check(1)")]
                if problems != ["ok"]:
                    raise ChainBroken(str(problems[0]).replace("\n", " "))
            state, hashes = verification.replay(connection, {seen.entries for seen in known}, start)
        for seen in known:
            if hashes.get(seen.entries) != seen.head:
                raise self._rolled_back(seen, state.entries)
        self._remember(Mark(state.entries, state.head))
        if self._witness is not None:
            SnapshotFile(self._witness.path.parent, self.identity).keep(state)
        witnessed = None if self._witness is None else True
        return verified(state, witnessed=witnessed, witness_new=bool(witnessed) and mark is None, resumed_at=resumed_at)

    def _snapshot(self, recompute: bool = True) -> Replay | None:
        """What the last verification of this ledger on this machine found."""
        if self._witness is None:
            return None
        found = SnapshotFile(self._witness.path.parent, self.identity).read(recompute)
        return found if found is not None and found.identity == self.identity else None

    def check_device(self, highest_lease_seen: int, lease_hash: str | None = None) -> None:
        """Raise LedgerRolledBack where a device has seen a lease that this file does not have.

        highest_lease_seen: the highest lease number the device has accepted (0: none). lease_hash: the hash of that
        lease's entry, where the device keeps it: it also tells two copies apart that went on separately.
        """
        if isinstance(highest_lease_seen, bool) or not isinstance(highest_lease_seen, int) or highest_lease_seen < 0:
            raise ValueError(f"highest lease seen must be an integer of 0 or more, not {highest_lease_seen!r}")
        with self._reading() as connection:
            last = int(self._tip(connection).content["last_lease"])
            row = connection.execute("SELECT hash FROM entries WHERE lease = ?", (highest_lease_seen,)).fetchone()
        if highest_lease_seen > last:
            raise LedgerRolledBack(
                f"the device has seen lease {highest_lease_seen} and ledger {self.path} ends at lease {last}: the file "
                "was restored from an older copy, or the device served another ledger"
            )
        if lease_hash is not None and highest_lease_seen > 0 and (row is None or row[0] != lease_hash):
            raise LedgerRolledBack(
                f"lease {highest_lease_seen} of the device is not lease {highest_lease_seen} of ledger {self.path}: "
                "two copies of the file went on separately, or the device served another ledger"
            )

    def export(self, stream: TextIO, signer: Signer | None = None) -> Verified:
        """Write every entry to `stream` as JSON lines (see `exports`), signed by `signer`; returns what was written.

        The chain is checked first, and nothing of a broken one is written. The witness is not asked: what is left of
        a file that was rolled back can still be read.
        """
        with self._reading() as connection:
            state, _ = verification.replay(connection, recompute=False)
            exports.write(stream, self.identity, (row[4:6] for row in entries.rows(connection)), signer)
        return verified(state)

    def identify(self, records: ArrayLike, *, create: bool = False) -> DataIdentity:
        """The identity of 0/1 records (records, steps, inputs) under this ledger's data key; see `DataKey`.

        create: make the key where there is none. LedgerError where it cannot be used.
        """
        return DataKey(self.path).identify(records, create)

    def binding(self, data_set: str) -> Binding:
        """The files and subjects that the budgets of `data_set` are bound to; none for a budget without data."""
        with self._reading() as connection:
            latest = entries.latest(connection, self._name(connection, data_set))
            return Binding() if latest is None else self._binding(connection, latest.content)

    def worst(self, data_set: str) -> dict[Unit, int]:
        """The record, or the subject, that has spent most of each substitution budget, where only some were charged."""
        with self._reading() as connection:
            name = self._name(connection, data_set)
            latest = entries.latest(connection, name)
            if latest is None or entries.schema_of(connection) < 2:
                return {}
            balances = [one for one in balances_of(latest.content) if one.relation == "substitution"]
            found: dict[Unit, int] = {}
            for axis in AXES:
                spread, members = TableSpread(connection, name, axis), [b for b in balances if axis_of(b.unit) == axis]
                for place, balance in enumerate(members):
                    number = None if balance.spent_by_worst is None else spread.first_at(place, balance.spent_by_worst)
                    if number is not None:
                        found[balance.unit] = number
            return found

    def run(self, number: int) -> RunState:
        """The training run that entry `number` charged: what it leased, repeated and finished. LedgerError."""
        with self._reading() as connection:
            return self._run(connection, number)

    # Inside a transaction

    def _run(self, connection: Connection, number: int) -> RunState:
        start = entries.entry_at(connection, number)
        replay = RunReplay()
        replay.take(number, start.content, start.hash)
        if number not in replay.runs:
            raise LedgerError(f"entry {number} of ledger {self.path} is no training run")
        state = replay.runs[number]
        for row in entries.unowned(connection, number):
            entry = entries.entry_of(row)
            if entry.content.get("run") == number and entry.kind == "block":
                state.begin(entry.sequence, entry.content["key"], entry.content["start"], entry.content["steps"])
            elif entry.content.get("run") == number:
                state.finish(entry.content["block"], entry.content["token"])
        return state
