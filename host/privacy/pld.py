"""Privacy-loss distributions through dp-accounting 0.6.0, with a bound on its arithmetic added.

dp-accounting discretises the loss so that delta can only rise ("connect the dots", Doroshenko and others 2022) and
composes by FFT. The FFT's rounding is not covered by that promise: its output carries errors, some of them
negative, so at a small delta the "pessimistic" answer falls below the truth. Here every distribution carries `slack`, a
bound on how far its delta may lie below the real one, and it is added before delta is shown or inverted.

What `slack` counts: 4e-15 a step for the single-step curve (each value a difference of two numbers of at most 1, each
within a few ulp; composing with any distribution cannot enlarge the error), and for a transform of length L with
n factors of total mass 1 and result y, (n + 1) sqrt(L) eta |y|_2 twice over, eta = 8 ulp log2(L): each transformed
value is off by at most eta times the total mass, and |e|_1 <= sqrt(L) |e|_2.
"""

import math
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from importlib import metadata
from typing import Any

import numpy as np

from spikeveil.host.extras import install_command
from spikeveil.host.privacy.loss_bounds import loss_window, split_losses

DP_ACCOUNTING = "0.6.0"  # its faults are worked around one by one, so the version is part of the claim
FINEST = 2.0**-20  # in nats; every grid is a power of two times this, so that two can always meet
_STEP_ERROR = 4e-15
_CUT = 1e-40  # probability left outside the window on either side, counted as an infinite loss
_ULP = float(np.finfo(np.float64).eps)


class AccountingMissing(ImportError):  # noqa: N818, named for what it is
    """dp-accounting is not installed, or not in the version whose faults are known."""


def _library() -> Any:
    """dp-accounting's `privacy_loss_distribution` module; the import takes seconds, so only on use."""
    try:
        found = metadata.version("dp-accounting")
    except metadata.PackageNotFoundError:
        found = "none"
    if found != DP_ACCOUNTING:
        raise AccountingMissing(
            f"privacy-loss distributions need dp-accounting {DP_ACCOUNTING} ({install_command('accounting')}), "
            f"found {found}"
        )
    from dp_accounting.pld import privacy_loss_distribution

    return privacy_loss_distribution


def _dense(distribution: Any) -> Any:
    """The same distribution as arrays: a sparse one takes size ** count to compose, and meets no array."""
    return type(distribution)(distribution._pmf_remove.to_dense_pmf(), distribution._pmf_add.to_dense_pmf())


def grid_for(spread: float, width: float) -> float:
    """The discretisation interval, in nats, for a loss with standard deviation `spread` over a range of `width`.

    A 64th of the spread, coarser where the range would take over 300,000 points; a power of two times `FINEST`.
    """
    wanted = max(spread / 64, width / 3e5, FINEST)
    return FINEST * float(2.0 ** math.floor(math.log2(wanted / FINEST)))


def _norm(distribution: Any) -> float:
    """sqrt(L) eta |y|_2 of a distribution that came out of a transform, the larger of its two directions."""
    worst = 0.0
    for pmf in (distribution._pmf_remove, distribution._pmf_add):
        values = np.asarray(pmf._probs)
        length = 2.0 * len(values)  # the transform is the next fast length
        worst = max(worst, math.sqrt(length) * 8 * _ULP * math.log2(length) * float(np.linalg.norm(values)))
    return worst


