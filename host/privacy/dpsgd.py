"""DP-SGD: training with clipped per-example gradients, Gaussian noise and Poisson-sampled batches."""

import math
from dataclasses import dataclass
from fractions import Fraction
from numbers import Integral, Real
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from spikeveil.host.privacy import gdp
from spikeveil.host.privacy.gaussian import MIN_NOISE, sampled_gaussian_curve, sampled_gaussian_rdp
from spikeveil.host.privacy.rdp import least_delta, least_epsilon

if TYPE_CHECKING:
    from spikeveil.host.privacy.pld import Pld

Method = Literal["pld", "rdp", "clt"]
METHODS: dict[str, str] = {
    "pld": "sound bound (privacy-loss distribution)",
    "rdp": "sound bound (Rényi, moments accountant)",
    "clt": "APPROXIMATION (central limit, Gaussian DP): not a bound",
}


def _whole(name: str, value: object, least: int) -> int:
    if isinstance(value, bool | np.bool_) or not isinstance(value, Integral):
        raise ValueError(f"{name} must be an integer, not {value!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, not {value}")
    return int(value)


@dataclass(frozen=True)
class DpSgd:
    """What one step of DP-SGD does to the data, and what a whole run of it costs.

    One step: every one of the `dataset_size` examples enters the batch on its own with probability
    q = batch_size / dataset_size (Poisson sampling; `batch_size` is the EXPECTED size); each chosen example's
    gradient is clipped to an L2 norm of at most C; to their sum is added Gaussian noise of standard deviation
    `noise_multiplier` * C in every coordinate; the result moves the weights. C itself cancels.

    Unit: the training example. Neighbouring data sets differ by one example added or removed. The guarantee is for
    everything the run reveals: all intermediate weights.

    It holds only if (1) batches really are Poisson-sampled, not shuffled and cut; (2) the clip bounds each
    example's whole gradient, summed over every use of it in the step; (3) the sum is divided by a constant, not by the
    size of the batch drawn; (4) `steps` counts ALL steps of the run: a checkpoint chosen by its accuracy, a
    restart or a tuning run owes its steps too.

    `noise_multiplier` is finite and at least 0.05, the sizes are integers, 1 <= batch_size <= dataset_size; anything
    else raises ValueError.
    """

    noise_multiplier: float
    batch_size: int
    dataset_size: int

    def __post_init__(self) -> None:
        noise = self.noise_multiplier
        if isinstance(noise, bool | np.bool_) or not isinstance(noise, Real):
            raise ValueError(f"noise multiplier must be a number, not {noise!r}")
        if not MIN_NOISE <= noise < math.inf:
            raise ValueError(f"noise multiplier must be at least {MIN_NOISE} and finite, not {noise!r}")
        object.__setattr__(self, "noise_multiplier", float(noise))
        object.__setattr__(self, "dataset_size", _whole("dataset size", self.dataset_size, 1))
        object.__setattr__(self, "batch_size", _whole("batch size", self.batch_size, 1))
        if self.batch_size > self.dataset_size:
            raise ValueError(f"batch size must be at most the dataset size {self.dataset_size}, not {self.batch_size}")

    @property
    def sampling_rate(self) -> float:
        """q = batch_size / dataset_size, rounded up to a float."""
        exact = Fraction(self.batch_size, self.dataset_size)
        nearest = float(exact)
        return nearest if Fraction(nearest) >= exact else math.nextafter(nearest, 1.0)

    def steps(self, epochs: int) -> int:
        """Steps in `epochs` passes, epochs * dataset_size / batch_size; must come out whole, else ValueError."""
        count = Fraction(_whole("epochs", epochs, 0) * self.dataset_size, self.batch_size)
        if count.denominator != 1:
            raise ValueError(f"steps in {epochs} epochs must be a whole number, not {float(count):.6g}: give the steps")
        return count.numerator

    def mu(self, steps: int) -> float:
        """The central-limit mu after `steps`, q sqrt(steps (exp(1/sigma^2) - 1)). An APPROXIMATION: see `gdp`."""
        return gdp.clt_mu(self.batch_size / self.dataset_size, self.noise_multiplier, _whole("steps", steps, 0))

    def rdp(self, order: float) -> float:
        """Rényi divergence of ONE step at `order` > 1, in nats, rounded up."""
        return sampled_gaussian_rdp(order, self.sampling_rate, self.noise_multiplier)

    def rdp_curve(self, steps: int = 1) -> NDArray[np.float64]:
        """Rényi divergence of `steps` steps at each of `rdp.ORDERS`, float64, for adding to other curves."""
        count = _whole("steps", steps, 0)
        return count * sampled_gaussian_curve(self.sampling_rate, self.noise_multiplier)

    def grid(self, steps: int) -> float:
        """The discretisation interval, in nats, that suits the privacy-loss distribution of `steps` steps."""
        from spikeveil.host.privacy.pld import grid_for

        spread = self.mu(1)
        one = 10 / self.noise_multiplier + 0.5 / self.noise_multiplier**2
        total = spread * math.sqrt(_whole("steps", steps, 1))
        return grid_for(min(spread, 1.0), one + min(total, 1e3) * 20 + min(total, 1e3) ** 2)

    def pld(self, steps: int, grid: float | None = None) -> "Pld":
        """The privacy-loss distribution of `steps` (1 or more) steps, for composing with others on the same `grid`.

        Raises `AccountingMissing` where dp-accounting is not installed.
        """
        from spikeveil.host.privacy.pld import gaussian_pld

        count = _whole("steps", steps, 1)
        step = gaussian_pld(self.sampling_rate, self.noise_multiplier, self.grid(count) if grid is None else grid)
        return step.compose(count)

    def epsilon(self, steps: int, delta: float, method: Method = "pld") -> float:
        """epsilon of the WHOLE run of `steps` steps at `delta`.

        "pld" (default) and "rdp" are upper bounds, rounded up; "pld" is the tighter and needs dp-accounting.
        "clt" is the central-limit figure of the literature, an APPROXIMATION that may lie below the true value: show
        it as such, never let it decide anything. delta is in [0, 1); at 0 the answer is infinite.
        """
        count = self._question(steps, method)
        if not 0 <= delta < 1:
            raise ValueError(f"delta must be 0 or more and less than 1, not {delta!r}")
        if count == 0:
            return 0.0
        if method == "clt":
            return gdp.epsilon_from_mu(self.mu(count), delta)
        if method == "rdp":
            return least_epsilon(self.rdp_curve(count), lambda order: count * self.rdp(order), delta)
        return self.pld(count).epsilon(delta)

    def delta(self, steps: int, epsilon: float, method: Method = "pld") -> float:
        """delta of the WHOLE run of `steps` steps at `epsilon` (0 or more); `method` as in `epsilon`."""
        count = self._question(steps, method)
        if not epsilon >= 0:
            raise ValueError(f"epsilon must be 0 or more, not {epsilon!r}")
        if count == 0:
            return 0.0
        if method == "clt":
            return gdp.delta_from_mu(self.mu(count), epsilon)
        if method == "rdp":
            return least_delta(self.rdp_curve(count), lambda order: count * self.rdp(order), epsilon)
        return self.pld(count).delta(epsilon)

    def statement(self, steps: int, delta: float, method: Method = "pld") -> str:
        """The claim in one paragraph: unit, epsilon, delta, what is counted, how it was bounded, its conditions."""
        epsilon = self.epsilon(steps, delta, method)
        return (
            f"unit: one training example, added or removed; epsilon {_up(epsilon)} at delta {delta:g} for all {steps}"
            f" steps of the run, {METHODS[method]}; noise multiplier {self.noise_multiplier:g}, Poisson sampling at"
            f" rate {self.batch_size}/{self.dataset_size}; released: every intermediate weight; against: anyone,"
            " whatever else they know; valid only for batches sampled so and per-example gradients clipped to the norm"
            " that the noise is scaled by"
        )

    @staticmethod
    def _question(steps: int, method: str) -> int:
        if method not in METHODS:
            raise ValueError(f"method must be one of {', '.join(METHODS)}, not {method!r}")
        return _whole("steps", steps, 0)


def _up(epsilon: float) -> str:
    """Four decimals, rounded up."""
    return f"{math.ceil(epsilon * 10**4) / 10**4:.4f}" if math.isfinite(epsilon) else "infinite"
