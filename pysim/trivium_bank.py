"""Trivium under one key and many IVs at once: 64 records to a machine word, about 66 clocks to an array operation."""

import operator
from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeveil.pysim import checks
from spikeveil.pysim.bits import word_dtype
from spikeveil.pysim.trivium import ONES, WARM_UP, A, B, C, loaded

Planes = NDArray[np.uint64]  # (bits, words): bit i of word l belongs to record 64 * l + i

RUN = WARM_UP  # clocks of a run, so that one plan of operations serves the warm-up too
CARRY = max(A.length, B.length, C.length)
STREAM_WORDS = 1 << 15  # keystream words compared at once: 256 KiB, half a second-level cache
ALL = np.uint64((1 << 64) - 1)

# What to compute at clock t: target, operation, and two operands, each a name and how many clocks ago.
RULES = tuple(
    rule
    for x, y, new, old in ((A, C, "a", "c"), (B, A, "b", "a"), (C, B, "c", "b"))
    for rule in (
        (f"linear {new}", np.bitwise_xor, (old, y.near), (old, y.length)),
        (f"product {new}", np.bitwise_and, (old, y.length - 1), (old, y.length - 2)),
        (f"sum {new}", np.bitwise_xor, (f"product {new}", 0), (new, x.own)),
        (new, np.bitwise_xor, (f"linear {new}", 0), (f"sum {new}", 0)),
    )
)