@dataclass(frozen=True)
class Pld:
    """A privacy-loss distribution for both directions of a neighbouring pair, and a bound on its arithmetic.

    `distribution` is dp-accounting's object, `grid` its interval in nats, `slack` the most by which the delta it
    gives may be too small. Made by `gaussian_pld` and `flip_pld`.
    """

    distribution: Any
    grid: float
    slack: float

    def compose(self, count: int) -> "Pld":
        """`count` (1 or more) independent or adaptively chosen copies."""
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise ValueError(f"composition count must be an integer of 1 or more, not {count!r}")
        if count == 1:
            return self
        composed = self.distribution.self_compose(count)
        return Pld(composed, self.grid, count * self.slack + 2 * (count + 1) * _norm(composed))

    def __add__(self, other: "Pld") -> "Pld":
        """Both mechanisms on the same data; the two grids must be equal."""
        if self.grid != other.grid:
            raise ValueError(f"privacy-loss grids must be equal to compose, not {self.grid!r} and {other.grid!r}")
        composed = self.distribution.compose(other.distribution)
        return Pld(composed, self.grid, self.slack + other.slack + 6 * _norm(composed))

    def delta(self, epsilon: float) -> float:
        """delta at `epsilon` (0 or more), from above."""
        if not epsilon >= 0:
            raise ValueError(f"epsilon must be 0 or more, not {epsilon!r}")
        if math.isinf(epsilon):
            return 0.0
        return min(1.0, (float(self.distribution.get_delta_for_epsilon(epsilon)) + self.slack) * (1 + 64 * _ULP))

    def epsilon(self, delta: float) -> float:
        """The smallest epsilon at `delta` in [0, 1), from above; infinite at delta = 0.

        Raises ValueError where delta lies within the arithmetic's own error, for which the Rényi bound is the way.
        """
        if not 0 <= delta < 1:
            raise ValueError(f"delta must be 0 or more and less than 1, not {delta!r}")
        if delta == 0:
            return math.inf
        if delta <= 2 * self.slack:
            raise ValueError(
                f'delta must be more than {2 * self.slack:.1e} here for method "pld", not {delta!r}: use method "rdp"'
            )
        epsilon, more = float(self.distribution.get_epsilon_for_delta(delta - self.slack)), 1e-12
        while self.delta(epsilon) > delta:  # the library's inverse sums in another order than its delta
            epsilon, more = epsilon + more, 2 * more
        return epsilon if epsilon < 700 or math.isinf(epsilon) else self._tightened(epsilon, delta)

    def _tightened(self, high: float, delta: float) -> float:
        """The library's inverse stops where exp(-loss) underflows: bisect on its delta instead."""
        low = 0.0
        while high - low > 1e-12 * high:
            middle = (low + high) / 2
            low, high = (middle, high) if self.delta(middle) > delta else (low, middle)
        return high


@lru_cache(maxsize=32)
def gaussian_pld(rate: float, noise: float, grid: float) -> Pld:
    """One Poisson-sampled Gaussian step; arguments as in `gaussian.sampled_gaussian_rdp`, `grid` in nats."""
    distribution = _library().from_gaussian_mechanism(
        noise, sampling_prob=rate, value_discretization_interval=grid, pessimistic_estimate=True
    )
    return Pld(_dense(distribution), grid, _STEP_ERROR)


def flip_width(p: Fraction, count: int) -> float:
    """The range of losses, in nats, that `flip_pld` keeps."""
    return float(loss_window(p, count, _CUT).drops[-1])


def flip_pld(p: Fraction, count: int, grid: float) -> Pld:
    """`count` (1 or more) randomised responses of flip probability p < 1/2 together: exact weights, rounded up.

    Each loss is split onto its two neighbours on the grid as in `composition`, so delta can only rise, by an amount of
    second order in `grid`. Both directions are equal.
    """
    library = _library()
    from dp_accounting.pld.pld_pmf import DensePLDPmf

    window = loss_window(p, count, _CUT)
    highest = math.ceil(window.top / Decimal(grid))
    above = float(highest * Decimal(grid) - window.top) * (1 - 4 * _ULP)  # losses may only move up
    weights = split_losses(window.weights, window.drops + above, grid)
    pmf = DensePLDPmf(grid, highest - len(weights) + 1, weights[::-1].copy(), window.infinite_weight, True)
    return Pld(library.PrivacyLossDistribution(pmf, pmf), grid, 0.0)
