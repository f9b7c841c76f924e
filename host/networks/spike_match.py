"""How well the spikes of two networks agree: spikes matched one to one, and the F1 score of the matches."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Spikes = NDArray[np.bool_]


@dataclass(frozen=True)
class SpikeMatch:
    """Counts of one layer over all records, steps and neurons; `reference` are the spikes to be reproduced.

    | field | meaning |
    |---|---|
    | `reference`, `found` | spikes of each side |
    | `exact` | spikes of both in the same step |
    | `near` | pairs of spikes of one neuron at most one step apart, each spike in one pair at most |
    """

    reference: int
    found: int
    exact: int
    near: int

    @classmethod
    def of(cls, reference: Spikes, found: Spikes) -> "SpikeMatch":
        """Match two arrays (records, steps, neurons). ValueError where their shapes differ."""
        if reference.shape != found.shape:
            raise ValueError(f"spikes must have shape {reference.shape} to be matched, not {found.shape}")
        near = matched_within_a_step(reference, found)
        return cls(int(reference.sum()), int(found.sum()), int((reference & found).sum()), near)

    @property
    def f1(self) -> float:
        """2 near / (reference + found): 1 where both are silent, 0 where one is."""
        return self._f1(self.near)

    @property
    def exact_f1(self) -> float:
        """As `f1`, of the spikes in the same step."""
        return self._f1(self.exact)

    @property
    def precision(self) -> float:
        """The share of the found spikes that are matched; 1 where there are none."""
        return self.near / self.found if self.found else 1.0

    @property
    def recall(self) -> float:
        """The share of the reference's spikes that are matched; 1 where there are none."""
        return self.near / self.reference if self.reference else 1.0

    @property
    def lost(self) -> float:
        """By what share there are fewer spikes than in the reference; 0 where there are more."""
        return max(0.0, 1 - self.found / self.reference) if self.reference else 0.0

    @property
    def silent(self) -> str | None:
        """Which side has no spike: `both`, `reference` or `found`; None where both have."""
        if self.reference and self.found:
            return None
        return "both" if self.reference == self.found else "found" if self.reference else "reference"

    def to_dict(self) -> dict[str, Any]:
        """The scores as plain data."""
        names = ("f1", "exact_f1", "precision", "recall", "lost", "silent", "reference", "found")
        return {name: getattr(self, name) for name in names}

    def _f1(self, matches: int) -> float:
        total = self.reference + self.found
        return 2 * matches / total if total else 1.0


def matched_within_a_step(reference: Spikes, found: Spikes) -> int:
    """Pairs of spikes at most a step apart, one to one for each neuron: the most that there can be.

    Each spike of the reference, earliest first, takes the earliest spike of the other side that is free. Windows of
    equal length make that greedy choice the best one.
    """
    a = np.moveaxis(reference, 1, 0)
    free = np.moveaxis(found, 1, 0).copy()  # matched spikes are cleared
    matched, steps = 0, len(a)
    for t in range(steps):
        unmatched = a[t]
        for other in range(max(0, t - 1), min(steps, t + 2)):
            pairs = unmatched & free[other]
            free[other] &= ~pairs
            unmatched = unmatched & ~pairs
            matched += int(pairs.sum())
    return matched
