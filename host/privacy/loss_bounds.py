"""Upper bounds of the privacy loss of several groups of releases, on one grid.

Groups have loss lattices with no common step. While their windows have at most 2^17 joint outcomes these are listed;
beyond that each group's losses are moved once onto one grid of at most 2^14 steps over all windows, and the groups are
convolved (directly, without FFT: small probabilities keep their relative precision). Every rounding raises the result:

- **Splitting.** An outcome of probability w and loss x between the grid points a < x < b becomes two, of losses b
  and a and probabilities w t and w (1 - t), t = (1 - e^(a-x)) / (1 - e^(a-b)). This keeps the probability under the
  other input, w e^(-x), as well; so the old pair of distributions is a post-processing of the new one (merge the two
  outcomes) and the new delta(epsilon) is at least the old one, also under further composition. It is the best such
  discretisation (Doroshenko et al. 2022, "Connect the Dots"): for one group delta stays exact at the grid points and
  follows the chord, in e^epsilon, between them.
- **Cutting.** delta = E[(1 - e^(epsilon - loss))_+] grows with every probability and every loss. High losses outside a
  group's window therefore count as infinite (their probability is added to delta) and low ones are raised to the
  window's lowest.
- **Floats.** Window weights carry the bound of `binomial`. A position on the grid is off by at most 5u of the width
  and t by that over 1 - e^-step, which is added to both parts; the cell is chosen so that an error can only raise a
  loss. A convolution of n non-negative terms is off by (n + 2)u at most and is raised by twice that. u = 2^-53.

Cut probabilities are together below 2^-30 of delta.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

import numpy as np

from spikeveil.host.privacy.binomial import Terms, float_up, log_pmf, log_ratio, precise
from spikeveil.host.privacy.decisions import MAX_EXACT, dominating_flip, loss_weights
from spikeveil.pysim.model.decision import RandomisedDecision

GRID = 1 << 14  # steps
LISTED = 1 << 17  # joint outcomes
LEAST_DELTA = 1e-280  # below it floats underflow: a smaller delta is treated as 0

_U = 2.0**-53
_UP = Decimal(1) + Decimal("1e-30")


@dataclass(frozen=True, eq=False)
class LossBounds:
    """Upper bounds of a loss distribution: weights[j] of loss top - drops[j], `infinite_weight` of infinite loss."""

    top: Decimal
    drops: Terms
    weights: Terms
    infinite_weight: float

    @classmethod
    def of(
        cls,
        groups: tuple[tuple[Fraction, int], ...],
        cut: float,
        decisions: tuple[tuple[RandomisedDecision, int], ...] = (),
    ) -> "LossBounds":
        """All groups together; outcomes of probability at most `cut` in sum are counted as infinite losses."""
        share = cut / (2 * (len(groups) + len(decisions)))
        windows = [loss_window(p, n, share) for p, n in groups]
        windows += [decision_window(decision, n, share) for decision, n in decisions]
        joined = _listed(windows) if math.prod(len(w.drops) for w in windows) <= LISTED else _convolved(windows)
        with precise():
            top = sum((window.top for window in windows), Decimal(0)) * _UP
        underflow = LEAST_DELTA * 2.0**-40  # above all products of weights that floats cannot hold
        lost = sum(window.infinite_weight for window in windows) * (1 + 64 * _U) + underflow
        return cls(top, *joined, lost)

    def _delta(self, gap: float) -> float:
        """Delta at epsilon = top - gap."""
        above = gap * (1 + 4 * _U) - self.drops * (1 - 16 * _U)
        terms = self.weights * -np.expm1(-np.maximum(above, 0.0))
        return float(np.sum(terms)) * (1 + (len(terms) + 64) * _U) + self.infinite_weight

    def delta(self, epsilon: float) -> float:
        with precise():
            gap = self.top - Decimal(epsilon)
        return min(1.0, self._delta(float_up(gap))) if gap > 0 else self.infinite_weight

    def epsilon(self, delta: float) -> float:
        low, high = 0.0, float_up(self.top)
        while (middle := (low + high) / 2) not in (low, high):
            if self._delta(middle) <= delta:
                low = middle
            else:
                high = middle
        with precise():
            return max(0.0, float_up((self.top - Decimal(low)) * _UP))


def loss_window(p: Fraction, m: int, cut: float) -> LossBounds:
    """The likely outcomes of `m` responses; what lies outside on either side has probability at most `cut`."""
    rise, fall = float((1 - p) / p), float(p / (1 - p))
    mode = math.floor((m + 1) * p)
    with precise():
        peak = float_up(log_pmf(p, m, mode).exp() * _UP)
    fewer, lost = _falling(lambda j: (mode - j + 1) * rise / (m - mode + j), mode, cut / peak)
    more, raised = _falling(lambda j: (m - mode - j + 1) * fall / (mode + j), m - mode, cut / peak)
    weights = np.concatenate([fewer[:0:-1], more]) * peak * (1 + 4 * _U)
    weights[-1] += raised * peak * 1.01
    first = mode - (len(fewer) - 1)
    with precise():
        loss, top = log_ratio(p), (m - 2 * first) * log_ratio(p)
    drops = 2 * float(loss) * np.arange(len(weights), dtype=np.float64)
    return LossBounds(top, drops, weights, lost * peak * 1.01)


def decision_window(decision: RandomisedDecision, count: int, cut: float) -> LossBounds:
    """The same of `count` decisions, whose losses are multiples of the epsilon of one."""
    if count > MAX_EXACT:
        return loss_window(dominating_flip(decision), count, cut)
    with precise():
        exact = loss_weights(decision, count)
        first, skipped = _tail(exact[:count], cut / 2)
        last, raised = _tail(exact[:count:-1], cut / 2)
        terms = exact[first : len(exact) - last]
        terms[-1] += raised
        weights = np.array([max(float_up(weight), 2.0**-1000) for weight in terms])
        loss = log_ratio(dominating_flip(decision))
        drops = float(loss) * np.arange(len(weights), dtype=np.float64)
        return LossBounds((count - first) * loss, drops, weights, float_up(skipped))


def _tail(weights: list[Decimal], cut: float) -> tuple[int, Decimal]:
    """How many of the first `weights` have a sum of at most `cut`, and that sum."""
    total = Decimal(0)
    for index, weight in enumerate(weights):
        if total + weight > cut:
            return index, total
        total += weight
    return len(weights), total


def _falling(ratio: Callable[[Terms], Terms], last: int, cut: float) -> tuple[Terms, float]:
    """Upper bounds of w_0 = 1, w_j = w_{j-1} ratio(j), j <= last, until the rest is at most `cut`; and that rest."""
    blocks, weight, start, size, rest = [np.ones(1)], 1.0, 1, 1024, 0.0
    while start <= last:
        stop = min(start + size, last + 1)
        block = np.maximum(weight * np.cumprod(ratio(np.arange(start, stop, dtype=np.float64))), 2.0**-1000)
        following = float(ratio(np.array([stop], dtype=np.float64))[0])
        blocks.append(block.astype(np.float64))
        weight, start, size = float(block[-1]), stop, min(2 * size, 1 << 16)
        rest = 2 * weight * following / max(1 - following, 2.0**-30) if stop <= last else 0.0
        if following < 1 - 2.0**-30 and rest <= cut / 2:
            break
    terms = np.concatenate(blocks) * (1 + (8 * start + 64) * _U)
    rests = np.append(np.cumsum(terms[::-1])[-2::-1], 0.0) * (1 + start * _U) + rest  # of all terms after each
    kept = int(np.argmax(rests <= cut)) + 1
    return terms[:kept], float(rests[kept - 1])


def _listed(windows: list[LossBounds]) -> tuple[Terms, Terms]:
    """Drops and upper weights of every joint outcome; a drop is off by a few u, which `LossBounds` allows for."""
    drops, weights = np.zeros(1), np.ones(1)
    for window in windows:
        drops = np.add.outer(drops, window.drops).ravel()
        weights = np.multiply.outer(weights, window.weights).ravel() * (1 + 4 * _U)
    return drops, weights


def _convolved(windows: list[LossBounds]) -> tuple[Terms, Terms]:
    """Drops and upper weights of the sum of all losses, on one grid of `GRID` steps."""
    step = sum(float(window.drops[-1]) for window in windows) / GRID
    weights, terms = np.ones(1), 1
    for window in windows:
        part = split_losses(window.weights, window.drops, step)
        weights, terms = np.convolve(weights, part), terms + min(len(weights), len(part)) + 64
    return np.arange(len(weights), dtype=np.float64) * step, weights * (1 + 2 * terms * _U)


def split_losses(weights: Terms, drops: Terms, step: float) -> Terms:
    """Move each weight onto the two grid points around its drop (grid step `step`, in nats); both parts rounded up."""
    below = np.floor(drops * (1 - 8 * _U) / step)
    share = np.clip(np.expm1(drops - (below + 1) * step) / math.expm1(-step), 0.0, 1.0)
    slack = 16 * _U * (float(drops[-1]) + step) / -math.expm1(-step) + 16 * _U
    index, size = below.astype(np.int64), int(below[-1]) + 2
    upper = np.bincount(index, weights * np.minimum(share + slack, 1.0), size)
    lower = np.bincount(index + 1, weights * np.minimum(1 - share + slack, 1.0), size)
    return np.asarray((upper + lower) * (1 + (len(weights) + 8) * _U))
