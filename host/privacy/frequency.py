"""Shares of classes estimated from many randomised decisions, with intervals.

What is estimated is what the NETWORK decides, not the truth about the records: a network that is wrong is wrong here
too (`correct` inverts a known confusion matrix). With p = P(the winner is reported) and o = P(one given other class is
reported), the unbiased estimate from n reports is (count / n - o) / (p - o) (Warner 1965). Everything here is
post-processing of released decisions and costs no privacy.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from spikeveil.pysim.model import checks
from spikeveil.pysim.model.decision import Decision, OneHotDecision, RandomisedDecision

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ReportCounts:
    """How often each class was reported, and by how many reports; two of the same decision may be added.

    A k-ary report names one class; a one-hot report may name any number of them.
    """

    decision: RandomisedDecision
    counts: NDArray[np.int64]
    reports: int

    @classmethod
    def none(cls, decision: RandomisedDecision) -> "ReportCounts":
        """No report yet."""
        return cls(decision, np.zeros(decision.classes, np.int64), 0)

    @classmethod
    def of(cls, decisions: ArrayLike, decision: RandomisedDecision) -> "ReportCounts":
        """Count released decisions: class numbers (records,), or one-hot words (records, classes).

        Raises ValueError where they are not what `decision` releases.
        """
        if not np.size(np.asarray(decisions)):
            return cls.none(decision)
        if isinstance(decision, Decision):
            numbers = checks.integers("decisions", decisions, ("records",), 0, decision.classes - 1)
            return cls(decision, np.bincount(numbers, minlength=decision.classes).astype(np.int64), len(numbers))
        bits = np.asarray(decisions)
        bits = bits.view(np.uint8) if bits.dtype == np.bool_ else bits
        words = checks.integers("decisions", bits, ("records", decision.classes), 0, 1)
        return cls(decision, words.sum(axis=0, dtype=np.int64), len(words))

    def __add__(self, other: "ReportCounts") -> "ReportCounts":
        if self.decision != other.decision:
            raise ValueError(
                f"reports must be of one decision to be added, not of {self.decision} and {other.decision}"
            )
        return replace(self, counts=self.counts + other.counts, reports=self.reports + other.reports)

    @property
    def kept(self) -> float:
        """p: the probability that the winning class is reported."""
        return float(self.decision.winner_probability)

    @property
    def other(self) -> float:
        """o: the probability that one given other class is reported."""
        return float(self.decision.other_probability)


@dataclass(frozen=True)
class Shares:
    """Estimated shares of the classes, each (classes,) float64; unbiased, so that one may lie below 0 or above 1.

    | field | meaning |
    |---|---|
    | `shares` | the estimates |
    | `covariance` | of the estimates, (classes, classes) |
    | `low`, `high` | each class's own interval at `confidence` |
    | `simultaneous_low`, `..._high` | intervals that hold for all classes at once at `confidence` (Bonferroni) |
    | `reports`, `confidence` | how many reports, and the confidence asked for |
    | `estimand` | what is estimated, in words |
    """

    shares: Floats
    covariance: Floats
    confidence: float
    reports: int
    estimand: str

    @property
    def low(self) -> Floats:
        """Lower ends of the pointwise intervals."""
        return self.shares - self._half_width(1)

    @property
    def high(self) -> Floats:
        """Upper ends of the pointwise intervals."""
        return self.shares + self._half_width(1)

    @property
    def simultaneous_low(self) -> Floats:
        """Lower ends of the simultaneous intervals."""
        return self.shares - self._half_width(len(self.shares))

    @property
    def simultaneous_high(self) -> Floats:
        """Upper ends of the simultaneous intervals."""
        return self.shares + self._half_width(len(self.shares))

    def on_simplex(self) -> Floats:
        """The nearest shares (Euclidean) that are 0 or more and sum to 1; no interval
        goes with them.
        """
        ordered = np.sort(self.shares)[::-1]
        excess = (np.cumsum(ordered) - 1) / np.arange(1, len(ordered) + 1)
        last = np.flatnonzero(ordered > excess)[-1]
        projected: Floats = np.maximum(self.shares - excess[last], 0.0)
        return projected

    def _half_width(self, intervals: int) -> Floats:
        quantile = float(stats.norm.ppf(1 - (1 - self.confidence) / (2 * intervals)))
        return quantile * np.sqrt(np.maximum(np.diag(self.covariance), 0.0))


REPORTING = "shares of the network's decisions among the records that reported"
POPULATION = "shares of the network's decisions in the population that the records were drawn from"


def estimate_shares(
    decisions: ArrayLike | ReportCounts | Sequence[ReportCounts],
    decision: RandomisedDecision | None = None,
    confidence: float = 0.95,
    *,
    population: bool = False,
) -> Shares:
    """Unbiased class shares from released decisions.

    | argument | meaning |
    |---|---|
    | `decisions` | class numbers (records,) or one-hot words (records, classes) of `decision`; or counts of them |
    | `confidence` | of the intervals, above 0 and below 1 |
    | `population` | adds the sampling of the records to the variance; without it, they are the whole of interest |

    Counts of different decisions (devices of different epsilon) are combined by weights that depend on the numbers of
    reports and the mechanisms alone, so the estimate stays unbiased: by the numbers of reports, since the records of
    one group may differ from those of another; with `population`, where all are drawn from one, by precision.

    Raises ValueError, one sentence, for decisions that the mechanism cannot release, for none, and for a mechanism that
    releases all classes alike.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be above 0 and below 1, not {confidence!r}")
    groups = _groups(decisions, decision)
    estimates = [_estimate(group) for group in groups]
    weights = np.array([group.reports / (_design_variance(group) if population else 1.0) for group in groups])
    weights /= weights.sum()
    shares: Floats = np.sum([weight * part for weight, part in zip(weights, estimates, strict=True)], axis=0)
    bounded = np.clip(shares, 0.0, 1.0)
    parts = [_covariance(group, bounded) for group in groups]
    covariance = np.sum([weight**2 * part for weight, part in zip(weights, parts, strict=True)], axis=0)
    if population:
        effective = 1 / np.sum(weights**2 / np.array([group.reports for group in groups]))
        covariance = covariance + (np.diag(bounded) - np.outer(bounded, bounded)) / effective
    reports = sum(group.reports for group in groups)
    return Shares(shares, covariance, confidence, reports, POPULATION if population else REPORTING)


