"""Trivium under one key and many IVs: bit-sliced, 64 records a machine word, about 66 clocks an array operation."""

import operator
from collections import deque
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeveil.pysim.model import checks
from spikeveil.pysim.model.bits import check_count, word_dtype
from spikeveil.pysim.model.trivium import KEY_BITS, KEY_BYTES, ONES, WARM_UP, A, B, C, loaded_state, port_value

_Planes = NDArray[np.uint64]  # (bits, words): bit i of word l belongs to record 64 * l + i

_RUN = WARM_UP  # clocks of a run, so that the warm-up is one run
_CARRY = max(A.length, B.length, C.length)
_STREAM_WORDS = 1 << 15  # keystream words compared at once: 256 KiB, half a second-level cache
_ALL_ONES = np.uint64((1 << 64) - 1)

# What is computed at clock t: target, operation, and two operands, each a name and a delay in clocks.
_RULES = tuple(
    rule
    for x, y, new, old in ((A, C, "a", "c"), (B, A, "b", "a"), (C, B, "c", "b"))
    for rule in (
        (f"linear {new}", np.bitwise_xor, (old, y.tap), (old, y.length)),
        (f"product {new}", np.bitwise_and, (old, y.length - 1), (old, y.length - 2)),
        (f"sum {new}", np.bitwise_xor, (f"product {new}", 0), (new, x.feedback)),
        (new, np.bitwise_xor, (f"linear {new}", 0), (f"sum {new}", 0)),
    )
)


