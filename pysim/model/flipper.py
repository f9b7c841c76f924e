"""Randomised response on spikes: the golden model of the flipper (`hdl/engine/flipper.py`)."""

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from spikeveil.pysim.model.logarithm import log_up

MAX_BITS = 16


@dataclass(frozen=True)
class FlipSpec:
    """The randomised response of a layer: released = spike XOR (word < threshold), with a fresh word for each spike.

    | field | value | meaning |
    |---|---|---|
    | `threshold` | 1 to 2^(bits-1) | the flip threshold k |
    | `bits` | 1 to 16 | width w of a word |

    The flip probability is p = k / 2^w exactly, and one spike's epsilon is ln((1 - p) / p) (Warner 1965). Anything out
    of bounds raises ValueError.
    """

    threshold: int
    bits: int = MAX_BITS

    def __post_init__(self) -> None:
        for name in ("bits", "threshold"):
            value = getattr(self, name)
            if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer):
                raise ValueError(f"flip {name} must be an integer, not {value!r}")
            object.__setattr__(self, name, int(value))
        if not 1 <= self.bits <= MAX_BITS:
            raise ValueError(f"flip bits must be 1 to {MAX_BITS}, not {self.bits}")
        if not 1 <= self.threshold <= 1 << (self.bits - 1):
            raise ValueError(
                f"flip threshold must be 1 to {1 << (self.bits - 1)} for {self.bits}-bit words, not {self.threshold}"
            )

    @property
    def flip_probability(self) -> Fraction:
        """The exact flip probability p."""
        return Fraction(self.threshold, 1 << self.bits)

    @property
    def epsilon(self) -> float:
        """Epsilon of ONE spike: ln((2^bits - threshold) / threshold), rounded up to the next float."""
        return log_up(Fraction((1 << self.bits) - self.threshold, self.threshold))

    @classmethod
    def for_epsilon(cls, epsilon: float, bits: int = MAX_BITS) -> "FlipSpec":
        """The smallest threshold whose realised epsilon is at or under `epsilon` (0 or more).

        Raises ValueError where `epsilon` is negative or not a number. An infinite or very large `epsilon` gives
        threshold 1, the largest epsilon that `bits` can express.
        """
        if math.isnan(epsilon) or epsilon < 0:
            raise ValueError(f"flip epsilon must be 0 or more, not {epsilon!r}")
        low, high = 1, 1 << (cls(1, bits).bits - 1)
        while low < high:
            middle = (low + high) // 2
            if cls(middle, bits).epsilon <= epsilon:
                high = middle
            else:
                low = middle + 1
        return cls(low, bits)

    def masks(self, words: NDArray[np.unsignedinteger]) -> NDArray[np.bool_]:
        """True where a word flips its spike; `words` holds `bits`-bit words, in any shape."""
        mask: NDArray[np.bool_] = words < words.dtype.type(self.threshold)
        return mask


def release(spikes: NDArray[np.bool_], masks: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The released spikes: spikes XOR masks, of one shape."""
    return np.logical_xor(spikes, masks)
