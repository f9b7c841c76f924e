"""Randomised responses and DP-SGD runs together: one epsilon for data that met both.

The same data set may train a network (Gaussian steps) and be shown to a device (flipped spikes). `compose_mixed` bounds
both together, by privacy-loss distributions or by Rényi divergences.

Condition: ONE neighbouring relation for all parts. Neighbours are data sets that differ by one training example, added
or removed, and for the same change no more released bits may differ than the events count (`Unit.bits`; where an
example has spikes in one data set and none in the other, a fixed raster stands in its place). Inputs may depend on
earlier outputs; mechanisms and counts are fixed beforehand.
"""

import math
import operator
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache, reduce
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from spikeveil.host.privacy.bounds import response_rdp
from spikeveil.host.privacy.composition import Composition, compose
from spikeveil.host.privacy.dpsgd import DpSgd
from spikeveil.host.privacy.events import Event
from spikeveil.host.privacy.pld import FINEST, Pld, flip_pld, flip_width
from spikeveil.host.privacy.rdp import ORDERS, least_delta, least_epsilon

Method = Literal["pld", "rdp"]
_POINTS = 2e6


@dataclass(frozen=True)
class Mixed:
    """`responses` released and `trainings` (mechanism, steps; distinct mechanisms) run on the same data."""

    responses: Composition
    trainings: tuple[tuple[DpSgd, int], ...]

    def epsilon(self, delta: float, method: Method = "pld") -> float:
        """An upper bound of the epsilon of everything together at `delta` in [0, 1), rounded up.

        Without trainings it is the exact composition of the responses, whatever the method. "pld" needs
        dp-accounting. Raises ValueError for another method or delta.
        """
        self._check(method)
        if not self.trainings:
            return self.responses.epsilon(delta)
        if method == "rdp":
            return least_epsilon(self.rdp_curve(), self.rdp, delta)
        return self.pld().epsilon(delta)

    def delta(self, epsilon: float, method: Method = "pld") -> float:
        """An upper bound of the delta of everything together at `epsilon` (0 or more); otherwise as `epsilon`."""
        self._check(method)
        if not self.trainings:
            return self.responses.delta(epsilon)
        if method == "rdp":
            return least_delta(self.rdp_curve(), self.rdp, epsilon)
        return self.pld().delta(epsilon)

    def rdp_curve(self) -> NDArray[np.float64]:
        """Rényi divergence of everything together at each of `rdp.ORDERS`, float64, rounded up."""
        curve = np.zeros(len(ORDERS))
        for p, count in self.responses.dominating_groups:
            curve += count * np.array([response_rdp(p, order) for order in ORDERS])
        for mechanism, steps in self.trainings:
            curve += mechanism.rdp_curve(steps)
        return curve * (1 + 1e-13)

    def rdp(self, order: float) -> float:
        """Rényi divergence of everything together at any `order` > 1, in nats, rounded up."""
        responses = sum(count * response_rdp(p, order) for p, count in self.responses.dominating_groups)
        return (responses + sum(steps * one.rdp(order) for one, steps in self.trainings)) * (1 + 1e-13)

    def pld(self) -> Pld:
        """The privacy-loss distribution of everything together; needs at least one training (ValueError)."""
        if not self.trainings:
            raise ValueError("mixed composition needs at least one DP-SGD run, not 0: use the exact composition")
        return _pld(self)

    @staticmethod
    def _check(method: str) -> None:
        if method not in ("pld", "rdp"):
            raise ValueError(f"method must be pld or rdp, not {method!r}: an approximation bounds nothing")


@lru_cache(maxsize=4)
def _pld(mixed: Mixed) -> Pld:
    width = sum(flip_width(p, count) for p, count in mixed.responses.dominating_groups)
    finest = min(mechanism.grid(steps) for mechanism, steps in mixed.trainings)
    grid = FINEST * 2.0 ** max(math.log2(finest / FINEST), math.ceil(math.log2(max(width / _POINTS / FINEST, 1))))
    parts = [mechanism.pld(steps, grid) for mechanism, steps in mixed.trainings]
    parts += [flip_pld(p, count, grid) for p, count in mixed.responses.dominating_groups]
    return reduce(operator.add, parts)


def compose_mixed(events: Iterable[Event]) -> Mixed:
    """The composition of `events`, whose mechanisms are `DpSgd` (count = steps) or purely private.

    Raises `NotPrivate` or `UnsupportedEvent` for any other mechanism.
    """
    flips, steps = [], Counter[DpSgd]()
    for event in events:
        if isinstance(event.mechanism, DpSgd):
            steps[event.mechanism] += event.count
        else:
            flips.append(event)
    trainings = sorted(steps.items(), key=lambda item: (item[0].sampling_rate, item[0].noise_multiplier))
    return Mixed(compose(flips), tuple((mechanism, count) for mechanism, count in trainings if count))