def spread(values: Sequence[int], rows: int) -> Planes:
    """Integers of `rows` bits, one a record, as planes (rows, words), bit 0 first; words are filled up with zeros."""
    size = -(-rows // 8)
    data = np.frombuffer(b"".join(value.to_bytes(size, "little") for value in values), np.uint8)
    bits = np.zeros((8 * size, -(-len(values) // 64) * 64), np.uint8)
    bits[:, : len(values)] = np.unpackbits(data.reshape(-1, size), axis=1, bitorder="little").T
    return np.packbits(bits[:rows], axis=1, bitorder="little").view(np.uint64)


def less(planes: Planes, threshold: int) -> Planes:
    """Where the word whose bit i lies in planes[i] is below `threshold`: from the lowest bit up, later ones rule."""
    reached = np.full_like(planes[0], ALL)
    for bit, plane in enumerate(planes):
        (np.bitwise_and if threshold >> bit & 1 else np.bitwise_or)(plane, reached, out=reached)
    below: Planes = np.invert(reached, out=reached)
    return below


def transpose_bits(square: Planes) -> Planes:
    """Each word, as 8 rows of 8 bits, transposed: swap bits, then pairs, then fours across the diagonal."""
    for shift, mask in ((7, 0x00AA00AA00AA00AA), (14, 0x0000CCCC0000CCCC), (28, 0x00000000F0F0F0F0)):
        swap = (square ^ (square >> np.uint64(shift))) & np.uint64(mask)
        square = square ^ swap ^ (swap << np.uint64(shift))
    return square


def gather(planes: Planes) -> NDArray[np.bool_]:
    """Planes (bits, words) as (64 * words records, bits)."""
    count, width = len(planes), 8 * planes.shape[1]
    eights = -(-count // 8)
    padded = np.zeros((8 * eights, planes.shape[1]), np.uint64)
    padded[:count] = planes
    squares = np.ascontiguousarray(padded.view(np.uint8).reshape(eights, 8, width).transpose(2, 0, 1)).view(np.uint64)
    packed = transpose_bits(squares).view(np.uint8).reshape(width, eights, 8).transpose(0, 2, 1)
    records = np.ascontiguousarray(packed).reshape(8 * width, eights)
    return np.unpackbits(records, axis=1, count=count, bitorder="little").view(np.bool_)


class TriviumBank:
    """The keystreams of `key` (10 bytes) under each of `ivs` (10 bytes each, one or more), side by side.

    Stream i is that of `Trivium(key, ivs[i])`. Anything but 10 bytes raises ValueError. An array operation costs
    the same for 1 record and for 64, and little more for 512.
    """

    def __init__(self, key: bytes, ivs: Sequence[bytes]) -> None:
        if not ivs:
            raise ValueError("Trivium IVs must be one or more, not none")
        self._records, self._words = len(ivs), -(-len(ivs) // 64)
        self._arrays = {name: np.zeros((CARRY + RUN, self._words), np.uint64) for name, *_ in RULES}
        states = {
            "a": (A, [loaded(A, key, "key")] * len(ivs)),
            "b": (B, [loaded(B, iv, "IV") for iv in ivs]),
            "c": (C, [ONES] * len(ivs)),
        }
        for name, (register, values) in states.items():
            self._arrays[name][CARRY - register.length : CARRY] = spread(values, register.length)
        self._plan = self._planned()
        self._stream = np.empty((RUN, self._words), np.uint64)
        self._filled = 0
        self._fill(WARM_UP)
        self._filled = 0

    def __repr__(self) -> str:
        return f"TriviumBank({self._records} streams, key hidden)"

    def below(self, threshold: int, bits: int, out: NDArray[np.bool_]) -> None:
        """Set `out` (streams, count) to `word < threshold` for each stream's next words of `bits` bits (1 to 64).

        `threshold` is 0 to 2^bits - 1. Anything out of range, or another shape, raises ValueError.
        """
        word_dtype(bits)
        checks.integer("threshold", threshold, 0, (1 << bits) - 1)
        if out.ndim != 2 or len(out) != self._records:
            raise ValueError(f"mask shape must be ({self._records}, count), not {out.shape}")
        draws = max(1, STREAM_WORDS // (bits * self._words))
        for start in range(0, out.shape[1], draws):
            part = out[:, start : start + draws]
            planes = self._take(part.shape[1], bits)
            part[:] = gather(less(planes, threshold).reshape(-1, self._words))[: self._records]

    def _take(self, count: int, bits: int) -> Planes:
        """The next `count` words of every stream: plane i, (count * words,), holds bit i of each."""
        used = count * bits
        self._fill(used)
        row = f"V{8 * self._words}"
        planes = self._stream[:used].view(row).reshape(count, bits).T.copy().view(np.uint64)
        self._stream[: self._filled - used] = self._stream[used : self._filled]
        self._filled -= used
        return planes.reshape(bits, count * self._words)

    def _fill(self, clocks: int) -> None:
        """Run until the stream holds at least `clocks` clocks."""
        if len(self._stream) < clocks + RUN:
            longer = np.empty((clocks + RUN, self._words), np.uint64)
            longer[: self._filled] = self._stream[: self._filled]
            self._stream = longer
        while self._filled < clocks:
            deque(map(operator.call, *self._plan), maxlen=0)
            for name in "abc":
                self._arrays[name][:CARRY] = self._arrays[name][RUN:]
            out = self._stream[self._filled : self._filled + RUN]
            a, b, c = (self._arrays[f"linear {name}"][CARRY:] for name in "abc")
            np.bitwise_xor(a, b, out=out)
            np.bitwise_xor(out, c, out=out)
            self._filled += RUN

    def _planned(self) -> tuple[tuple[Any, ...], ...]:
        """The operations of a run, in columns: each rule in turn goes as far as its operands are known."""
        known = dict.fromkeys(self._arrays, 0)
        plan = []
        flat = {name: array.reshape(-1) for name, array in self._arrays.items()}
        while min(known.values()) < RUN:
            for target, operation, *operands in RULES:
                start, end = known[target], min(RUN, *(known[name] + delay for name, delay in operands))
                slices = [
                    flat[name][(CARRY + start - delay) * self._words : (CARRY + end - delay) * self._words]
                    for name, delay in (*operands, (target, 0))
                ]
                plan.append((operation, *slices))
                known[target] = end
        return tuple(zip(*plan, strict=True))
