"""Trivium (De Cannière and Preneel, eSTREAM portfolio, ISO/IEC 29192-3): the golden model of `hdl/engine/trivium.py`.

Three shift registers form a ring. With x[t] the bit that enters a register at clock t, and y[t] that of the register
before it,

    x[t] = y[t-tap] ^ y[t-length] ^ (y[t-length+1] & y[t-length+2]) ^ x[t-feedback]

and the keystream is the sum of y[t-tap] ^ y[t-length] over the three registers. No delay is under 66, so 64 clocks are
one step of 64-bit words.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikeveil.pysim.model.bits import BitStream

KEY_BYTES = 10
KEY_BITS = 8 * KEY_BYTES
WARM_UP = 4 * 288  # clocks before the first keystream bit
_STEP = 64
_MASK = (1 << _STEP) - 1


@dataclass(frozen=True)
class Register:
    """The delays of one of the three registers, in clocks."""

    length: int  # of its oldest bit
    tap: int  # of the younger bit of its linear output
    feedback: int  # of its own bit in its input


A = Register(length=93, tap=66, feedback=69)
B = Register(length=84, tap=69, feedback=78)
C = Register(length=111, tap=66, feedback=87)
ONES = 0b111  # register C as loaded: its oldest three bits are ones


def port_value(value: bytes, name: str) -> int:
    """The value of the gateware's `key` or `iv` port: the big-endian integer of 10 bytes, as eSTREAM prints them.

    Anything but 10 bytes raises ValueError, which does not show them.
    """
    if not isinstance(value, bytes):
        raise ValueError(f"Trivium {name} must be {KEY_BYTES} bytes, not {type(value).__name__}")
    if len(value) != KEY_BYTES:
        raise ValueError(f"Trivium {name} must be {KEY_BYTES} bytes, not {len(value)}")
    return int.from_bytes(value, "big")


def entry_bit(position: int) -> int:
    """The bit of `port_value` that enters its register at `position` 0 to 79: first byte first, lowest bit first."""
    return 8 * (KEY_BYTES - 1 - position // 8) + position % 8


def loaded_state(register: Register, value: bytes, name: str) -> int:
    """A register of zeros after a key or an IV was shifted in: bit 0 is the oldest, the top bit the latest."""
    port_value(value, name)
    return int.from_bytes(value, "little") << (register.length - KEY_BITS)


def _outputs(register: Register, state: int) -> tuple[int, int]:
    """The output of a register over 64 clocks: its linear part (keystream and next register) and its product."""
    linear = (state >> (register.length - register.tap)) ^ state
    return linear & _MASK, (state >> 1) & (state >> 2) & _MASK


def _clocked(register: Register, state: int, outputs: tuple[int, int]) -> int:
    """A register 64 clocks later, given the outputs of the register before it."""
    fresh = (outputs[0] ^ outputs[1] ^ (state >> (register.length - register.feedback))) & _MASK
    return (state >> _STEP) | (fresh << (register.length - _STEP))


class Trivium(BitStream):
    """The keystream under `key` and `iv` (10 bytes each, as the eSTREAM vectors print them).

    b[8*i + c] is bit c, least significant first, of keystream byte i. A key and an IV determine the keystream, so a
    pair must not be used twice. The specification of Trivium allows 2^64 bits under a pair. `skip` computes the bits
    that it skips. Anything but 10 bytes raises ValueError.
    """

    def __init__(self, key: bytes, iv: bytes) -> None:
        self._a, self._b, self._c = loaded_state(A, key, "key"), loaded_state(B, iv, "IV"), ONES
        for _ in range(WARM_UP // _STEP):
            self._step()
        self._advance()

    def __repr__(self) -> str:
        return "Trivium(key hidden)"

    def _step(self) -> int:
        """64 clocks; the keystream word, the first bit lowest."""
        from_a, from_b, from_c = _outputs(A, self._a), _outputs(B, self._b), _outputs(C, self._c)
        self._a = _clocked(A, self._a, from_c)
        self._b = _clocked(B, self._b, from_a)
        self._c = _clocked(C, self._c, from_b)
        return from_a[0] ^ from_b[0] ^ from_c[0]

    def _advance(self) -> None:
        self._block: NDArray[np.uint64] = np.array([self._step() for _ in range(16)], np.uint64)
