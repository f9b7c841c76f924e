"""A ledger of many leases, written in bulk: the entries that `Ledger.lease` would have written, without its syncs."""

import hashlib
import json
import sqlite3
from contextlib import closing
from fractions import Fraction
from pathlib import Path

from spikeveil.host.privacy import RandomizedResponse, Unit
from spikeveil.host.privacy.ledger import DataIdentity, Evidence, Ledger, Session
from spikeveil.host.privacy.ledger.amounts import to_text
from spikeveil.host.privacy.ledger.spread import Span, row_of

KEY = bytes.fromhex("8f3a0b5c7d219e4466f0")
NETWORK = "5a" * 32
RECORDS, EACH = 1 << 20, 64
DATA = DataIdentity("ab" * 32, RECORDS)
SESSION = Session(RandomizedResponse(69, 8), 16, 40, EACH, Fraction(0), layer=0)
ONE = Fraction(SESSION.cost(Unit.RECORD, 1).epsilon)


def lease(ledger: Ledger, first: int) -> int:
    """Lease the `EACH` records from number `first` on."""
    evidence, named = Evidence(versions="spikeveil"), ((first, first + EACH),)
    return ledger.lease(
        "many", SESSION, key=KEY, specification=NETWORK, device="bench", evidence=evidence, records=named, data=DATA
    ).number


def long_ledger(folder: Path, leases: int) -> Path:
    """A ledger in `folder` with so many leases of `EACH` records, lap after lap through all of them."""
    path, state = folder / "long.ledger", folder / "state"
    with Ledger(path, state_directory=state) as ledger:
        ledger.create_budget("many", "record", 10**9, "1e-3", data=DATA)
        lease(ledger, 0)
        last = ledger.history()[-1]
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        raw.execute("PRAGMA synchronous=OFF")
        raw.execute("BEGIN IMMEDIATE")
        _append(raw, last.content, last.hash, leases)
        raw.execute("COMMIT")
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return path


def _append(raw: sqlite3.Connection, content: dict[str, object], head: str, leases: int) -> None:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    changes = (f'"epsilon_spent":"{to_text(ONE)}"', '"last_lease":1', '"lease":1', '"sequence":3', '"records":[[0,64]]')
    assert all(text.count(part) == 1 for part in changes)
    laps, rows, hashed = RECORDS // EACH, [], bytes.fromhex(head)
    for number in range(2, leases + 1):
        lap, place = divmod(number - 1, laps)
        own = text.replace(changes[0], f'"epsilon_spent":"{to_text((lap + 1) * ONE)}"')
        own = own.replace(changes[1], f'"last_lease":{number}').replace(changes[2], f'"lease":{number}')
        own = own.replace(changes[3], f'"sequence":{number + 2}')
        own = own.replace(changes[4], f'"records":[[{place * EACH},{(place + 1) * EACH}]]')
        hashed = hashlib.sha256(hashed + own.encode()).digest()
        rows.append((number + 2, "many", number, content["key"], own, hashed.hex()))
        if len(rows) == 10_000 or number == leases:
            raw.executemany("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?)", rows)
            rows = []
    raw.execute("UPDATE head SET entries = ?, hash = ?", (leases + 2, hashed.hex()))
    lap, place = divmod(leases, laps)
    spans = [
        Span(0, place * EACH, (((lap + 1) * ONE, Fraction(0)),)),
        Span(place * EACH, RECORDS, ((lap * ONE, Fraction(0)),)),
    ]
    raw.execute("DELETE FROM spent")
    found = [row_of(span) for span in spans if span.first < span.end and span.amounts[0][0]]
    raw.executemany("INSERT INTO spent VALUES ('many', 0, ?, ?, ?)", found)
