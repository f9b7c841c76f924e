"""Unbiased estimates of raw spike counts and rates from released bits, with standard errors."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, eq=False)
class Debiased:
    """Unbiased estimates from the number of ones (`released`) among `bits` bits that were flipped with probability `p`.

    With y = released / bits and s = 1 - 2p; all are float64 and have the shape of `released`:

    - `rate` = (y - p) / s, the fraction of bits with a raw spike; unbiased, so it may lie outside [0, 1];
    - `count` = bits * rate, the number of raw spikes;
    - `noise_error` = sqrt(p (1 - p) / bits) / s, the standard error of `rate` due to the flips, for any spikes: the
      error of an estimate of the raw spikes of these bits;
    - `sampling_error` = sqrt(rate (1 - rate) / bits) with `rate` clipped to [0, 1]: the additional error of an estimate
      of an underlying rate, of which the raw spikes are independent draws;
    - `standard_error` = sqrt(noise_error^2 + sampling_error^2), the error of an estimate of the underlying rate.
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
        """Confidence interval of the underlying rate, within [0, 1], with coverage of at least `confidence`.

        The exact Clopper-Pearson interval of the probability of a released one, for independent raw bits of equal rate,
        debiased and clipped to [0, 1]. ValueError unless 0 < confidence < 1.
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
    """The estimates for flip probability `p`; see `Debiased`. ValueError if the counts are impossible or p is 1/2."""
    if p == Fraction(1, 2):
        raise ValueError("debiasing needs a flip probability under 1/2: at 1/2 the released bits carry no information")
    if isinstance(bits, bool) or not isinstance(bits, int | np.integer) or bits < 1:
        raise ValueError(f"bits must be an integer of 1 or more, not {bits!r}")
    ones = np.asarray(released)
    if not np.issubdtype(ones.dtype, np.integer):
        raise ValueError(f"released ones must be integers, not {ones.dtype}")
    if ones.size and (int(ones.min()) < 0 or int(ones.max()) > bits):
        raise ValueError(f"released ones must be 0 to {bits}, not {int(ones.min())} to {int(ones.max())}")
    return Debiased(ones.astype(np.int64), int(bits), p)
