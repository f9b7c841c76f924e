"""The ledger's tables, and what is read from them."""

import json
import sqlite3
from datetime import UTC, datetime
from typing import Any

from spikeveil.host.privacy.ledger.chain import (
    GENESIS_HASH,
    MAX_LEASE,
    SCHEMA,
    ChainBroken,
    Content,
    canonical,
    check_columns,
    link,
)
from spikeveil.host.privacy.ledger.errors import LeasesExhausted
from spikeveil.host.privacy.ledger.views import Entry

#: "SPVL", in the SQLite header's application id
APPLICATION_ID = 0x5350564C

_NEVER = "BEGIN SELECT RAISE(ABORT, 'an entry is never changed'); END"

#: (type, name, table, text) of everything in a file of schema 1, as SQLite keeps it
TABLES_1 = (
    (
        "table",
        "entries",
        "entries",
        "CREATE TABLE entries (sequence INTEGER PRIMARY KEY, data_set TEXT, lease INTEGER UNIQUE, key TEXT, "
        "content TEXT NOT NULL, hash TEXT NOT NULL)",
    ),
    (
        "table",
        "head",
        "head",
        "CREATE TABLE head (id INTEGER PRIMARY KEY CHECK (id = 1), entries INTEGER NOT NULL, hash TEXT NOT NULL)",
    ),
    ("index", "data_sets", "entries", "CREATE INDEX data_sets ON entries (data_set, sequence)"),
    ("index", "keys", "entries", "CREATE INDEX keys ON entries (key) WHERE key IS NOT NULL"),
    ("trigger", "no_update", "entries", f"CREATE TRIGGER no_update BEFORE UPDATE ON entries {_NEVER}"),
    ("trigger", "no_delete", "entries", f"CREATE TRIGGER no_delete BEFORE DELETE ON entries {_NEVER}"),
)

#: what schema 2 adds: the records (axis 0) and subjects (axis 1) that have spent something, and the files of data
ADDED_2 = (
    (
        "table",
        "spent",
        "spent",
        'CREATE TABLE spent (data_set TEXT NOT NULL, axis INTEGER NOT NULL, first INTEGER NOT NULL, "end" INTEGER NOT '
        "NULL, amounts TEXT NOT NULL, PRIMARY KEY (data_set, axis, first)) WITHOUT ROWID",
    ),
    (
        "table",
        "bindings",
        "bindings",
        "CREATE TABLE bindings (digest TEXT PRIMARY KEY, data_set TEXT NOT NULL, first INTEGER NOT NULL, records "
        "INTEGER NOT NULL) WITHOUT ROWID",
    ),
)
TABLES = {1: TABLES_1, 2: (*TABLES_1, *ADDED_2)}

_ROW = "SELECT sequence, data_set, lease, key, content, hash FROM entries"


def fill(connection: sqlite3.Connection, genesis: Content) -> None:
    """Write the tables and the first entry into an empty file."""
    connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version={SCHEMA}")
    for _, _, _, statement in TABLES[SCHEMA]:
        connection.execute(statement)
    connection.execute("INSERT INTO head VALUES (1, 0, ?)", (GENESIS_HASH,))
    append(connection, genesis)