def _groups(
    decisions: ArrayLike | ReportCounts | Sequence[ReportCounts], decision: RandomisedDecision | None
) -> list[ReportCounts]:
    if isinstance(decisions, ReportCounts):
        groups = [decisions]
    elif isinstance(decisions, Sequence) and decisions and all(isinstance(part, ReportCounts) for part in decisions):
        groups = [part for part in decisions if isinstance(part, ReportCounts)]
    elif decision is None:
        raise ValueError("decision must be given for released decisions: without its mechanism they say nothing")
    else:
        groups = [ReportCounts.of(decisions, decision)]  # type: ignore[arg-type]
    groups = [group for group in groups if group.reports]
    if not groups:
        raise ValueError("decisions must hold one report or more, not none")
    if len({group.decision.classes for group in groups}) > 1:
        raise ValueError(f"decisions must be of one number of classes, not {[g.decision.classes for g in groups]}")
    for group in groups:
        if group.kept <= group.other:
            raise ValueError(f"decision must report the winner most often to be estimated from, not {group.decision}")
    return groups


def _estimate(group: ReportCounts) -> Floats:
    estimate: Floats = (group.counts / group.reports - group.other) / (group.kept - group.other)
    return estimate


def _design_variance(group: ReportCounts) -> float:
    """Variance of one report's estimate of a class that nobody has: known before any report."""
    return group.other * (1 - group.other) / (group.kept - group.other) ** 2


