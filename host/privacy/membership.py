"""Membership-inference audit with confidence bounds. It can show a leak; it cannot show that there is none."""

import math
from collections.abc import Callable, Sequence
from typing import Any, TypedDict

import numpy as np
from numpy.typing import ArrayLike, NDArray


class AuditResult(TypedDict):
    """Result of the attack on its test samples, on which it was not tuned.

    | field | meaning |
    |---|---|
    | `accuracy` | balanced accuracy: mean of the true-positive and the true-negative rate |
    | `vulnerable` | accuracy > 0.55; False does not mean that the model is safe, only that this attack failed |
    | `accuracy_low`, `accuracy_high` | bounds on the accuracy, valid together with probability `confidence` |
    | `confidence` | joint confidence of all bounds |
    | `epsilon_low` | lower bound: the model is not (e, delta)-DP for any e below it; 0: no conclusion |
    | `delta` | delta of `epsilon_low` |
    | `member_confidence`, `non_member_confidence` | mean of the largest model output over all samples |
    | `tested` | number of test samples |

    `epsilon_low` presumes that an adversary may choose the samples.
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

    run_fn: sample -> the model's outputs (array-like of any shape, at least one finite number). The largest output is
    the model's confidence. run_fn is called once per sample.

    Samples with even index tune the attack (threshold and direction); samples with odd index test it. An attack that
    is tested on its tuning samples beats 50 % on any model. Tutorial 62 as published reports the accuracy only. Because
    a hundred samples of each kind cannot distinguish 0.50 from 0.60, this audit adds Clopper-Pearson bounds.
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
        """Attack the model with at least 2 member and 2 non-member samples (first axis: sample).

        confidence: joint confidence of all bounds, strictly between 0 and 1. delta: of `epsilon_low`, in [0, 1).
        ValueError for any other argument.
        """
        if not 0 < confidence < 1:
            raise ValueError(f"audit confidence must be above 0 and under 1, not {confidence!r}")
        if not 0 <= delta < 1:
            raise ValueError(f"audit delta must be 0 or more and under 1, not {delta!r}")
        members, non_members = (
            self._scores(name, xs) for name, xs in (("member", member_samples), ("non-member", non_member_samples))
        )
        threshold, members_above = _tune(members[::2], non_members[::2])
        positives, negatives = members[1::2], non_members[1::2]
        true_positives = int(np.sum((positives > threshold) == members_above))
        true_negatives = int(np.sum((negatives > threshold) != members_above))
        sensitivity_low, sensitivity_high = clopper_pearson(true_positives, len(positives), confidence)
        specificity_low, specificity_high = clopper_pearson(true_negatives, len(negatives), confidence)
        accuracy = (true_positives / len(positives) + true_negatives / len(negatives)) / 2
        return AuditResult(
            accuracy=accuracy,
            vulnerable=accuracy > 0.55,
            accuracy_low=(sensitivity_low + specificity_low) / 2,
            accuracy_high=(sensitivity_high + specificity_high) / 2,
            confidence=confidence,
            epsilon_low=max(
                _epsilon_low(sensitivity_low, 1 - specificity_low, delta),
                _epsilon_low(specificity_low, 1 - sensitivity_low, delta),
            ),
            delta=delta,
            member_confidence=float(np.mean(members)),
            non_member_confidence=float(np.mean(non_members)),
            tested=len(positives) + len(negatives),
        )

    def _scores(self, name: str, samples: Sequence[Any] | NDArray[Any]) -> NDArray[np.float64]:
        if len(samples) < 2:
            raise ValueError(f"audit needs at least 2 {name} samples, not {len(samples)}")
        outputs = [np.asarray(self.run_fn(sample), dtype=np.float64) for sample in samples]
        if any(output.size == 0 or not np.isfinite(output).all() for output in outputs):
            raise ValueError("audit run_fn must return at least one number and only finite ones")
        return np.array([output.max() for output in outputs])


def _tune(members: NDArray[np.float64], non_members: NDArray[np.float64]) -> tuple[float, bool]:
    """The threshold with the best balanced accuracy on these scores, and whether members score above it."""
    thresholds = np.unique(np.concatenate([members, non_members]))
    advantage = (members[:, None] > thresholds).mean(axis=0) - (non_members[:, None] > thresholds).mean(axis=0)
    best = int(np.argmax(np.abs(advantage)))
    return float(thresholds[best]), bool(advantage[best] >= 0)


def clopper_pearson(count: int, trials: int, confidence: float) -> tuple[float, float]:
    """Clopper-Pearson interval with half the error: two intervals are valid together with probability `confidence`."""
    from scipy.special import betaincinv

    tail = (1 - confidence) / 4
    low = 0.0 if count == 0 else float(betaincinv(count, trials - count + 1, tail))
    high = 1.0 if count == trials else float(betaincinv(count + 1, trials - count, 1 - tail))
    return low, high


def _epsilon_low(true_low: float, false_high: float, delta: float) -> float:
    """Lower bound on epsilon: under (epsilon, delta)-DP, true rate <= e^epsilon * false rate + delta for any attack."""
    return max(0.0, math.log((true_low - delta) / false_high)) if true_low > delta else 0.0
