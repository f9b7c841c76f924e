"""Trivium under one key and many IVs at once: 64 records to a machine word, about 66 clocks to an array operation."""

import operator
from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeveil.pysim.model import checks
from spikeveil.pysim.model.bits import check_count, word_dtype
from spikeveil.pysim.model.trivium import KEY_BITS, KEY_BYTES, ONES, WARM_UP, A, B, C, loaded, number

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


def spread(bits: NDArray[np.uint8]) -> Planes:
    """Bits (records, n), 0 or 1, as planes (n, words); words are filled up with zeros."""
    full = np.zeros((bits.shape[1], -(-len(bits) // 64) * 64), np.uint8)
    full[:, : len(bits)] = bits.T
    return np.packbits(full, axis=1, bitorder="little").view(np.uint64)


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


def gather(planes: Planes) -> NDArray[np.uint8]:
    """Planes (bits, words) as (64 * words records, bits / 8 rounded up), 8 bits a byte, the first one lowest."""
    eights, width = -(-len(planes) // 8), 8 * planes.shape[1]
    padded = planes
    if len(planes) % 8:
        padded = np.zeros((8 * eights, planes.shape[1]), np.uint64)
        padded[: len(planes)] = planes
    squares = np.ascontiguousarray(padded.view(np.uint8).reshape(eights, 8, width).transpose(2, 0, 1)).view(np.uint64)
    packed = transpose_bits(squares).view(np.uint8).reshape(width, eights, 8).transpose(0, 2, 1)
    return packed.reshape(8 * width, eights)


class TriviumBank:
    """The keystreams of `key` (10 bytes) under each of `ivs` (10 bytes each, one or more), side by side.

    Stream i is that of `Trivium(key, ivs[i])`. Anything but 10 bytes raises ValueError. An array operation costs
    the same for 1 record and for 64, and little more for 512.
    """

    def __init__(self, key: bytes, ivs: Sequence[bytes]) -> None:
        if not ivs:
            raise ValueError("Trivium IVs must be one or more, not none")
        for iv in ivs:
            number(iv, "IV")
        self._records, self._words = len(ivs), -(-len(ivs) // 64)
        self._arrays = {name: np.zeros((CARRY + RUN, self._words), np.uint64) for name, *_ in RULES}
        entered = np.frombuffer(b"".join(ivs), np.uint8).reshape(-1, KEY_BYTES)
        entered = np.unpackbits(entered, axis=1, bitorder="little")
        for name, register, state in (("a", A, loaded(A, key, "key")), ("c", C, ONES)):
            for row in range(register.length):
                self._arrays[name][CARRY - register.length + row] = ALL * np.uint64(state >> row & 1)
        self._arrays["b"][CARRY - KEY_BITS : CARRY] = spread(entered)
        self._plan = self._planned()
        self._stream = np.empty((RUN, self._words), np.uint64)
        self._filled = 0
        self._fill(WARM_UP)
        self._filled = 0

    def __repr__(self) -> str:
        return f"TriviumBank({self._records} streams, key hidden)"

    def below(self, threshold: int, bits: int, count: int) -> NDArray[np.bool_]:
        """Whether each stream's next `count` words of `bits` bits (1 to 64) are below `threshold`: (streams, count).

        `threshold` is 0 to 2^bits - 1. Anything out of range raises ValueError.
        """
        word_dtype(bits)
        checks.integer("threshold", threshold, 0, (1 << bits) - 1)
        packed = np.empty((64 * self._words, -(-check_count("draws", count) // 8)), np.uint8)
        draws = 8 * max(1, STREAM_WORDS // (8 * bits * self._words))
        for start in range(0, count, draws):
            planes = less(self._take(min(draws, count - start), bits), threshold)
            packed[:, start // 8 : (start + draws) // 8] = gather(planes.reshape(-1, self._words))
        return np.unpackbits(packed[: self._records], axis=1, count=count, bitorder="little").view(np.bool_)

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
                if start == end:
                    continue
                slices = [
                    flat[name][(CARRY + start - delay) * self._words : (CARRY + end - delay) * self._words]
                    for name, delay in (*operands, (target, 0))
                ]
                plan.append((operation, *slices))
                known[target] = end
        return tuple(zip(*plan, strict=True))
