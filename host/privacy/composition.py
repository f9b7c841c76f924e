"""Composition of different randomised responses and decisions: exact by group, rounded once, upwards.

Equal flip probabilities form a group; a group alone is composed exactly (`binomial`, `decisions`). Several groups are
composed by `loss_bounds`.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from spikeveil.host.privacy.binomial import (
    check_count,
    check_delta,
    check_epsilon,
    delta_of_epsilon,
    epsilon_of_delta,
    float_up,
    log_ratio,
    precise,
)
from spikeveil.host.privacy.decisions import delta_of_decisions, dominating_flip, epsilon_of_decisions
from spikeveil.host.privacy.events import Event, grouped, grouped_decisions
from spikeveil.host.privacy.loss_bounds import LEAST_DELTA, LossBounds
from spikeveil.pysim.model.decision import Decision, OneHotDecision

_UP = Decimal(1) + Decimal("1e-30")
_EMPTY_GROUP = (Fraction(1, 2), 0)


@dataclass(frozen=True)
class Composition:
    """Randomised responses and decisions released together, in any order.

    groups: (flip probability, count) of the responses; decisions: (decision, count).

    Valid when the groups are fixed before the first release; inputs may depend on earlier outputs (adaptive composition
    with fixed parameters). Mechanisms chosen from earlier outputs need `Accountant`. ValueError for a probability
    outside (0, 1/2] or a count that is no integer of 0 or more.
    """

    groups: tuple[tuple[Fraction, int], ...]
    decisions: tuple[tuple[Decision | OneHotDecision, int], ...] = ()

    def __post_init__(self) -> None:
        checked = []
        for p, count in self.groups:
            if isinstance(p, bool) or not isinstance(p, float | Fraction) or not 0 < p <= Fraction(1, 2):
                raise ValueError(f"flip probability must be above 0 and at most 1/2, not {p!r}")
            checked.append((Fraction(p), check_count(count)))
        for decision, count in self.decisions:
            if type(decision) not in (Decision, OneHotDecision):
                raise ValueError(f"decision must be a Decision or a OneHotDecision, not {decision!r}")
            check_count(count)
        object.__setattr__(self, "groups", tuple(checked))

    @property
    def dominating_groups(self) -> tuple[tuple[Fraction, int], ...]:
        """(flip probability, count) of binary responses that dominate everything, one group for each part."""
        return (*self.groups, *((dominating_flip(decision), count) for decision, count in self.decisions))

    @property
    def pure_epsilon(self) -> float:
        """Epsilon at delta = 0: the sum of all epsilons, rounded up."""
        with precise():
            return float_up(sum((n * log_ratio(p) for p, n in self.dominating_groups), Decimal(0)) * _UP)

    def epsilon(self, delta: float | Fraction) -> float:
        """Epsilon of everything together at `delta` (at least 0, under 1), rounded up."""
        if len(self.dominating_groups) < 2:
            return self._epsilon_alone(delta)
        check_delta(delta)
        if delta < LEAST_DELTA:
            return self.pure_epsilon
        allowed = _float_down(delta)
        return min(self.pure_epsilon, LossBounds.of(self.groups, allowed * 2.0**-30, self.decisions).epsilon(allowed))

    def delta(self, epsilon: float | Fraction) -> float:
        """Delta of everything together at `epsilon` (0 or more), rounded up."""
        if len(self.dominating_groups) < 2:
            return self._delta_alone(epsilon)
        check_epsilon(epsilon)
        if epsilon >= self.pure_epsilon:
            return 0.0
        for cut in (1e-24, 1e-60, 1e-120, LEAST_DELTA * 2.0**-30):
            delta = LossBounds.of(self.groups, cut, self.decisions).delta(_float_down(epsilon))
            if delta >= cut * 2.0**30:
                break
        return delta

    def _epsilon_alone(self, delta: float | Fraction) -> float:
        """Of one group or of none."""
        if self.decisions:
            return epsilon_of_decisions(*self.decisions[0], delta)
        return epsilon_of_delta(*(self.groups[0] if self.groups else _EMPTY_GROUP), delta)

    def _delta_alone(self, epsilon: float | Fraction) -> float:
        """Of one group or of none."""
        if self.decisions:
            return delta_of_decisions(*self.decisions[0], epsilon)
        return delta_of_epsilon(*(self.groups[0] if self.groups else _EMPTY_GROUP), epsilon)


def compose(events: Iterable[Event]) -> Composition:
    """The composition of `events`. Raises `NotPrivate` or `UnsupportedEvent` for mechanisms it cannot bound."""
    listed = list(events)
    return Composition(grouped(listed), grouped_decisions(listed))


def _float_down(value: float | Fraction) -> float:
    nearest = float(value)
    return nearest if Fraction(nearest) <= Fraction(value) else math.nextafter(nearest, 0.0)
