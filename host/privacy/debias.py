"""From released bits back to spike counts and rates, with what they are worth."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, eq=False)
class Debiased:
    """Unbiased estimates from `released` ones among `bits` bits that left with flip probability `p`.

    With y = released / bits and s = 1 - 2p, all float64 in the shape of `released`:

    - `rate` = (y - p) / s, the share of raw spikes; unbiased, so it may fall outside [0, 1];
    - `count` = bits * rate, the number of raw spikes;
    - `noise_error` = sqrt(p (1 - p) / bits) / s: standard error that the flips alone put on `rate`. It does not depend
      on the spikes: this is the error where the spikes of these very bits are wanted;
    - `sampling_error` = sqrt(rate (1 - rate) / bits), `rate` cut to [0, 1]: what is added where the raw spikes are
      themselves independent draws and their underlying rate is wanted;
    - `standard_error` = the root of both squares' sum.
    """

    released: NDArray[np.int64]
    bits: int
    p: Fraction

    @property
    def rate(self) -> NDArray[np.float64]:
        return np.asarray((self.released / self.bits - float(self.p)) / float(1 - 2 * self.p))

    @property
    def count(self) -> NDArray[np.float64]:
        return np.asarray(self.bits * self.rate)

    @property
    def noise_error(self) -> NDArray[np.float64]:
        scale = np.sqrt(float(self.p * (1 - self.p)) / self.bits) / float(1 - 2 * self.p)
        return np.full(self.released.shape, scale)

    @property
    def sampling_error(self) -> NDArray[np.float64]:
        rate = np.clip(self.rate, 0, 1)
        return np.asarray(np.sqrt(rate * (1 - rate) / self.bits))

    @property
    def standard_error(self) -> NDArray[np.float64]:
        return np.asarray(np.hypot(self.noise_error, self.sampling_error))

    def interval(self, confidence: float = 0.95) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Lower and upper bound of the underlying rate, in [0, 1]: covers it with at least `confidence` (0 to 1).

        The exact interval of Clopper and Pearson for the probability of a released one, when raw bits are independent
        with one rate, mapped through the debiasing and cut to [0, 1]. ValueError unless 0 < confidence < 1.
        """
        from scipy.special import betaincinv

        if not 0 < confidence < 1:
            raise ValueError(f"confidence must be above 0 and under 1, not {confidence!r}")
        tail, ones, zeros = (1 - confidence) / 2, self.released, self.bits - self.released
        low = np.where(ones == 0, 0.0, betaincinv(np.maximum(ones, 1), zeros + 1, tail))
        high = np.where(zeros == 0, 1.0, betaincinv(ones + 1, np.maximum(zeros, 1), 1 - tail))
        bounds = [np.clip((y - float(self.p)) / float(1 - 2 * self.p), 0, 1) for y in (low, high)]
        return bounds[0], bounds[1]


def debias(p: Fraction, released: ArrayLike, bits: int) -> Debiased:
    """The estimates for flip probability `p`; see `Debiased`. ValueError where the counts are impossible or p = 1/2."""
    if p == Fraction(1, 2):
        raise ValueError("debiasing needs a flip probability under 1/2: at 1/2 the released bits say nothing")
    if isinstance(bits, bool) or not isinstance(bits, int | np.integer) or bits < 1:
        raise ValueError(f"bits must be an integer of 1 or more, not {bits!r}")
    ones = np.asarray(released)
    if not np.issubdtype(ones.dtype, np.integer):
        raise ValueError(f"released ones must be integers, not {ones.dtype}")
    if ones.size and (int(ones.min()) < 0 or int(ones.max()) > bits):
        raise ValueError(f"released ones must be 0 to {bits}, not {int(ones.min())} to {int(ones.max())}")
    return Debiased(ones.astype(np.int64), int(bits), p)
