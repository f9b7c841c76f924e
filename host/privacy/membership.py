"""A membership-inference audit with confidence bounds: what an attack found, never that nothing can be found."""

import math
from collections.abc import Callable, Sequence
from typing import Any, TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray


class AuditResult(TypedDict):
    """What the attack achieved on samples it was not tuned on; probabilities unless said otherwise.

    accuracy: mean of the shares of members and of non-members told correctly. vulnerable: accuracy > 0.55; False
    means that THIS attack on THESE samples stayed under that line, not that the model is safe. accuracy_low,
    accuracy_high: bounds that hold together with probability `confidence`. epsilon_low: with that probability too,
    the model is not (e, delta)-differentially private for any e below it, where the samples are what an adversary may
    choose; 0 says nothing. member_confidence, non_member_confidence: mean largest output over all samples, in the
    model's own units. tested: samples the figures rest on.
    """

    accuracy: float
    vulnerable: bool
    accuracy_low: float
    accuracy_high: float
    confidence: float
    epsilon_low: float
    delta: float
    member_confidence: float
    non_member_confidence: float
    tested: int


class MembershipAudit:
    """Threshold attack on a model's confidence: was this sample in the training set?

    run_fn: sample -> the model's outputs (array-like of any shape, at least one finite number; the largest is taken as
    its confidence). It is called once a sample.

    The samples with even position tune the attack (threshold and direction), those with odd position test it: an
    attack tested on what it was tuned on beats 50 % on any model. Published Tutorial 62 shows accuracy alone; a
    hundred samples a side cannot tell 0.50 from 0.60, so bounds (Clopper, Pearson) stand beside it here.
    """

    def __init__(self, run_fn: Callable[[Any], ArrayLike]) -> None:
        if not callable(run_fn):
            raise ValueError(f"audit run_fn must be callable, not {run_fn!r}")
        self.run_fn = run_fn

    def audit(
        self,
        member_samples: Sequence[Any] | NDArray[Any],
        non_member_samples: Sequence[Any] | NDArray[Any],
        *,
        confidence: float = 0.95,
        delta: float = 1e-5,
    ) -> AuditResult:
        """Attack with the given samples (at least 2 of each; first axis = sample). ValueError for bad arguments.

        confidence: of all bounds together, strictly between 0 and 1. delta: for `epsilon_low`, in [0, 1).
        """
        if not 0 < confidence < 1:
            raise ValueError(f"audit confidence must be above 0 and under 1, not {confidence!r}")
        if not 0 <= delta < 1:
            raise ValueError(f"audit delta must be 0 or more and under 1, not {delta!r}")
        members, others = (
            self._scores(name, xs) for name, xs in (("member", member_samples), ("non-member", non_member_samples))
        )
        threshold, higher = _tuned(members[::2], others[::2])
        caught = int(np.sum((members[1::2] > threshold) == higher))
        cleared = int(np.sum((others[1::2] > threshold) != higher))
        hits, passes = len(members[1::2]), len(others[1::2])
        (caught_low, caught_high), (cleared_low, cleared_high) = (
            clopper_pearson(caught, hits, confidence),
            clopper_pearson(cleared, passes, confidence),
        )
        accuracy = (caught / hits + cleared / passes) / 2
        return AuditResult(
            accuracy=accuracy,
            vulnerable=accuracy > 0.55,
            accuracy_low=(caught_low + cleared_low) / 2,
            accuracy_high=(caught_high + cleared_high) / 2,
            confidence=confidence,
            epsilon_low=max(
                _epsilon_low(caught_low, 1 - cleared_low, delta), _epsilon_low(cleared_low, 1 - caught_low, delta)
            ),
            delta=delta,
            member_confidence=float(np.mean(members)),
            non_member_confidence=float(np.mean(others)),
            tested=hits + passes,
        )

    def _scores(self, name: str, samples: Sequence[Any] | NDArray[Any]) -> NDArray[np.float64]:
        if len(samples) < 2:
            raise ValueError(f"audit needs at least 2 {name} samples, not {len(samples)}")
        outputs = [np.asarray(self.run_fn(sample), dtype=np.float64) for sample in samples]
        if any(output.size == 0 or not np.isfinite(output).all() for output in outputs):
            raise ValueError("audit run_fn must return at least one number and only finite ones")
        return np.array([output.max() for output in outputs])


def _tuned(members: NDArray[np.float64], others: NDArray[np.float64]) -> tuple[float, bool]:
    """The threshold and whether members score above it, with the best balanced accuracy on these scores."""
    cuts = np.unique(np.concatenate([members, others]))
    above = (members[:, None] > cuts).mean(axis=0) - (others[:, None] > cuts).mean(axis=0)
    best = int(np.argmax(np.abs(above)))
    return float(cuts[best]), bool(above[best] >= 0)


def clopper_pearson(count: int, trials: int, confidence: float) -> tuple[float, float]:
    """Clopper-Pearson at half the error, so that two of them hold together with probability `confidence`."""
    from scipy.special import betaincinv

    tail = (1 - confidence) / 4
    low = 0.0 if count == 0 else float(betaincinv(count, trials - count + 1, tail))
    high = 1.0 if count == trials else float(betaincinv(count + 1, trials - count, 1 - tail))
    return low, high


def _epsilon_low(true_low: float, false_high: float, delta: float) -> float:
    """(epsilon, delta)-DP forces true <= e^epsilon false + delta for any attack."""
    return max(0.0, math.log((true_low - delta) / false_high)) if true_low > delta else 0.0
