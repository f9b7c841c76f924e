"""From a privacy target to the decision that meets it, the accuracy to expect, and the records that shares need."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from spikeveil.host.privacy.binomial import check_count
from spikeveil.host.privacy.budget import exact_amount
from spikeveil.host.privacy.decisions import epsilon_of_decisions
from spikeveil.host.privacy.frequency import half_width, reports_for
from spikeveil.host.privacy.plan import accuracy_ceiling
from spikeveil.pysim.model import checks
from spikeveil.pysim.model.decision import MAX_BITS, Decision, describe

__all__ = [
    "DecisionPlan",
    "decision_ceiling",
    "decision_plan_dict",
    "expected_accuracy",
    "half_width",
    "make_decision_plan",
    "reports_for",
]


def expected_accuracy(decision: Decision, raw: float) -> float:
    """How often a k-ary decision is right where the winner is right with probability `raw`, 0 to 1.

    a (1 - r) + (1 - a) r / (c - 1) with r = (c - 1) q / 2^w: the winner is kept, or the right class is among the
    others. ValueError for a `raw` out of range.
    """
    if not 0 <= raw <= 1:
        raise ValueError(f"raw accuracy must be 0 to 1, not {raw!r}")
    return raw * float(decision.winner_probability) + (1 - raw) * float(decision.other_probability)


def decision_ceiling(decision: Decision) -> float:
    """No classifier that sees one decision about a record is right more often (`accuracy_ceiling`)."""
    return accuracy_ceiling(decision.epsilon, 0, decision.classes)


@dataclass(frozen=True)
class DecisionPlan:
    """The k-ary decision with the smallest q that keeps `releases` decisions about one record within the target.

    target, delta: the wanted epsilon and delta of all of them together, at record level. decision: the mechanism.
    """

    target: Fraction
    delta: Fraction
    releases: int
    decision: Decision

    @property
    def epsilon(self) -> float:
        """The realised epsilon of all decisions about one record, at `total_delta`, rounded up."""
        return epsilon_of_decisions(self.decision, self.releases, self.total_delta)

    @property
    def total_delta(self) -> Fraction:
        """The delta of all decisions about one record: 0 where there is one."""
        return self.delta if self.releases > 1 else Fraction(0)

    def ceiling(self, releases: int) -> float:
        """No classifier that sees `releases` decisions about a record is right more often (`accuracy_ceiling`)."""
        delta = self.delta if releases > 1 else Fraction(0)
        return accuracy_ceiling(epsilon_of_decisions(self.decision, releases, delta), delta, self.decision.classes)


def make_decision_plan(
    epsilon: object, delta: object, classes: int, releases: int = 1, bits: int = MAX_BITS
) -> DecisionPlan:
    """The plan for `releases` decisions about one record, within (`epsilon`, `delta`) together.

    epsilon, delta: read as the decimals that were typed. Raises ValueError for a value out of range, and where no q
    that the words allow meets the target.
    """
    target, slack = exact_amount("target epsilon", epsilon), exact_amount("delta", delta)
    if slack >= 1:
        raise ValueError(f"delta must be under 1, not {delta!r}")
    checks.integer("releases", check_count(releases), 1, 10**12)

    def plan(q: int) -> DecisionPlan:
        return DecisionPlan(target, slack, releases, Decision(classes, q, bits))

    low, high = 1, (1 << Decision(classes, 1, bits).bits) // classes
    if (least := plan(high).epsilon) > target:
        raise ValueError(
            f"target epsilon must be at least {least:.6g} for {classes} classes and {bits}-bit words, not {epsilon!r}"
        )
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if Fraction(plan(middle).epsilon) <= target else (middle + 1, high)
    return plan(low)


def decision_plan_dict(plan: DecisionPlan, raw: float | None = None, width: float | None = None) -> dict[str, Any]:
    """A plan, ready for JSON, with the accuracy to expect from `raw`, and the records for shares of that half-width."""
    return {
        "unit": "record",
        "decision": describe(plan.decision),
        "record_epsilon": plan.epsilon,
        "delta": float(plan.total_delta),
        "releases": plan.releases,
        "epsilon_one_release": plan.decision.epsilon,
        "accuracy_ceiling": plan.ceiling(plan.releases),
        "accuracy_ceiling_one_release": plan.ceiling(1),
        "raw_accuracy": raw,
        "expected_accuracy": None if raw is None else expected_accuracy(plan.decision, raw),
        "half_width": width,
        "records": None if width is None else reports_for(plan.decision, width),
    }
