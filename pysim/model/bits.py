"""Bit streams read in words of any width: the base of both word sources."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeveil.pysim.model import checks

MAX_WORD = 64
_CHUNK = 1 << 13  # words handled at once, so that temporaries stay in the cache


def check_count(name: str, value: object) -> int:
    """`value` as an int when it is an integer of 0 or more; otherwise ValueError."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer):
        raise ValueError(f"{name} must be an integer, not {value!r}")
    if value < 0:
        raise ValueError(f"{name} must be 0 or more, not {value}")
    return int(value)


def word_dtype(bits: int) -> np.dtype[np.unsignedinteger[Any]]:
    """The smallest unsigned dtype that holds words of `bits` bits (1 to 64)."""
    bits = checks.integer("word bits", bits, 1, MAX_WORD)
    return np.dtype(next(f"u{size}" for size in (1, 2, 4, 8) if bits <= 8 * size))


class BitStream(ABC):
    """A bit sequence b[0], b[1], ... that is read once, in order.

    From position p on, word j of width w is `sum_i b[p + j*w + i] << i`: words never overlap.

    A subclass keeps part of the sequence in `_block`: bit i of its uint64 word k is b[64*k + i]. `_advance` replaces
    the block by the one that follows.
    """

    _block: NDArray[np.uint64]
    _position: int = 0  # bits of the block already read

    @abstractmethod
    def _advance(self) -> None:
        """Replace the block by the next one."""

    def words(self, count: int, bits: int) -> NDArray[np.unsignedinteger[Any]]:
        """The next `count` words of `bits` bits (1 to 64): shape (count,), the smallest unsigned dtype."""
        out = np.empty(check_count("word count", count), word_dtype(bits))
        filled = 0
        for part in self._parts(len(out), bits):
            out[filled : filled + len(part)] = part
            filled += len(part)
        return out

    def below(self, threshold: int, bits: int, out: NDArray[np.bool_]) -> None:
        """Set `out` (any length, contiguous) to `word < threshold` for the next words of `bits` bits, in order.

        `threshold` is 0 to 2^bits - 1. The same as comparing `words(out.size, bits)`, without storing the words.
        """
        limit = word_dtype(bits).type(checks.integer("threshold", threshold, 0, (1 << bits) - 1))
        flat = out.reshape(-1)
        filled = 0
        for part in self._parts(flat.size, bits):
            np.less(part, limit, out=flat[filled : filled + len(part)])
            filled += len(part)

    def skip(self, bits: int) -> None:
        """Skip the next `bits` bits (0 or more)."""
        self._position += check_count("bits to skip", bits)
        while self._position > 64 * len(self._block):
            self._position -= 64 * len(self._block)
            self._advance()

    def _parts(self, count: int, bits: int) -> Iterator[NDArray[np.unsignedinteger[Any]]]:
        """The next `count` words in pieces; a piece is valid until the next one is taken."""
        dtype = word_dtype(bits)
        if bits == 8 * dtype.itemsize and self._position % bits == 0:
            yield from self._views(count, dtype)
            return
        for start in range(0, count, _CHUNK):
            yield self._gather(min(_CHUNK, count - start), bits).astype(dtype)

    def _views(self, count: int, dtype: np.dtype[Any]) -> Iterator[NDArray[Any]]:
        """The next `count` words that fill `dtype`, as views of the block; the position must be a multiple of it."""
        size = 8 * dtype.itemsize
        while count:
            if self._position == 64 * len(self._block):
                self._advance()
                self._position = 0
            start = self._position // size
            view = self._block.view(dtype)[start : start + count]
            self._position += size * len(view)
            count -= len(view)
            yield view

    def _gather(self, count: int, bits: int) -> NDArray[np.uint64]:
        """The next `count` words of any width from any position."""
        first = self._position % 64
        size = -(-(first + count * bits) // 64)
        raw = np.zeros(size + 1, np.uint64)
        self._position -= first
        filled = 0
        for view in self._views(size, raw.dtype):
            raw[filled : filled + len(view)] = view
            filled += len(view)
        self._position -= 64 * size - first - count * bits
        position = np.uint64(first) + np.arange(count, dtype=np.uint64) * np.uint64(bits)
        word, shift = position >> np.uint64(6), position & np.uint64(63)
        value: NDArray[np.uint64] = raw[word] >> shift
        value |= raw[word + np.uint64(1)] << (np.uint64(63) - shift) << np.uint64(1)
        value &= np.uint64((1 << bits) - 1)
        return value
