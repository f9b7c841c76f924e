"""Figures of the decisions of `spikeveil demo`: accuracy beside its bounds, class shares, a smaller epsilon."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeveil.host.cli.demo_comparison import Comparison
from spikeveil.host.networks.digits_example import CLASSES
from spikeveil.host.privacy.decision_plan import decision_ceiling, expected_accuracy, half_width, reports_for
from spikeveil.host.privacy.frequency import Shares, estimate_shares
from spikeveil.pysim import Decision

CONFIDENCE = 0.95
SMALL_EPSILON = 1.0
TYPICAL_SHARE = 1 / CLASSES
HALF_WIDTH = 0.02


@dataclass(frozen=True, eq=False)
class DecisionFigures:
    """Decisions of the gateware, scored and counted.

    | field | meaning |
    |---|---|
    | `decision` | the mechanism |
    | `raw_accuracy` | how often the raw winner is right |
    | `accuracy` | how often the decision is right |
    | `shares` | estimated shares of the classes that the network decides |
    | `true` | (classes,): the shares of the raw winners, which stay on the chip |
    """

    decision: Decision
    raw_accuracy: float
    accuracy: float
    shares: Shares
    true: NDArray[np.float64]

    @classmethod
    def of(cls, comparison: Comparison, labels: NDArray[np.int64]) -> "DecisionFigures":
        """The figures of a core that decides, on records of the true classes `labels`."""
        decision, winners = comparison.core.plan.spec.decision, comparison.model.winners
        if not isinstance(decision, Decision) or winners is None:
            raise ValueError(f"demo core must release class numbers, not {comparison.core.plan.spec.decision!r}")
        released = comparison.result.released
        true = np.bincount(winners, minlength=CLASSES) / len(winners)
        accuracies = float(np.mean(winners == labels)), float(np.mean(released == labels))
        return cls(decision, *accuracies, estimate_shares(released, decision, CONFIDENCE), true)

    @property
    def expected_accuracy(self) -> float:
        """The accuracy to expect of these decisions."""
        return expected_accuracy(self.decision, self.raw_accuracy)

    @property
    def ceiling(self) -> float:
        """The highest accuracy of any mechanism of this record epsilon."""
        return decision_ceiling(self.decision)

    def to_dict(self) -> dict[str, Any]:
        """All of it, ready for JSON."""
        return {
            "record_epsilon": self.decision.epsilon,
            "delta": 0.0,
            "accuracy": self.accuracy,
            "expected_accuracy": self.expected_accuracy,
            "accuracy_ceiling": self.ceiling,
            "raw_accuracy": self.raw_accuracy,
            "confidence": self.shares.confidence,
            "shares": self.shares.shares.tolist(),
            "low": self.shares.low.tolist(),
            "high": self.shares.high.tolist(),
            "true_shares": self.true.tolist(),
        }


@dataclass(frozen=True)
class SmallEpsilon:
    """What a smaller record epsilon makes of the same `records`: a wider interval, or more records for the same one."""

    records: int

    @property
    def decision(self) -> Decision:
        """The decision of record epsilon `SMALL_EPSILON`."""
        return Decision.for_epsilon(SMALL_EPSILON, classes=CLASSES)

    @property
    def half_width(self) -> float:
        """Half-width of the interval of a class that one record in ten has."""
        return half_width(self.decision, self.records, CONFIDENCE, TYPICAL_SHARE)

    @property
    def ceiling(self) -> float:
        """The highest accuracy of any mechanism of this record epsilon."""
        return decision_ceiling(self.decision)

    def records_needed(self, share: float | None = TYPICAL_SHARE) -> int:
        """Records for an interval of `HALF_WIDTH` to either side, of a class of that share; None: of any share."""
        return reports_for(self.decision, HALF_WIDTH, CONFIDENCE, share)

    def to_dict(self) -> dict[str, Any]:
        """All of it, ready for JSON."""
        return {
            "record_epsilon": self.decision.epsilon,
            "delta": 0.0,
            "records": self.records,
            "accuracy_ceiling": self.ceiling,
            "half_width": self.half_width,
            "share": TYPICAL_SHARE,
            "wanted_half_width": HALF_WIDTH,
            "records_needed": self.records_needed(),
            "records_needed_whatever_the_share": self.records_needed(None),
        }
