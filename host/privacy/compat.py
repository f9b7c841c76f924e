"""The privacy classes of sc_neurocore's Tutorial 62, safe by default: change the import line and its code runs.

    from spikeveil.host.privacy.compat import MembershipAudit, PrivacyAccountant, SpikeLevelDP

Names, arguments and results are the tutorial's. What differs, and why, is in each class and in docs/tutorial-compat.md.
"""

import math
import os
import warnings
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeveil.host.privacy.budget import BudgetExceeded, exact_amount
from spikeveil.host.privacy.mechanisms import RandomizedResponse, SpikeSubsampling
from spikeveil.host.privacy.membership import AuditResult, MembershipAudit
from spikeveil.host.privacy.units import Unit

__all__ = [
    "AuditResult",
    "BudgetExhausted",
    "MembershipAudit",
    "NoPrivacy",
    "PerSpikeCharge",
    "PrivacyAccountant",
    "SpikeLevelDP",
]

_BITS = 16


class BudgetExhausted(UserWarning):
    """The privacy budget is spent: the next step that costs anything is refused."""


class NoPrivacy(UserWarning):
    """What was asked for gives no differential privacy; its epsilon is booked as infinite."""


class PerSpikeCharge(UserWarning):
    """One spike's epsilon was charged although a raster of many spikes was released."""


class SpikeEpsilon(float):
    """The epsilon of ONE spike, remembering how many spikes were released with it: a float for all else."""

    spikes: int = 0
    record: float = 0.0

    @classmethod
    def of(cls, epsilon: float, spikes: int) -> "SpikeEpsilon":
        value = cls(epsilon)
        value.spikes, value.record = spikes, epsilon * spikes
        return value


class SpikeLevelDP:
    """Noise on binary spikes. `mechanism` "randomized_response" flips each with probability about 1/(1+e^epsilon).

    epsilon: 0 or more, finite, of ONE SPIKE. The flip probability is threshold/2^16 with the smallest threshold whose
    exact epsilon is at or under the one asked for (`response`).

    Other than in the tutorial:

    - **No default seed.** Each mask is fresh from the operating system's generator. The published default of 42 gives
      two instances the same mask, and two releases under one mask cancel it: (x XOR m) XOR (y XOR m) = x XOR y. A
      `seed` may still be given to repeat an experiment; it warns (`NoPrivacy`) and the epsilon is then infinite.
    - **`per_step_epsilon` is per spike.** A raster of n spikes costs more: `raster_epsilon`.
    - **"subsampling" is not differentially private** (a released 1 proves a spike). It runs as there (each spike is
      kept with probability about e^epsilon/(1+e^epsilon)), warns, and its epsilon is infinite.
    """

    def __init__(self, epsilon: float = 1.0, mechanism: str = "randomized_response", seed: int | None = None) -> None:
        if isinstance(epsilon, bool) or not isinstance(epsilon, int | float) or not 0 <= epsilon < math.inf:
            raise ValueError(f"epsilon must be 0 or more and finite, not {epsilon!r}")
        if mechanism not in ("randomized_response", "subsampling"):
            raise ValueError(f"mechanism must be randomized_response or subsampling, not {mechanism!r}")
        self.epsilon, self.mechanism = float(epsilon), mechanism
        self.response = RandomizedResponse.for_epsilon(self.epsilon, _BITS)
        self._seeded = None if seed is None else np.random.default_rng(seed)
        self._largest = 0
        if mechanism == "subsampling":
            self._warn("spike subsampling is not differentially private: a released spike proves a spike")
        if seed is not None:
            self._warn("anyone who knows the seed can recompute a seeded mask; it also cancels in a second release")

    @staticmethod
    def _warn(message: str) -> None:
        warnings.warn(f"{message} (epsilon is infinite)", NoPrivacy, stacklevel=3)

    @property
    def flip_prob(self) -> float:
        """The exact flip probability, a float."""
        return float(self.response.flip_probability)

    @property
    def per_step_epsilon(self) -> float:
        """Epsilon of ONE SPIKE, as asked for (the real one is at or under it); infinite where there is no privacy."""
        if self.mechanism == "subsampling" or self._seeded is not None:
            return math.inf
        return SpikeEpsilon.of(self.epsilon, self._largest)

    def raster_epsilon(self, shape: tuple[int, ...], delta: float = 0.0) -> float:
        """Epsilon of a whole raster of this shape at `delta` (record level: every spike may differ), rounded up."""
        if math.isinf(self.per_step_epsilon):
            return math.inf
        return self.response.epsilon_composed(math.prod(shape), delta)

    def privatize(self, spikes: NDArray[Any]) -> NDArray[np.int8]:
        """The noisy spikes, int8 in the shape of `spikes`, which may hold only 0 and 1 (else ValueError)."""
        raw = np.asarray(spikes)
        if raw.dtype.kind not in "biuf" or not np.isin(raw, (0, 1)).all():
            raise ValueError("spikes must be an array of 0 and 1 only")
        words = self._words(raw.size).reshape(raw.shape)
        chosen = words < self.response.threshold
        self._largest = max(self._largest, raw.size)
        if self.mechanism == "subsampling":
            return (raw.astype(bool) & ~chosen).astype(np.int8)
        return (raw.astype(bool) ^ chosen).astype(np.int8)

    def _words(self, count: int) -> NDArray[np.uint16]:
        if self._seeded is not None:
            return self._seeded.integers(0, 1 << _BITS, count, dtype=np.uint16)
        return np.frombuffer(os.urandom(2 * count), dtype=np.uint16)

    @property
    def subsampling(self) -> SpikeSubsampling:
        """What "subsampling" is worth: delta = the keep probability, epsilon infinite."""
        return SpikeSubsampling(1 - self.response.flip_probability)