def _to_planes(bits: NDArray[np.uint8]) -> _Planes:
    """Bits (records, n), 0 or 1, as planes (n, words); the last word is padded with zeros."""
    full = np.zeros((bits.shape[1], -(-len(bits) // 64) * 64), np.uint8)
    full[:, : len(bits)] = bits.T
    return np.packbits(full, axis=1, bitorder="little").view(np.uint64)


def _below(planes: _Planes, threshold: int) -> _Planes:
    """Where the word whose bit i is in planes[i] is below `threshold`; a higher bit overrides the lower ones."""
    undecided = np.full_like(planes[0], _ALL_ONES)
    for bit, plane in enumerate(planes):
        (np.bitwise_and if threshold >> bit & 1 else np.bitwise_or)(plane, undecided, out=undecided)
    below: _Planes = np.invert(undecided, out=undecided)
    return below


def _transpose_bits(square: _Planes) -> _Planes:
    """Each word transposed as a square of 8 x 8 bits: swaps single bits, then pairs, then fours across the diagonal."""
    for shift, mask in ((7, 0x00AA00AA00AA00AA), (14, 0x0000CCCC0000CCCC), (28, 0x00000000F0F0F0F0)):
        swap = (square ^ (square >> np.uint64(shift))) & np.uint64(mask)
        square = square ^ swap ^ (swap << np.uint64(shift))
    return square


def _to_records(planes: _Planes) -> NDArray[np.uint8]:
    """Planes (bits, words) as bytes (64 * words records, bits / 8 rounded up), the first bit of a byte lowest."""
    eights, width = -(-len(planes) // 8), 8 * planes.shape[1]
    padded = planes
    if len(planes) % 8:
        padded = np.zeros((8 * eights, planes.shape[1]), np.uint64)
        padded[: len(planes)] = planes
    squares = np.ascontiguousarray(padded.view(np.uint8).reshape(eights, 8, width).transpose(2, 0, 1)).view(np.uint64)
    packed = _transpose_bits(squares).view(np.uint8).reshape(width, eights, 8).transpose(0, 2, 1)
    return packed.reshape(8 * width, eights)


class TriviumBank:
    """The keystreams of `key` (10 bytes) under each of `ivs` (10 bytes each, one or more), computed in parallel.

    Stream i equals that of `Trivium(key, ivs[i])`. An array operation takes as long for 1 stream as for 64, and little
    longer for 512. Anything but 10 bytes raises ValueError.
    """

    def __init__(self, key: bytes, ivs: Sequence[bytes]) -> None:
        if not ivs:
            raise ValueError("Trivium IVs must be one or more, not none")
        for iv in ivs:
            port_value(iv, "IV")
        self._records, self._words = len(ivs), -(-len(ivs) // 64)
        self._arrays = {name: np.zeros((_CARRY + _RUN, self._words), np.uint64) for name, *_ in _RULES}
        iv_bits = np.frombuffer(b"".join(ivs), np.uint8).reshape(-1, KEY_BYTES)
        iv_bits = np.unpackbits(iv_bits, axis=1, bitorder="little")
        for name, register, state in (("a", A, loaded_state(A, key, "key")), ("c", C, ONES)):
            for row in range(register.length):
                self._arrays[name][_CARRY - register.length + row] = _ALL_ONES * np.uint64(state >> row & 1)
        self._arrays["b"][_CARRY - KEY_BITS : _CARRY] = _to_planes(iv_bits)
        self._operations = self._schedule()
        self._stream = np.empty((_RUN, self._words), np.uint64)
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
        draws = 8 * max(1, _STREAM_WORDS // (8 * bits * self._words))
        for start in range(0, count, draws):
            planes = _below(self._take(min(draws, count - start), bits), threshold)
            packed[:, start // 8 : (start + draws) // 8] = _to_records(planes.reshape(-1, self._words))
        return np.unpackbits(packed[: self._records], axis=1, count=count, bitorder="little").view(np.bool_)

    def words(self, bits: int, count: int) -> NDArray[np.unsignedinteger[Any]]:
        """Each stream's next `count` words of `bits` bits (1 to 64): (streams, count), the smallest unsigned dtype."""
        out = np.zeros((count, 64 * self._words), word_dtype(bits))
        for bit, plane in enumerate(self._take(check_count("draws", count), bits)):
            ones = np.unpackbits(plane.view(np.uint8), bitorder="little").reshape(out.shape)
            out |= ones.astype(out.dtype) << out.dtype.type(bit)
        return out.T[: self._records]

    def _take(self, count: int, bits: int) -> _Planes:
        """The next `count` words of every stream: plane i, (count * words,), holds bit i of each word."""
        used = count * bits
        self._fill(used)
        row = f"V{8 * self._words}"
        planes = self._stream[:used].view(row).reshape(count, bits).T.copy().view(np.uint64)
        self._stream[: self._filled - used] = self._stream[used : self._filled]
        self._filled -= used
        return planes.reshape(bits, count * self._words)

    def _fill(self, clocks: int) -> None:
        """Run until the stream holds at least `clocks` clocks."""
        if len(self._stream) < clocks + _RUN:
            longer = np.empty((clocks + _RUN, self._words), np.uint64)
            longer[: self._filled] = self._stream[: self._filled]
            self._stream = longer
        while self._filled < clocks:
            deque(map(operator.call, *self._operations), maxlen=0)
            for name in "abc":
                self._arrays[name][:_CARRY] = self._arrays[name][_RUN:]
            out = self._stream[self._filled : self._filled + _RUN]
            a, b, c = (self._arrays[f"linear {name}"][_CARRY:] for name in "abc")
            np.bitwise_xor(a, b, out=out)
            np.bitwise_xor(out, c, out=out)
            self._filled += _RUN

    def _schedule(self) -> tuple[tuple[Any, ...], ...]:
        """The operations of a run, in columns: each rule covers in turn the clocks whose operands are computed."""
        computed = dict.fromkeys(self._arrays, 0)
        operations = []
        flat = {name: array.reshape(-1) for name, array in self._arrays.items()}
        while min(computed.values()) < _RUN:
            for target, operation, *operands in _RULES:
                start, end = computed[target], min(_RUN, *(computed[name] + delay for name, delay in operands))
                if start == end:
                    continue
                slices = [
                    flat[name][(_CARRY + start - delay) * self._words : (_CARRY + end - delay) * self._words]
                    for name, delay in (*operands, (target, 0))
                ]
                operations.append((operation, *slices))
                computed[target] = end
        return tuple(zip(*operations, strict=True))
