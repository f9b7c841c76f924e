"""An SQLite file that several processes write: write-ahead log, a sync for every commit, checkpoints under the lock."""

import contextlib
import os
import secrets
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from spikeveil.host.privacy.ledger.errors import (
    LedgerCorrupt,
    LedgerError,
    LedgerReadOnly,
    file_error,
    sentence,
    sentences,
)

#: the log is copied into the file once it is longer than this
LOG_BYTES = 4 << 20
#: SQLite's file of locks beside the log, `-shm`
LOCK_FILE_BYTES = 32 << 10
#: of a new file: what was charged, when and for whom is for its owner, who may give it to others
FILE_MODE = 0o600

_PRAGMAS = (
    "synchronous=FULL",
    "fullfsync=ON",  # macOS: a sync that reaches the disk's cells
    "checkpoint_fullfsync=ON",
    "wal_autocheckpoint=0",
    "journal_size_limit=0",
    "cell_size_check=ON",
    "trusted_schema=OFF",
)


def create(path: Path, what: str, fill: Callable[[sqlite3.Connection], object]) -> None:
    """Make the file at `path` with the content that `fill` writes, or leave alone what lies there already.

    It is made under another name, synced, and linked to `path` when it is whole: a crash leaves no half-made file.
    """
    log = path.with_name(path.name + "-wal")
    if log.exists() and not path.exists():
        raise LedgerCorrupt(f"{what} {path} is gone but its log {log.name} is there: put both back, or remove the log")
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}.new")
    try:
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, FILE_MODE))
        with sentences(path, what):
            connection = sqlite3.connect(draft, isolation_level=None)
            try:
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("PRAGMA synchronous=FULL")
                connection.execute("BEGIN IMMEDIATE")
                fill(connection)
                connection.execute("COMMIT")
            finally:
                connection.close()
        publish(draft, path)
    except OSError as error:
        raise file_error(path, error, what) from error
    finally:
        for leftover in (draft, Path(f"{draft}-wal"), Path(f"{draft}-shm")):
            with contextlib.suppress(OSError):
                leftover.unlink()


def publish(draft: Path, path: Path) -> bool:
    """Give the finished `draft` the name `path` as well; False where somebody else was first. OSError."""
    try:
        os.link(draft, path)
    except FileExistsError:
        return False
    except OSError:  # a file system without hard links: reserve the name, then replace it
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, FILE_MODE))
        except FileExistsError:
            return False
        draft.replace(path)
    if os.name == "posix":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    return True


class Database:
    """One connection to the SQLite file at `path`, usable from any thread of the process that opened it.

    Every commit is one transaction that holds the write lock from its start, waited for up to `timeout` seconds.

    SQLite up to 3.51.2 can lose a commit when a checkpoint overlaps another connection's commit that restarts the
    log (sqlite.org/wal.html, "the WAL-reset bug"). Automatic checkpoints are therefore off, and ours run while this
    process holds the write lock: nobody commits meanwhile, whatever the version. The checkpoint that SQLite makes
    when the last connection closes holds the file exclusively.
    """

    def __init__(self, path: Path, what: str, timeout: float) -> None:
        self.path, self.what, self.timeout = path, what, timeout
        self.name = path  # in messages
        self._unwritable: LedgerError | None = None
        self._lock = threading.RLock()
        self._process = os.getpid()
        self._connection = self._open()

    def _open(self) -> sqlite3.Connection:
        with sentences(self.name, self.what, self.timeout):
            try:
                return self._connect("mode=rw")
            except sqlite3.OperationalError as error:
                if not error.sqlite_errorname.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_IOERR")):
                    raise
                return self._open_unwritable(error)

    def _open_unwritable(self, error: sqlite3.Error) -> sqlite3.Connection:
        """A file in a folder where no lock file can be made: readable as it stands if its log is empty."""
        log = self.log_path
        try:
            pending = log.exists() and log.stat().st_size > 0
            self.path.open("rb").close()
        except OSError:
            raise error from None
        if pending:
            raise LedgerReadOnly(
                f"{self.what} {self.name} cannot be read where nothing can be written, because its log {log.name} "
                "is not empty: copy both to a writable folder"
            ) from error
        if error.sqlite_errorname.startswith("SQLITE_IOERR"):  # no lock file can be made, though it may be
            full = shutil.disk_usage(self.path.parent).free < LOCK_FILE_BYTES
            self._unwritable = sentence(self.name, self.what, self.timeout, "SQLITE_FULL" if full else "SQLITE_IOERR")
        return self._connect("immutable=1")

    def _connect(self, mode: str) -> sqlite3.Connection:
        uri = f"{self.path.absolute().as_uri()}?{mode}"
        connection = sqlite3.connect(uri, uri=True, timeout=self.timeout, isolation_level=None, check_same_thread=False)
        try:
            for pragma in _PRAGMAS:
                connection.execute(f"PRAGMA {pragma}")
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        except BaseException:
            connection.close()
            raise
        return connection

    @property
    def log_path(self) -> Path:
        """The write-ahead log beside the file."""
        return self.path.with_name(self.path.name + "-wal")

    @contextlib.contextmanager
    def _transaction(self, begin: str, synced: bool) -> Iterator[sqlite3.Connection]:
        if os.getpid() != self._process:
            raise LedgerError(f"{self.what} {self.name} was opened before this process was forked: open it again here")
        with self._lock, sentences(self.name, self.what, self.timeout):
            self._connection.execute(f"PRAGMA synchronous={'FULL' if synced else 'NORMAL'}")
            self._connection.execute(begin)
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    with contextlib.suppress(sqlite3.Error):
                        self._connection.execute("ROLLBACK")
                raise

    def write(self, synced: bool = True) -> contextlib.AbstractContextManager[sqlite3.Connection]:
        """A transaction that holds the write lock. Left normally, it is on the disk (`synced`; else it is in the log,
        which a power cut may shorten); left by an exception, nothing of it happened."""
        if self._unwritable is not None:
            raise self._unwritable
        return self._transaction("BEGIN IMMEDIATE", synced)

    def read(self) -> contextlib.AbstractContextManager[sqlite3.Connection]:
        """A transaction that sees one state, however many writers there are."""
        return self._transaction("BEGIN", True)

    def tidy(self) -> None:
        """Copy a long log into the file. Called after a commit, so a failure here takes nothing back."""
        try:
            if self.log_path.stat().st_size < LOG_BYTES:
                return
        except OSError:
            return
        with contextlib.suppress(LedgerError, sqlite3.Error), self.write():
            helper = self._connect("mode=rw")
            try:
                helper.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            finally:
                helper.close()

    def close(self) -> None:
        """Close the connection; the last one to close empties the log."""
        if os.getpid() == self._process:
            with self._lock, contextlib.suppress(sqlite3.Error):
                self._connection.close()