class PrivacyAccountant:
    """A running sum of epsilons under a limit (pure composition: sound for any order and choice of mechanisms).

    target_epsilon: the limit, 0 or more. target_delta: noted for the reader; a sum of epsilons needs none.

    Other than in the tutorial: amounts are exact decimals, so ten steps of 0.1 exhaust 1.0; a step that would go
    over the limit raises `BudgetExceeded` and changes nothing; the step that uses up the limit warns
    (`BudgetExhausted`, through `warnings.warn`); a step of infinite, negative or undefined epsilon is a ValueError.
    A step charged with `SpikeLevelDP.per_step_epsilon` after a raster was released warns once (`PerSpikeCharge`): it
    covers one spike of it, not the record. `record_raster` charges the record.

    Kept in memory only and for one process: use `spikeveil.host.privacy.Ledger` for anything real.
    """

    def __init__(self, target_epsilon: float = 1.0, target_delta: float = 1e-5) -> None:
        self._limit = exact_amount("target epsilon", target_epsilon)
        if exact_amount("target delta", target_delta) >= 1:
            raise ValueError(f"target delta must be under 1, not {target_delta!r}")
        self.target_epsilon, self.target_delta = float(target_epsilon), float(target_delta)
        self._spent, self._steps, self._told = Fraction(0), 0, False

    def record_step(self, step_epsilon: float) -> None:
        """Charge one step. Raises `BudgetExceeded` (nothing charged) where it does not fit."""
        self._tell_unit(step_epsilon)
        self._charge(exact_amount("step epsilon", float(step_epsilon)), Unit.SPIKE)

    def record_raster(self, mechanism: SpikeLevelDP, shape: tuple[int, ...]) -> None:
        """Charge one release of a whole raster, at record level and delta = 0: its spikes times their epsilon."""
        cost = mechanism.raster_epsilon(shape)
        if math.isinf(cost):
            raise ValueError("step epsilon must be finite: this mechanism is not differentially private")
        self._charge(Fraction(cost), Unit.RECORD)

    def _charge(self, asked: Fraction, unit: Unit) -> None:
        if self._spent + asked > self._limit:
            raise BudgetExceeded(self._limit, self._spent, asked, unit)
        self._spent += asked
        self._steps += 1
        if self.budget_exhausted:
            text = f"privacy budget exhausted: {_shown(self._spent)} of {_shown(self._limit)} after {self._steps} steps"
            warnings.warn(text, BudgetExhausted, stacklevel=3)

    def _tell_unit(self, step_epsilon: float) -> None:
        if self._told or not isinstance(step_epsilon, SpikeEpsilon) or step_epsilon.spikes < 2:
            return
        self._told = True
        warnings.warn(
            f"epsilon {float(step_epsilon)!r} covers one spike of the {step_epsilon.spikes} released together: the "
            f"whole record costs up to {step_epsilon.record!r} (record_raster charges it)",
            PerSpikeCharge,
            stacklevel=3,
        )

    @property
    def spent_epsilon(self) -> float:
        """The sum so far."""
        return float(self._spent)

    @property
    def remaining_epsilon(self) -> float:
        """What is left, 0 or more."""
        return float(self._limit - self._spent)

    @property
    def budget_exhausted(self) -> bool:
        """Whether nothing is left."""
        return self._spent >= self._limit

    def summary(self) -> str:
        """The tutorial's four lines. They name no unit: charged with `per_step_epsilon`, the figures are per spike."""
        mean = self._spent / self._steps if self._steps else Fraction(0)
        return (
            f"Total ε consumed: {_shown(self._spent)} / {_shown(self._limit)}\n"
            f"Steps taken: {self._steps}\n"
            f"ε per step: {_shown(mean)}\n"
            f"Budget status: {'EXHAUSTED' if self.budget_exhausted else 'ACTIVE'}"
        )


def _shown(amount: Fraction) -> str:
    """At most 6 decimals, rounded up, at least one."""
    return str(math.ceil(amount * 10**6) / 10**6)
