"""Trivium (De Cannière and Preneel, eSTREAM portfolio, ISO/IEC 29192-3): the golden model of `hdl/engine/trivium.py`.

Three shift registers feed one another in a ring. Written as the sequence of the bits that enter it, each obeys

    x[t] = y[t-near] ^ y[t-length] ^ (y[t-length+1] & y[t-length+2]) ^ x[t-own]

where y is the register before it, and the keystream is the sum of all y[t-near] ^ y[t-length]. No delay is
under 66, so 64 clocks are one step of 64-bit words.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikeveil.pysim.model.bits import BitStream

KEY_BYTES = 10
KEY_BITS = 8 * KEY_BYTES
WARM_UP = 4 * 288  # clocks before the first keystream bit
STEP = 64
MASK = (1 << STEP) - 1


@dataclass(frozen=True)
class Register:
    """The delays of one of the three registers, in clocks."""

    length: int  # of the oldest bit it gives to the next register
    near: int  # of the younger bit it gives to the next register
    own: int  # of its own bit that it adds to what it takes in


A = Register(length=93, near=66, own=69)
B = Register(length=84, near=69, own=78)
C = Register(length=111, near=66, own=87)
ONES = 0b111  # the oldest three bits of C at load


def number(value: bytes, name: str) -> int:
    """The 80-bit number that 10 bytes print as in the eSTREAM vectors: their big-endian integer.

    The gateware's `key` and `iv` ports hold it. Anything but 10 bytes raises ValueError, which does not show them.
    """
    if not isinstance(value, bytes):
        raise ValueError(f"Trivium {name} must be {KEY_BYTES} bytes, not {type(value).__name__}")
    if len(value) != KEY_BYTES:
        raise ValueError(f"Trivium {name} must be {KEY_BYTES} bytes, not {len(value)}")
    return int.from_bytes(value, "big")


def entry_bit(place: int) -> int:
    """Which bit of `number` enters its register at `place` 0 to 79: the first byte first, each from its lowest bit."""
    return 8 * (KEY_BYTES - 1 - place // 8) + place % 8


def loaded(register: Register, value: bytes, name: str) -> int:
    """A register of zeros after a key or IV entered it: bit 0 is the oldest, what came last is on top."""
    number(value, name)
    return int.from_bytes(value, "little") << (register.length - KEY_BITS)


def taps(register: Register, state: int) -> tuple[int, int]:
    """What a register gives for 64 clocks: the linear part (keystream and next register), and the product."""
    linear = (state >> (register.length - register.near)) ^ state
    return linear & MASK, (state >> 1) & (state >> 2) & MASK


def shifted(register: Register, state: int, given: tuple[int, int]) -> int:
    """A register 64 clocks later, having taken in what the one before it gave."""
    fresh = (given[0] ^ given[1] ^ (state >> (register.length - register.own))) & MASK
    return (state >> STEP) | (fresh << (register.length - STEP))


class Trivium(BitStream):
    """The keystream under `key` and `iv` (10 bytes each, as the eSTREAM vectors print them).

    b[8*i + c] is bit c, least significant first, of keystream byte i. Anything but 10 bytes raises ValueError.
    One key and IV give one keystream: use a pair once. The specification allows 2^64 bits under a pair.
    `skip` runs through what it leaves out.
    """

    def __init__(self, key: bytes, iv: bytes) -> None:
        self._a, self._b, self._c = loaded(A, key, "key"), loaded(B, iv, "IV"), ONES
        for _ in range(WARM_UP // STEP):
            self._step()
        self._advance()

    def __repr__(self) -> str:
        return "Trivium(key hidden)"

    def _step(self) -> int:
        """64 clocks; the keystream word, the first bit lowest."""
        from_a, from_b, from_c = taps(A, self._a), taps(B, self._b), taps(C, self._c)
        self._a = shifted(A, self._a, from_c)
        self._b = shifted(B, self._b, from_a)
        self._c = shifted(C, self._c, from_b)
        return from_a[0] ^ from_b[0] ^ from_c[0]

    def _advance(self) -> None:
        self._block: NDArray[np.uint64] = np.array([self._step() for _ in range(16)], np.uint64)
