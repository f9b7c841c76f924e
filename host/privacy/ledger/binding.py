"""Which data a budget is for: files by their keyed digest, their records by number, subjects as groups of records."""

import hashlib
import hmac
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikeveil.host.privacy.ledger.errors import LedgerError
from spikeveil.host.secret_files import create_secret, read_secret

Ranges = tuple[tuple[int, int], ...]

KEY_BYTES = 32
MAX_RUNS = 1_000_000


def ranges_of(numbers: Iterable[int] | NDArray[Any]) -> Ranges:
    """Record numbers (each once, any order) as sorted half-open intervals. ValueError for repeated or negative ones."""
    found = np.sort(np.asarray(list(numbers) if not isinstance(numbers, np.ndarray) else numbers, dtype=np.int64))
    if found.size and (found[0] < 0 or (np.diff(found) == 0).any()):
        raise ValueError("record numbers must be 0 or more, each once")
    if not found.size:
        return ()
    breaks = np.flatnonzero(np.diff(found) != 1)
    firsts, lasts = found[np.concatenate([[0], breaks + 1])], found[np.concatenate([breaks, [found.size - 1]])]
    return tuple((int(first), int(last) + 1) for first, last in zip(firsts, lasts, strict=True))


def check_ranges(ranges: Sequence[Sequence[int]], records: int) -> Ranges:
    """`ranges` if they are sorted, disjoint, not adjacent, not empty and within `records` records; else ValueError."""
    before = -1
    for one in ranges:
        first, end = one
        if type(first) is not int or type(end) is not int or not before < first < end <= records:
            raise ValueError(f"record ranges must be increasing intervals within {records} records, not {one!r}")
        before = end
    if not ranges:
        raise ValueError("record ranges must name a record")
    return tuple((first, end) for first, end in ranges)


def size_of(ranges: Ranges) -> int:
    """How many records `ranges` name."""
    return sum(end - first for first, end in ranges)


@dataclass(frozen=True)
class DataIdentity:
    """One data file: the HMAC-SHA-256 of its content under the ledger's data key (hexadecimal), and its records."""

    digest: str
    records: int


@dataclass(frozen=True)
class Subjects:
    """A fixed, public grouping of records: runs (records, subject), in order; subjects are numbered from 0.

    column: name of the column of ids, for the reader.
    """

    column: str
    runs: tuple[tuple[int, int], ...]
    ends: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        total, ends = 0, []
        for length, _ in self.runs:
            total += length
            ends.append(total)
        object.__setattr__(self, "ends", tuple(ends))

    @classmethod
    def of(cls, column: str, ids: ArrayLike, start: int = 0) -> "Subjects":
        """The grouping by a column with one id a record; subjects are numbered from `start` as they appear."""
        values = np.asarray(ids)
        if values.ndim != 1:
            raise ValueError(f"subject column {column!r} must have one id a record, not shape {values.shape}")
        numbers: dict[Any, int] = {}
        runs = []
        for value, run in groupby(values.tolist()):
            runs.append((sum(1 for _ in run), numbers.setdefault(value, start + len(numbers))))
        if len(runs) > MAX_RUNS:
            raise ValueError(
                f"subject column {column!r} must change at most {MAX_RUNS:,} times: sort the records by it"
            )
        return cls(column, tuple(runs))

    @property
    def count(self) -> int:
        """Number of subjects."""
        return 1 + max(subject for _, subject in self.runs)

    def counts(self, ranges: Ranges) -> tuple[tuple[int, int, int], ...]:
        """How many of the records in `ranges` each subject has: (first subject, end, records), sorted, disjoint."""
        found = Counter[int]()
        for first, end in ranges:
            index = bisect_right(self.ends, first)
            while first < end:
                stop = min(end, self.ends[index])
                found[self.runs[index][1]] += stop - first
                first, index = stop, index + 1
        merged: list[tuple[int, int, int]] = []
        for subject in sorted(found):
            if merged and merged[-1][1:] == (subject, found[subject]):
                merged[-1] = (merged[-1][0], subject + 1, found[subject])
            else:
                merged.append((subject, subject + 1, found[subject]))
        return tuple(merged)


