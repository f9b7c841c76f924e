"""A ledger as JSON lines: what is published, archived or checked without SQLite.

One line an entry, {"entry":<canonical text>,"hash":"<64 hexadecimal digits>"}, and a last line
{"end":{"entries":<number>,"head":"<hash>"},"signatures":[{"key":"...","signature":"..."}]}; an export of schema 1 has
no signatures. Every line is in canonical form (sorted keys, no spaces, ASCII).
"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TextIO

from spikeveil.host.privacy.ledger.chain import GENESIS_HASH, ChainBroken, canonical
from spikeveil.host.privacy.ledger.errors import LedgerCorrupt, LedgerError, LedgerRolledBack, file_error
from spikeveil.host.privacy.ledger.replay import Replay, verified
from spikeveil.host.privacy.ledger.signing import Signature, Signer
from spikeveil.host.privacy.ledger.views import Mark, Verified


def write(stream: TextIO, ledger: str, rows: Iterable[Sequence[str]], signer: Signer | None) -> None:
    """Write entries (canonical text, hash) and the end line to `stream`, signed by `signer`."""
    number, head = 0, GENESIS_HASH
    for text, head in rows:
        number += 1
        stream.write(f'{{"entry":{text},"hash":"{head}"}}\n')
    signatures = [] if signer is None else [signer.sign(ledger, number, head)]
    stream.write(_end(number, head, signatures) + "\n")


def _end(entries: int, head: str, signatures: Sequence[Signature]) -> str:
    found: dict[str, Any] = {"end": {"entries": entries, "head": head}}
    if signatures:
        found["signatures"] = [{"key": one.key, "signature": one.signature} for one in signatures]
    return canonical(found)


def verify_export(path: str | Path, known_head: Mark | None = None, signer: str | None = None) -> Verified:
    """Check an export as `Ledger.verify` checks a file, and its signatures.

    signer: a public key (hexadecimal) that must have signed the head. Raises LedgerCorrupt, LedgerRolledBack,
    LedgerError.
    """
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
        signatures = _signatures(state, end)
    except ChainBroken as error:
        raise LedgerCorrupt(f"export {path} is corrupt: {error}") from error
    except OSError as error:
        raise file_error(path, error, "export") from error
    if known_head is not None and known != known_head.head:
        raise LedgerRolledBack(f"export {path} does not contain entry {known_head.entries} as it was seen before")
    signers = tuple(one.key for one in signatures)
    if signer is not None and signer.lower() not in signers:
        raise LedgerError(f"export {path} is not signed by {signer}, but by {', '.join(signers) or 'nobody'}")
    return verified(state, signers=signers)


def countersign(path: str | Path, signer: Signer) -> str:
    """The text of the export at `path`, which is checked first, with a further signature."""
    checked = verify_export(path)
    lines = Path(path).read_text(encoding="ascii").splitlines(keepends=True)
    given = [Signature(**one) for one in json.loads(lines[-1]).get("signatures", [])]
    if signer.public in checked.signers:
        raise LedgerError(f"export {path} is signed by {signer.public} already")
    given.append(signer.sign(checked.ledger, checked.entries, checked.head))
    return "".join([*lines[:-1], _end(checked.entries, checked.head, given) + "\n"])


def _signatures(state: Replay, end: str) -> list[Signature]:
    """The signatures in the end line. Raises ChainBroken where it is not the end of these entries, or one is wrong."""
    try:
        found = [Signature(**one) for one in json.loads(end or "{}").get("signatures", [])]
        if not state.entries or end != _end(state.entries, state.head, found):
            raise ValueError
    except (ValueError, TypeError, AttributeError):
        raise ChainBroken(f"it is cut off after entry {state.entries}") from None
    for one in found:
        if not one.holds(state.identity, state.entries, state.head):
            raise ChainBroken(f"the signature of {one.key} does not hold")
    return found


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
