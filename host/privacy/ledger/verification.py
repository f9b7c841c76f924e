"""Verification of a ledger's tables: every entry, or those since the last verification, replayed and compared."""

import sqlite3
from collections.abc import Collection

from spikeveil.host.privacy.ledger.chain import ChainBroken, check_columns
from spikeveil.host.privacy.ledger.entries import entry_at, hash_at, rows, schema_of
from spikeveil.host.privacy.ledger.replay import Replay
from spikeveil.host.privacy.ledger.spread import row_of


def replay(
    connection: sqlite3.Connection, wanted: Collection[int] = (), start: Replay | None = None, recompute: bool = True
) -> tuple[Replay, dict[int, str]]:
    """Replay every entry, or those after `start`, and compare with head and tables: the state, and hashes of `wanted`.

    Raises ChainBroken.
    """
    state, hashes = Replay(recompute) if start is None else start, dict[int, str]()
    if start is not None:
        if hash_at(connection, state.entries) != state.head:
            raise ChainBroken(f"entry {state.entries} is not the one that was verified before")
        state.keys = _keys_again(connection, state.entries)
        hashes = {number: hash_at(connection, number) or "" for number in wanted if number <= state.entries}
    for row in rows(connection, after=state.entries):
        if not isinstance(row[4], str) or not isinstance(row[5], str):
            raise ChainBroken(f"entry {state.entries + 1} cannot be read")
        content = state.take(row[4], row[5])
        check_columns(state.entries, content, row[:4])
        if state.entries in wanted:
            hashes[state.entries] = state.head
    if connection.execute("SELECT entries, hash FROM head").fetchall() != [(state.entries, state.head)]:
        raise ChainBroken(f"its last entries were cut off: entry {state.entries} is not the head it names")
    check_tables(connection, state)
    return state, hashes


def _keys_again(connection: sqlite3.Connection, entry: int) -> dict[str, str]:
    """The keys of leases after `entry` that leases up to it used, and their sources there."""
    again = (
        "SELECT key, json_extract(content, '$.source') FROM entries WHERE sequence <= ? AND key IN "
        "(SELECT key FROM entries WHERE sequence > ? AND lease IS NOT NULL) AND lease IS NOT NULL GROUP BY key"
    )
    return dict(connection.execute(again, (entry, entry)).fetchall())


def check_links(connection: sqlite3.Connection, last: int) -> None:
    """Raises ChainBroken where one of the last `last` entries does not follow by its hash from the one before."""
    (number,) = connection.execute("SELECT max(sequence) FROM entries").fetchone()
    for sequence in range(max(1, (number or 0) - last + 1), (number or 0) + 1):
        entry_at(connection, sequence)


def check_tables(connection: sqlite3.Connection, state: Replay) -> None:
    """Raises ChainBroken where what the records have spent, or the bound files, are not what the entries say."""
    if schema_of(connection) < 2:
        return
    wanted = [
        (name, axis, *row_of(span))
        for name in sorted(state.data_sets)
        for axis, spread in sorted(state.data_sets[name].spreads.items())
        for span in spread.spans
    ]
    found = connection.execute('SELECT data_set, axis, first, "end", amounts FROM spent ORDER BY data_set, axis, first')
    if sorted(map(tuple, found)) != sorted(wanted):
        raise ChainBroken("what its records have spent was changed")
    bound = connection.execute("SELECT digest, data_set, first, records FROM bindings").fetchall()
    if sorted(bound) != sorted((digest, *place) for digest, place in state.bindings.items()):
        raise ChainBroken("the files that it is bound to were changed")
