"""The hash chain: what an entry is, and how entries hang together.

An entry is a JSON object in one canonical form (sorted keys, no spaces, ASCII; numbers are integers, amounts are
"n/d" text). Its hash is SHA-256(previous hash, 32 bytes || canonical text); the first entry follows 32 zero bytes.
Every entry about a data set carries the balances of ALL its budgets after it, so the latest one is the state.
"""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from spikeveil.pysim.model.source import FIRST_SIMULATED_LEASE

SCHEMA = 2
GENESIS_HASH = "0" * 64
#: the last lease of a ledger, 2^39 - 1: those above belong to simulations, so that none repeats a mask of a device
MAX_LEASE = FIRST_SIMULATED_LEASE - 1

Content = dict[str, Any]
Network = tuple[str, int]


class ChainBroken(ValueError):  # noqa: N818, it says what happened to the chain
    """An entry contradicts the ones before it; the message is half a sentence for LedgerCorrupt."""


def canonical(content: Content) -> str:
    """The one text of an entry. Raises ValueError for a float, which has no exact form."""
    if _has_float(content):
        raise ValueError("an entry holds no floats")
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def _has_float(value: object) -> bool:
    if isinstance(value, dict):
        return any(_has_float(part) for part in value.values())
    if isinstance(value, list | tuple):
        return any(_has_float(part) for part in value)
    return isinstance(value, float)


def link(previous: str, text: str) -> str:
    """The hash of the entry `text` that follows the entry with hash `previous` (both hexadecimal)."""
    return hashlib.sha256(bytes.fromhex(previous) + text.encode("ascii")).hexdigest()


def check_columns(number: int, content: Content, columns: Sequence[object]) -> None:
    """The searchable columns beside an entry (sequence, data set, lease, key) must say what the entry says."""
    expected = (content["sequence"], content.get("data_set"), content.get("lease"), content.get("key"))
    if tuple(columns) != expected:
        raise ChainBroken(f"the index columns of entry {number} were changed")