def _covariance(group: ReportCounts, shares: Floats) -> Floats:
    """Covariance of the estimates given the winners: [pi p (1-p) + (1-pi) o (1-o)] / (n (p-o)^2) on the diagonal.

    Bits of a one-hot report are independent; a k-ary report names one class, so two classes exclude each other.
    """
    p, o, scale = group.kept, group.other, group.reports * (group.kept - group.other) ** 2
    diagonal = shares * p * (1 - p) + (1 - shares) * o * (1 - o)
    if isinstance(group.decision, OneHotDecision):
        return np.diag(diagonal) / scale
    pair = shares[:, None] + shares[None, :]
    covariance: Floats = -(pair * p * o + (1 - pair) * o * o)
    np.fill_diagonal(covariance, diagonal)
    return covariance / scale


def correct(shares: Shares, confusion: ArrayLike) -> Shares:
    """Shares of the true classes, through the confusion matrix of labelled public records.

    `confusion` (classes, classes): how many of the records of true class t (row) the network decided to be class w
    (column). Its own sampling error is carried into the covariance (delta method), and so is the chance in what the
    network makes of the records that reported; `population` covers that already. Raises ValueError for a matrix that
    is not square, has an empty row, or cannot be inverted.
    """
    classes = len(shares.shares)
    counts = checks.integers("confusion", confusion, (classes, classes), 0, (1 << 62)).astype(np.float64)
    totals = counts.sum(axis=1)
    if (totals == 0).any():
        raise ValueError(f"confusion row {int(np.argmin(totals))} must hold one record or more, not none")
    rates = counts / totals[:, None]
    if np.linalg.cond(rates) > 1e8:
        raise ValueError("confusion must tell the classes apart to be inverted, and two of its rows nearly agree")
    inverse = np.linalg.inv(rates.T)
    corrected: Floats = inverse @ shares.shares
    inner = shares.covariance.copy()
    for truth, (row, total) in enumerate(zip(rates, totals, strict=True)):
        outcomes = np.diag(row) - np.outer(row, row)
        inner += corrected[truth] ** 2 * outcomes / total
        if shares.estimand == REPORTING:
            inner += min(max(corrected[truth], 0.0), 1.0) * outcomes / shares.reports
    covariance: Floats = inverse @ inner @ inverse.T
    estimand = shares.estimand.replace("the network's decisions", "the true classes, by a known confusion matrix,")
    return replace(shares, shares=corrected, covariance=covariance, estimand=estimand)


def half_width(
    decision: RandomisedDecision, reports: int, confidence: float = 0.95, share: float | None = None
) -> float:
    """Half-width of a pointwise interval from `reports` reports, for a class of that share; without one, the largest
    over all shares.
    """
    checks.integer("reports", reports, 1, 1 << 62)
    return _quantile(confidence) * math.sqrt(_variance(decision, share) / reports)


def reports_for(
    decision: RandomisedDecision, half_width: float, confidence: float = 0.95, share: float | None = None
) -> int:
    """Reports after which the pointwise interval of a class of that share is no wider than `half_width` to either side;
    without a share, that of any class, whatever its share.
    """
    if not 1e-12 <= half_width < 1:
        raise ValueError(f"half_width must be at least 1e-12 and below 1, not {half_width!r}")
    return math.ceil(_variance(decision, share) * (_quantile(confidence) / half_width) ** 2)


def _quantile(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be above 0 and below 1, not {confidence!r}")
    return float(stats.norm.ppf(0.5 + confidence / 2))


def _variance(decision: RandomisedDecision, share: float | None) -> float:
    """Of one report; it is linear in the class's share, so without one it is largest at one of the ends."""
    if share is not None and not 0 <= share <= 1:
        raise ValueError(f"share must be 0 to 1, not {share!r}")
    p, o = float(decision.winner_probability), float(decision.other_probability)
    present, absent = p * (1 - p) / (p - o) ** 2, o * (1 - o) / (p - o) ** 2
    return max(present, absent) if share is None else share * present + (1 - share) * absent


def add(parts: Iterable[ReportCounts]) -> list[ReportCounts]:
    """Counts by decision, those of equal decisions added: as many as there are different decisions."""
    sums: dict[Any, ReportCounts] = {}
    for part in parts:
        sums[part.decision] = sums[part.decision] + part if part.decision in sums else part
    return list(sums.values())
