"""A ledger's file: opening it, transactions on it, its last entry and its witness."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from sqlite3 import Connection
from types import TracebackType
from typing import Self

from spikeveil.host.privacy.ledger import entries
from spikeveil.host.privacy.ledger.binding import Binding, binding_of
from spikeveil.host.privacy.ledger.chain import SCHEMA, ChainBroken, Content
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
from spikeveil.host.privacy.ledger.views import Entry, Mark
from spikeveil.host.privacy.ledger.witness import Witness, default_directory


class LedgerFile:
    """An existing ledger at `path`, for reading; see `Ledger` for the arguments and the errors.

    Where the witness cannot be used, `witness_error` says why; reading goes on, writing is refused.
    """

    def __init__(self, path: Path, timeout: float, state_directory: Path | None) -> None:
        self.path = path
        if not path.is_file():
            raise LedgerMissing(f"there is no ledger at {path}")
        self._bindings: dict[int, Binding] = {}
        self._timeout = timeout
        self._open_databases(path)
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

    def _open_databases(self, path: Path) -> None:
        self._database = Database(path, "ledger", self._timeout)
        self._reader = Database(path, "ledger", self._timeout)

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

    # Inside a transaction

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
        heads = connection.execute("SELECT entries, hash FROM head").fetchall()
        if len(heads) != 1:
            raise ChainBroken("its head row is missing")
        ((number, digest),) = heads
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
