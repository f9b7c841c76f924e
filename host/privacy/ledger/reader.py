"""Opening a ledger's file, reading and checking it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import Connection
from types import TracebackType
from typing import Self, TextIO

from numpy.typing import ArrayLike

from spikeveil.host.privacy.ledger import entries, exports
from spikeveil.host.privacy.ledger.binding import Binding, DataIdentity, DataKey, binding_of
from spikeveil.host.privacy.ledger.chain import SCHEMA, Balance, ChainBroken, Content, balances_of
from spikeveil.host.privacy.ledger.charging import AXES, axis_of
from spikeveil.host.privacy.ledger.database import Database
from spikeveil.host.privacy.ledger.errors import (
    LedgerCorrupt,
    LedgerError,
    LedgerForeign,
    LedgerMissing,
    LedgerNewer,
    LedgerRolledBack,
)
from spikeveil.host.privacy.ledger.names import normal_name
from spikeveil.host.privacy.ledger.replay import verified
from spikeveil.host.privacy.ledger.runs import RunReplay, RunState
from spikeveil.host.privacy.ledger.signing import Signer
from spikeveil.host.privacy.ledger.spread import TableSpread
from spikeveil.host.privacy.ledger.views import Entry, Mark, Verified
from spikeveil.host.privacy.ledger.witness import Witness, default_directory
from spikeveil.host.privacy.units import Unit


class LedgerFile:
    """An existing ledger at `path`, for reading; see `Ledger` for the arguments and the errors.

    Where the witness cannot be used, `witness_error` says why; reading goes on, writing is refused.
    """

    def __init__(self, path: Path, timeout: float, state_directory: Path | None) -> None:
        self.path = path
        if not path.is_file():
            raise LedgerMissing(f"there is no ledger at {path}")
        self._bindings: dict[int, Binding] = {}
        self._database = Database(path, "ledger", timeout)
        self._reader = Database(path, "ledger", timeout)
        self._witness: Witness | None = None
        self.witness_error: LedgerError | None = None
        try:
            self._witness = Witness(state_directory or default_directory(), timeout)
        except LedgerError as error:
            self.witness_error = error
        try:
            self.identity = self._check_file()
        except BaseException:
            self.close()
            raise

    def _check_file(self) -> str:
        """The identity in the first entry, once the file has proved to be a ledger of this schema."""
        with self._reading() as connection:
            (application,) = connection.execute("PRAGMA application_id").fetchone()
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if application != entries.APPLICATION_ID:
                raise LedgerForeign(f"{self.path} is not a spikeveil ledger: it is another program's SQLite file")
            if version > SCHEMA:
                raise LedgerNewer(
                    f"ledger {self.path} has schema {version} and this spikeveil reads {SCHEMA}: use a newer spikeveil"
                )
            if version not in entries.TABLES:
                raise ChainBroken(f"its schema number is {version}")
            entries.check_schema(connection)
            return str(entries.entry_at(connection, 1).content["ledger"])

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with self._naming_the_file(), self._database.read() as connection:
            yield connection

    @contextmanager
    def _reading_aside(self) -> Iterator[Connection]:
        """A reading transaction that does not wait for this process's own writing."""
        with self._naming_the_file(), self._reader.read() as connection:
            yield connection

    @contextmanager
    def _naming_the_file(self) -> Iterator[None]:
        try:
            yield
        except ChainBroken as error:
            raise LedgerCorrupt(f"ledger {self.path} is corrupt: {error}") from error

    def budgets(self, data_set: str | None = None) -> dict[str, tuple[Balance, ...]]:
        """The budgets of every data set, or of one, as they stand."""
        with self._reading() as connection:
            wanted = "SELECT max(sequence) FROM entries WHERE data_set IS NOT NULL GROUP BY data_set"
            found = [entries.entry_at(connection, number) for (number,) in connection.execute(wanted).fetchall()]
            wanted_name = None if data_set is None else self._name(connection, data_set)
        states = {entry.content["data_set"]: balances_of(entry.content) for entry in found}
        return {name: states[name] for name in sorted(states) if wanted_name in (None, name)}

    def history(self, data_set: str | None = None) -> list[Entry]:
        """Every entry, or those about one data set, in order."""
        with self._reading() as connection:
            name = None if data_set is None else self._name(connection, data_set)
            return [entries.entry_of(row) for row in entries.rows(connection, name)]

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

    def verify(self, known_head: Mark | None = None) -> Verified:
        """Check the file, every hash, every sum and every lease number, the witness, and a head noted down earlier.

        Raises LedgerCorrupt for a contradiction, LedgerRolledBack where the file is older than the witness or
        `known_head`, or went another way than they did.
        """
        mark = self._witness.mark(self.identity) if self._witness else None
        known = [seen for seen in (mark, known_head) if seen is not None]
        with self._reading() as connection:
            problems = [row[0] for row in connection.execute("PRAGMA integrity_check(1)")]
            if problems != ["ok"]:
                raise ChainBroken(str(problems[0]).replace("\n", " "))
            state, hashes = entries.replay(connection, {seen.entries for seen in known})
        for seen in known:
            if hashes.get(seen.entries) != seen.head:
                raise self._rolled_back(seen, state.entries)
        self._remember(Mark(state.entries, state.head))
        witnessed = None if self._witness is None else True
        return verified(state, witnessed=witnessed, witness_new=bool(witnessed) and mark is None)

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
            state, _ = entries.replay(connection, recompute=False)
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
            units = [one.unit for one in balances_of(latest.content) if one.relation == "substitution"]
            found: dict[Unit, int] = {}
            for axis in AXES:
                spans = TableSpread(connection, name, axis).spans()
                members = [unit for unit in units if axis_of(unit) == axis]
                for place, unit in enumerate(members if spans else ()):
                    found[unit] = max(spans, key=lambda span: span.amounts[place][0]).first
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

    def _name(self, connection: Connection, data_set: str) -> str:
        """The name that `data_set` has in the file: its normal form, or a spelling that schema 1 kept."""
        found = connection.execute("SELECT 1 FROM entries WHERE data_set = ? LIMIT 1", (data_set,)).fetchone()
        return data_set if found else normal_name(data_set)

    def _binding(self, connection: Connection, content: Content) -> Binding:
        """The binding that an entry of a data set names."""
        if content["kind"] in ("budget", "extend"):
            return binding_of(content)
        number = content.get("bound", 0)
        if not number:
            return Binding()
        if number not in self._bindings:
            self._bindings[number] = binding_of(entries.entry_at(connection, number).content)
        return self._bindings[number]

    @staticmethod
    def _mark(entry: Entry) -> Mark:
        return Mark(entry.sequence, entry.hash)

    def _tip(self, connection: Connection) -> Entry:
        """The last entry; ChainBroken where it is not the head."""
        (number, digest) = connection.execute("SELECT entries, hash FROM head").fetchone()
        (last,) = connection.execute("SELECT max(sequence) FROM entries").fetchone()
        if last != number:
            raise ChainBroken(f"its last entries were cut off or added: it ends at {last}, its head is {number}")
        entry = entries.entry_at(connection, number)
        if entry.hash != digest:
            raise ChainBroken(f"entry {number} is not the head it names")
        return entry

    def _rolled_back(self, seen: Mark, entries_now: int) -> LedgerRolledBack:
        if seen.entries > entries_now:
            return LedgerRolledBack(
                f"ledger {self.path} ends at entry {entries_now} but entry {seen.entries} was seen before: it was "
                "restored from an older copy or lost its log, and its next leases could repeat masks"
            )
        return LedgerRolledBack(
            f"entry {seen.entries} of ledger {self.path} is not the one seen before: two copies of the file went on "
            "separately, and their leases could repeat masks"
        )

    def _remember(self, mark: Mark) -> None:
        if self._witness is not None:
            self._witness.seen(self.identity, mark)

    # Closing

    def close(self) -> None:
        """Close the file; the object can do nothing afterwards."""
        self._database.close()
        self._reader.close()
        if self._witness is not None:
            self._witness.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()