def schema_of(connection: sqlite3.Connection) -> int:
    """The schema number of the file."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version)


def upgrade(connection: sqlite3.Connection) -> None:
    """Add the tables of schema 2 to a file of schema 1, whose charges all count for every record."""
    for _, _, _, statement in ADDED_2:
        connection.execute(statement)
    connection.execute(f"PRAGMA user_version={SCHEMA}")


def append(connection: sqlite3.Connection, content: Content) -> Entry:
    """Add `content` (which has its sequence number) after the head; the caller has checked the head."""
    (previous,) = connection.execute("SELECT hash FROM head").fetchone()
    text = canonical(content)
    entry = Entry(content["sequence"], content["kind"], content["time"], content, link(previous, text))
    columns = (entry.sequence, content.get("data_set"), content.get("lease"), content.get("key"), text, entry.hash)
    connection.execute("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?)", columns)
    connection.execute("UPDATE head SET entries = ?, hash = ?", (entry.sequence, entry.hash))
    return entry


def entry_at(connection: sqlite3.Connection, sequence: int) -> Entry:
    """The entry with that number, its hash checked against the entry before it. Raises ChainBroken."""
    rows = connection.execute(f"{_ROW} WHERE sequence BETWEEN ? AND ? ORDER BY sequence", (sequence - 1, sequence))
    found = {row[0]: row for row in rows}
    if sequence not in found or (sequence > 1 and sequence - 1 not in found):
        raise ChainBroken(f"entry {sequence} or the one before it is missing")
    row = found[sequence]
    try:
        previous = GENESIS_HASH if sequence == 1 else found[sequence - 1][5]
        fits = link(previous, row[4]) == row[5]
    except (TypeError, ValueError, AttributeError):
        fits = False
    if not fits:
        raise ChainBroken(f"entry {sequence} or the one before it was changed: its hash does not fit")
    return entry_of(row)


def latest(connection: sqlite3.Connection, data_set: str) -> Entry | None:
    """The last entry about `data_set`, checked; None where there is none."""
    (number,) = connection.execute("SELECT max(sequence) FROM entries WHERE data_set = ?", (data_set,)).fetchone()
    return None if number is None else entry_at(connection, number)


def hash_at(connection: sqlite3.Connection, sequence: int) -> str | None:
    """The hash of an entry as it stands in the table; None where there is no such entry."""
    row = connection.execute("SELECT hash FROM entries WHERE sequence = ?", (sequence,)).fetchone()
    return None if row is None else str(row[0])


def entry_of(row: tuple[Any, ...]) -> Entry:
    """The entry in a row of the table (see `_ROW`). Raises ChainBroken."""
    try:
        content = json.loads(row[4])
        entry = Entry(row[0], content["kind"], content["time"], content, row[5])
        check_columns(row[0], content, row[:4])
    except ChainBroken:
        raise
    except (ValueError, KeyError, TypeError):
        raise ChainBroken(f"entry {row[0]} cannot be read") from None
    return entry


def rows(connection: sqlite3.Connection, data_set: str | None = None, after: int = 0) -> sqlite3.Cursor:
    """The rows after entry `after`: every one, or those of one data set, in order."""
    if data_set is None:
        return connection.execute(f"{_ROW} WHERE sequence > ? ORDER BY sequence", (after,))
    return connection.execute(f"{_ROW} WHERE data_set = ? AND sequence > ? ORDER BY sequence", (data_set, after))


def last_rows(connection: sqlite3.Connection, data_set: str | None, last: int, before: int) -> list[tuple[Any, ...]]:
    """The last `last` rows before entry `before`, as `rows`, without reading others."""
    ending = "sequence < ? ORDER BY sequence DESC LIMIT ?"
    if data_set is None:
        found = connection.execute(f"{_ROW} WHERE {ending}", (before, last)).fetchall()
    else:
        found = connection.execute(f"{_ROW} WHERE data_set = ? AND {ending}", (data_set, before, last)).fetchall()
    return found[::-1]


def data_sets(connection: sqlite3.Connection) -> list[str]:
    """The names of all data sets, one step through the index for each, however many entries there are."""
    names, following = [], "SELECT min(data_set) FROM entries WHERE data_set > ?"
    (name,) = connection.execute("SELECT min(data_set) FROM entries").fetchone()
    while name is not None:
        names.append(name)
        (name,) = connection.execute(following, (name,)).fetchone()
    return names


def unowned(connection: sqlite3.Connection, after: int) -> sqlite3.Cursor:
    """The rows after entry `after` that are about no data set: blocks and checkpoints of training runs."""
    return connection.execute(f"{_ROW} WHERE data_set IS NULL AND sequence > ? ORDER BY sequence", (after,))


def check_schema(connection: sqlite3.Connection) -> None:
    """Raises ChainBroken where the tables, indexes and triggers are not exactly the ones that `fill` made."""
    found = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master WHERE sql IS NOT NULL")
    if sorted(repr(row) for row in found) != sorted(repr(row) for row in TABLES[schema_of(connection)]):
        raise ChainBroken("its tables, indexes or triggers were changed")


class Draft:
    """What a transaction appends: after the entry `last`, with lease numbers up to `last_lease` taken."""

    def __init__(self, connection: sqlite3.Connection, last: Entry, last_lease: int) -> None:
        self.connection, self.last, self._last_lease = connection, last, last_lease

    @property
    def state(self) -> tuple[Entry, int]:
        """What a savepoint has to remember besides the tables."""
        return self.last, self._last_lease

    @state.setter
    def state(self, value: tuple[Entry, int]) -> None:
        self.last, self._last_lease = value

    def next_lease(self) -> int:
        """Take the next lease number."""
        if self._last_lease >= MAX_LEASE:
            raise LeasesExhausted("all 2^39 - 1 lease numbers are used: start a new ledger, with fresh keys")
        self._last_lease += 1
        return self._last_lease

    def append(self, kind: str, content: Content) -> Entry:
        """Add the entry. Its time is not before the last entry's, whatever the clock says."""
        complete = new_content(self.last.sequence + 1, kind, self._last_lease, content)
        complete["time"] = max(complete["time"], self.last.time)
        self.last = append(self.connection, complete)
        return self.last


def new_content(sequence: int, kind: str, last_lease: int, content: Content) -> Content:
    """`content` with what every entry has."""
    time = datetime.now(UTC).isoformat(timespec="microseconds")
    return {"sequence": sequence, "kind": kind, "time": time, "last_lease": last_lease, **content}
