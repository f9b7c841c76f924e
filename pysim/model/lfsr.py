"""The linear-feedback shift register b[i+127] = b[i+63] XOR b[i]: the golden model of `hdl/engine/lfsr.py`."""

import numpy as np
from numpy.typing import NDArray

from spikeveil.pysim.model.bits import BitStream, check_count

LENGTH = 127
SEED_BITS = LENGTH
TAP = 63
PERIOD = (1 << LENGTH) - 1  # prime, so the primitive x^127 + x^63 + 1 visits every state but zero
_DOUBLINGS = 12  # the recurrence of a block works on runs of 2^12 bits
_RUN_WORDS = (1 << _DOUBLINGS) // 64  # of 64 bits: a block of 127 runs is 64 KiB, inside a second-level cache


def check_seed(seed: object) -> int:
    """`seed` as an int when it is 1 to 2^127 - 1; otherwise ValueError, which does not show the seed."""
    if isinstance(seed, bool | np.bool_) or not isinstance(seed, int | np.integer):
        raise ValueError(f"LFSR seed must be an integer, not {type(seed).__name__}")
    seed = int(seed)
    if not 1 <= seed <= PERIOD:
        given = "0" if seed == 0 else "negative" if seed < 0 else f"a number of {seed.bit_length()} bits"
        raise ValueError(f"LFSR seed must be 1 to 2^{LENGTH} - 1, not {given}")
    return seed


def _reduce(value: int) -> int:
    """The polynomial `value` (bit i is the coefficient of x^i, degree at most 253) modulo x^127 + x^63 + 1."""
    for _ in range(2):
        high = value >> LENGTH
        value = (value & PERIOD) ^ high ^ (high << TAP)
    return value


def _power(exponent: int) -> int:
    """x^exponent modulo x^127 + x^63 + 1 over GF(2), by squaring: at most 127 steps."""
    result = 1
    for digit in f"{exponent % PERIOD:b}":
        # squaring over GF(2) puts a zero between neighbouring coefficients: binary digits read in base 4
        result = _reduce(int(f"{result:b}", 4))
        if digit == "1":
            result = _reduce(result << 1)
    return result


def _expand(state: int, doublings: int) -> int:
    """b[0 .. 127*2^doublings - 1], bit i of the integer being b[i], from b[0..126].

    Squaring the polynomial k times gives b[i + 127*2^k] = b[i + 63*2^k] XOR b[i]: two shifts double the run.
    """
    for unit in (1 << k for k in range(doublings)):
        fresh = (state ^ (state >> (TAP * unit))) & ((1 << (64 * unit)) - 1)
        state |= fresh << (LENGTH * unit)
        fresh = ((state >> (64 * unit)) ^ (state >> (LENGTH * unit))) & ((1 << (TAP * unit)) - 1)
        state |= fresh << (191 * unit)
    return state


def _jump(state: int, distance: int) -> int:
    """b[distance .. distance + 126] from b[0..126].

    With x^distance = sum_j c_j x^j modulo the polynomial, b[distance + i] = sum_j c_j b[i + j].
    """
    factor, run, result = _power(distance), _expand(state, 1), 0
    while factor:
        low = factor & -factor
        result ^= run >> (low.bit_length() - 1)
        factor ^= low
    return result & PERIOD


class Lfsr(BitStream):
    """The bit sequence b[i+127] = b[i+63] XOR b[i]; bit i of `seed` is b[i], for i = 0 to 126.

    `seed` is 1 to 2^127 - 1; anything else raises ValueError. The polynomial x^127 + x^63 + 1 is primitive and
    2^127 - 1 is prime, so the sequence repeats after 2^127 - 1 bits. It is linear: it serves tests, reproduction and
    noise statistics, and does not protect against an adversary who has seen 127 of its bits.
    """

    def __init__(self, seed: int) -> None:
        self._fill(check_seed(seed))

    def __repr__(self) -> str:
        return "Lfsr(seed hidden)"

    def skip(self, bits: int) -> None:
        """Skip the next `bits` bits (0 or more), in at most 127 polynomial squarings."""
        distance = self._position + check_count("bits to skip", bits)
        if distance <= 64 * len(self._block):
            self._position = distance
        else:
            self._fill(_jump(self._state(), distance))

    def _state(self) -> int:
        """The first 127 bits of the block."""
        return int.from_bytes(self._block[:2].astype("<u8").tobytes(), "little") & PERIOD

    def _fill(self, state: int) -> None:
        run = _expand(state, _DOUBLINGS).to_bytes(8 * LENGTH * _RUN_WORDS, "little")
        self._block: NDArray[np.uint64] = np.frombuffer(run, "<u8").astype(np.uint64)
        self._position = 0

    def _advance(self) -> None:
        """b[i + 127 runs] = b[i + 63 runs] XOR b[i] in place, in three pieces whose ends do not overlap."""
        block, split = self._block, TAP * _RUN_WORDS
        head, middle, tail = block[:split], block[split : split + _RUN_WORDS], block[split + _RUN_WORDS :]
        np.bitwise_xor(head, block[split:-_RUN_WORDS], out=head)
        np.bitwise_xor(middle, block[-_RUN_WORDS:], out=middle)
        np.bitwise_xor(tail, head, out=tail)
