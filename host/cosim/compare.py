"""Golden model and gateware side by side: equal in every bit, or the first place where they are not."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class SpikeDifference:
    """The first place, in the order of release, where two rasters differ, and how many places there are."""

    record: int
    step: int
    neuron: int
    model: int
    gateware: int
    count: int

    def __str__(self) -> str:
        return (
            f"record {self.record}, step {self.step}, neuron {self.neuron}: the model has {self.model}, the gateware "
            f"{self.gateware} ({self.count} different in all)"
        )


def first_difference(model: NDArray[Any], gateware: NDArray[Any], first_record: int = 0) -> SpikeDifference | None:
    """None where both (records, steps, neurons) are equal. ValueError where their shapes differ."""
    if model.shape != gateware.shape:
        raise ValueError(f"gateware must have released the shape {model.shape} of the model, not {gateware.shape}")
    places = np.argwhere(model != gateware)
    if not len(places):
        return None
    record, step, neuron = (int(index) for index in places[0])
    expected, found = (int(array[record, step, neuron]) for array in (model, gateware))
    return SpikeDifference(first_record + record, step, neuron, expected, found, len(places))