@dataclass(frozen=True)
class Binding:
    """The files of a data set, one after the other, and its subjects; no file: the budget is bound to no data."""

    parts: tuple[DataIdentity, ...] = ()
    subjects: Subjects | None = None

    @property
    def records(self) -> int:
        """Records of all files together."""
        return sum(part.records for part in self.parts)

    def offset(self, data: DataIdentity) -> int | None:
        """Number of the file's first record; None where the file does not belong to the data set."""
        first = 0
        for part in self.parts:
            if part == data:
                return first
            first += part.records
        return None

    def to_dict(self) -> dict[str, Any]:
        """The binding as it stands in an entry."""
        subjects = self.subjects and {"column": self.subjects.column, "runs": [list(run) for run in self.subjects.runs]}
        return {
            "data": [{"digest": part.digest, "records": part.records} for part in self.parts],
            "subjects": subjects,
        }


def binding_of(content: dict[str, Any]) -> Binding:
    """The binding in a budget's entry; ValueError where it contradicts itself."""
    parts = tuple(DataIdentity(part["digest"], part["records"]) for part in content.get("data") or ())
    if not all(type(part.records) is int and part.records > 0 and len(part.digest) == 64 for part in parts):
        raise ValueError("a data file is garbled")
    given = content.get("subjects")
    top = -1
    for _, number in given["runs"] if given else ():
        if not 0 <= number <= top + 1:
            raise ValueError("subjects are numbered as they appear")
        top = max(top, number)
    subjects = given and Subjects(
        given["column"], tuple((int(length), int(number)) for length, number in given["runs"])
    )
    if subjects and (not parts or subjects.ends[-1] != sum(part.records for part in parts)):
        raise ValueError("the subjects do not cover the records")
    return Binding(parts, subjects or None)


class DataKey:
    """The random key of a ledger's data digests, in a file of mode 600 beside it (`LEDGER.data-key`).

    A plain hash would let whoever knows all records but one confirm a guess at it. The key is in no export.
    """

    def __init__(self, ledger: Path) -> None:
        self.path = ledger.with_name(ledger.name + ".data-key")

    def read(self, create: bool) -> bytes:
        """The key; with `create`, a new one where there is none. LedgerError."""
        try:
            if create and not self.path.exists():
                try:
                    return create_secret(self.path, KEY_BYTES)
                except FileExistsError:
                    pass
            key = read_secret(self.path)
        except (ValueError, OSError) as error:
            raise LedgerError(f"the key of the ledger's data digests cannot be used: {error}") from error
        if len(key) != KEY_BYTES:
            raise LedgerError(f"data key {self.path} must hold {KEY_BYTES} bytes, not {len(key)}")
        return key

    def identify(self, records: ArrayLike, create: bool = True) -> DataIdentity:
        """The identity of 0/1 records (records, ...): of their shape and bits, whatever the file's format."""
        array = np.ascontiguousarray(np.asarray(records, dtype=bool))
        if array.ndim < 1 or not len(array):
            raise ValueError("data must hold at least one record")
        code = hmac.new(
            self.read(create), b"spikeveil records 1\0" + repr(array.shape).encode() + b"\0", hashlib.sha256
        )
        flat = array.reshape(-1)
        for start in range(0, flat.size, 1 << 24):  # a multiple of 8 bits
            code.update(np.packbits(flat[start : start + (1 << 24)]).tobytes())
        return DataIdentity(code.hexdigest(), len(array))

    def identify_digest(self, digest: str, records: int, create: bool = True) -> DataIdentity:
        """The identity of data that another part of the program has hashed: `digest` (text) and the record count."""
        code = hmac.new(self.read(create), b"spikeveil data digest 1\0" + digest.encode(), hashlib.sha256)
        return DataIdentity(code.hexdigest(), records)
