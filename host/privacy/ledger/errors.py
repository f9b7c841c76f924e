"""What can go wrong with a ledger's file, one class and one sentence each."""

# ruff: noqa: N818 - the names say what happened to the ledger

import errno
import math
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

from spikeveil.host.privacy.budget import BudgetExceeded
from spikeveil.host.privacy.ledger.amounts import Amount, shown_down, shown_up
from spikeveil.host.privacy.units import Unit


class LedgerError(Exception):
    """A ledger refused or could not do what was asked; nothing may be released on the strength of that call."""


class LedgerMissing(LedgerError):
    """There is no file at the path."""


class LedgerLocked(LedgerError):
    """Another process held the file for longer than the timeout."""


class LedgerReadOnly(LedgerError):
    """The file, its folder or the medium does not permit writing."""


class LedgerFull(LedgerError):
    """No space is left for the entry."""


class LedgerUnavailable(LedgerError):
    """The operating system refused to read or write; whether the entry reached the disk is unknown."""


class LedgerCorrupt(LedgerError):
    """The content contradicts itself: edited, cut or damaged."""


class LedgerForeign(LedgerError):
    """The file is something else than a ledger."""


class LedgerNewer(LedgerError):
    """The file was written by a later version."""


class LedgerRolledBack(LedgerError):
    """The file is older than something already seen: its next leases could repeat masks."""


class LeasesExhausted(LedgerError):
    """All 2^40 - 1 lease numbers are used."""


class KeyReused(LedgerError):
    """The key or seed was used where its masks could come back."""


def sentence(path: Path, what: str, timeout: float, name: str, message: str = "") -> LedgerError:
    """The error for SQLite's result `name` ("SQLITE_FULL") on the `what` ("ledger") at `path`."""
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_PROTOCOL")):
        return LedgerLocked(f"{what} {path} stayed locked by another process for {timeout:g} s: nothing was written")
    if name.startswith("SQLITE_READONLY"):
        return LedgerReadOnly(f"{what} {path} cannot be written: the file or its folder is read-only")
    if name == "SQLITE_FULL":
        return LedgerFull(f"the disk that holds {what} {path} is full: nothing was written")
    if name == "SQLITE_NOTADB":
        return LedgerForeign(f"{path} is not a spikeveil ledger: it is not an SQLite file")
    if name.startswith(("SQLITE_IOERR", "SQLITE_CANTOPEN", "SQLITE_PERM", "SQLITE_AUTH", "SQLITE_NOLFS")):
        return LedgerUnavailable(
            f"the system could not read or write {what} {path} ({name}): count the entry as spent and release nothing"
        )
    return LedgerCorrupt(f"{what} {path} is corrupt: {' '.join(message.split())}")


@contextmanager
def sentences(path: Path, what: str = "ledger", timeout: float = 0.0) -> Iterator[None]:
    """Turn whatever SQLite raises inside into a LedgerError that names the file.

    What is left after the named causes is content that SQLite could not make sense of (malformed pages,
    undecodable text, a missing table, a broken constraint): corruption.
    """
    try:
        yield
    except sqlite3.ProgrammingError as error:
        raise LedgerError(f"{what} {path} is closed") from error
    except sqlite3.Error as error:
        name = getattr(error, "sqlite_errorname", None) or "SQLITE_CORRUPT"
        raise sentence(path, what, timeout, name, str(error)) from error
    except UnicodeDecodeError as error:  # SQLite quotes garbled text in its message, which Python then cannot read
        raise LedgerCorrupt(f"{what} {path} is corrupt: its text is garbled") from error


def file_error(path: Path, error: OSError, what: str = "ledger") -> LedgerError:
    """The error for an operating-system failure on a file that SQLite does not handle."""
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return LedgerReadOnly(f"{what} {path} cannot be written: the file or its folder is read-only")
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return LedgerFull(f"the disk that holds {what} {path} is full: nothing was written")
    if error.errno == errno.ENOENT:
        return LedgerMissing(f"the folder of {what} {path} does not exist")
    return LedgerUnavailable(f"the system could not read or write {what} {path}: {error.strerror}")


class BudgetRefused(BudgetExceeded):
    """A charge was refused by the budget of a data set; nothing was charged, on this budget or another.

    Has the fields of `BudgetExceeded`, of which `asked` and `limit` may be infinite, `data_set`, and `who`: the record
    or subject that would break the limit, "" where all would.
    """

    def __init__(
        self, data_set: str, limit: Amount, spent: Amount, asked: Amount, unit: Unit, quantity: str, who: str = ""
    ) -> None:
        super().__init__(limit, spent, asked, unit, quantity)  # type: ignore[arg-type]
        self.data_set, self.who = data_set, who
        by = f" by {who}" if who else ""
        remaining = max(limit - spent, Fraction(0)) if spent != math.inf else Fraction(0)
        self.args = (
            f"{quantity} budget of data set {data_set!r} exceeded at {unit.value} level{by}: "
            f"limit {shown_down(limit)}, "
            f"spent {shown_up(spent)}, remaining {shown_down(remaining)}, asked {shown_up(asked)}; nothing was charged",
        )
