"""A ledger as JSON lines: what is published, archived or checked without SQLite.

One line an entry, {"entry":<canonical text>,"hash":"<64 hexadecimal digits>"}, and a last line
{"end":{"entries":<number>,"head":"<hash>"}}. Every line is in canonical form (sorted keys, no spaces, ASCII).
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TextIO

from spikeveil.host.privacy.ledger.chain import GENESIS_HASH, ChainBroken, Replay, canonical
from spikeveil.host.privacy.ledger.errors import LedgerCorrupt, LedgerRolledBack, file_error
from spikeveil.host.privacy.ledger.views import Mark, Verified


def write(stream: TextIO, rows: Iterable[Sequence[str]]) -> None:
    """Write entries (canonical text, hash) and the end line to `stream`."""
    number, head = 0, GENESIS_HASH
    for text, head in rows:
        number += 1
        stream.write(f'{{"entry":{text},"hash":"{head}"}}\n')
    stream.write(canonical({"end": {"entries": number, "head": head}}) + "\n")


def verify_export(path: str | Path, known_head: Mark | None = None) -> Verified:
    """Check an export as `Ledger.verify` checks a file. Raises LedgerCorrupt, LedgerRolledBack, LedgerError."""
    path = Path(path)
    state, known, end = Replay(), None, ""
    try:
        with path.open("rb") as stream:
            for line in stream:
                if end:
                    raise ChainBroken("something follows its end line")
                end = _take(state, line)
                if known_head is not None and state.entries == known_head.entries:
                    known = state.head
    except ChainBroken as error:
        raise LedgerCorrupt(f"export {path} is corrupt: {error}") from error
    except OSError as error:
        raise file_error(path, error, "export") from error
    if not state.entries or end != canonical({"end": {"entries": state.entries, "head": state.head}}):
        raise LedgerCorrupt(f"export {path} is corrupt: it is cut off after entry {state.entries}")
    if known_head is not None and known != known_head.head:
        raise LedgerRolledBack(f"export {path} does not contain entry {known_head.entries} as it was seen before")
    return Verified(state.identity, state.entries, state.leases, state.last_lease, state.head)


def _take(state: Replay, line: bytes) -> str:
    """Add one line to `state`; the line itself if it is an end line, else "". Raises ChainBroken."""
    number = state.entries + 1
    try:
        text = line.decode("ascii").removesuffix("\n")
        parsed = json.loads(text)
        if canonical(parsed) != text:
            raise ValueError
        if "end" in parsed:
            return text
        entry, digest = canonical(parsed["entry"]), parsed["hash"]
        if parsed.keys() != {"entry", "hash"} or not isinstance(digest, str):
            raise ValueError
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ChainBroken(f"line {number} is not in the form of an export") from None
    state.take(entry, digest)
    return ""
