"""What this user's machine remembers of every ledger it wrote, outside the ledger's file: the witness.

The witness notices what the file alone cannot show: that the file was put back to an older state, that two copies
of it went on separately, and that one key serves two ledgers. It lives in the user's state directory, so that a
restored project folder does not restore it along. It holds no key, no name of a data set and no amount.

Soundness. A mark (entries, head hash, last lease) is written only AFTER the commit that it describes is on the
disk, so it can lag behind the file (a crash in between, a failed write) but never run ahead of it: a file that
ends before its mark, or has another hash there, has lost or changed an entry. A key is claimed BEFORE the lease
that uses it is committed, with a sync of its own, so no lease can exist whose key is not claimed.
"""

import contextlib
import os
import secrets
import sqlite3
from pathlib import Path

from spikeveil.host.privacy.ledger.database import Database, create
from spikeveil.host.privacy.ledger.errors import LedgerCorrupt, LedgerError, file_error
from spikeveil.host.privacy.ledger.fields import key_digest
from spikeveil.host.privacy.ledger.views import Mark

_TABLES = (
    "CREATE TABLE salt (id INTEGER PRIMARY KEY CHECK (id = 1), salt BLOB NOT NULL)",
    "CREATE TABLE marks (ledger TEXT PRIMARY KEY, entries INTEGER NOT NULL, head TEXT NOT NULL)",
    "CREATE TABLE keys (key TEXT PRIMARY KEY, ledger TEXT NOT NULL)",
)


def default_directory() -> Path:
    """Where a user's programs keep state: XDG_STATE_HOME, or ~/.local/state; on Windows, LOCALAPPDATA."""
    base = os.environ.get("XDG_STATE_HOME") or os.environ.get("LOCALAPPDATA")
    return (Path(base) if base else Path.home() / ".local" / "state") / "spikeveil"


_OWNER = "SELECT ledger FROM keys WHERE key = ?"


def _fill(connection: sqlite3.Connection) -> None:
    for statement in _TABLES:
        connection.execute(statement)
    connection.execute("INSERT INTO salt VALUES (1, ?)", (secrets.token_bytes(16),))


class Witness:
    """The marks and claimed keys in `directory`/witness.db, made on first use; LedgerError where that fails."""

    WHAT = "witness file"

    def __init__(self, directory: Path, timeout: float) -> None:
        self.path = directory / "witness.db"
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not self.path.exists():
                create(self.path, self.WHAT, _fill)
        except OSError as error:
            raise file_error(self.path, error, self.WHAT) from error
        self._database = Database(self.path, self.WHAT, timeout)
        with self._database.read() as connection:
            row = connection.execute("SELECT salt FROM salt").fetchone()
        if row is None or not isinstance(row[0], bytes) or len(row[0]) != 16:
            raise LedgerCorrupt(f"{self.WHAT} {self.path} is corrupt: its salt is garbled")
        self._salt = row[0]

    def mark(self, ledger: str) -> Mark | None:
        """The furthest state seen of `ledger`, or None where it was never seen here."""
        with self._database.read() as connection:
            row = connection.execute("SELECT entries, head FROM marks WHERE ledger = ?", (ledger,)).fetchone()
        if row is not None and not (isinstance(row[0], int) and isinstance(row[1], str)):
            raise LedgerCorrupt(f"{self.WHAT} {self.path} is corrupt: the mark of ledger {ledger} is garbled")
        return None if row is None else Mark(*row)

    def seen(self, ledger: str, mark: Mark) -> None:
        """Remember a committed state, if it is further than the one remembered. Never raises: a mark may lag."""
        with contextlib.suppress(LedgerError):
            with self._database.write(synced=False) as connection:
                connection.execute(
                    "INSERT INTO marks VALUES (?, ?, ?) ON CONFLICT (ledger) DO UPDATE "
                    "SET entries = excluded.entries, head = excluded.head WHERE excluded.entries > entries",
                    (ledger, mark.entries, mark.head),
                )
            self._database.tidy()

    def claim(self, key: bytes, ledger: str) -> str:
        """Bind `key` to `ledger` for good; the ledger that it was bound to before ("" if to none)."""
        name = key_digest(b"spikeveil witness key", self._salt, key)
        with self._database.read() as connection:
            row = connection.execute(_OWNER, (name,)).fetchone()
        if row is None:
            with self._database.write() as connection:
                row = connection.execute(_OWNER, (name,)).fetchone()
                if row is None:
                    connection.execute("INSERT INTO keys VALUES (?, ?)", (name, ledger))
        return "" if row is None else str(row[0])

    def close(self) -> None:
        """Close the file."""
        self._database.close()
