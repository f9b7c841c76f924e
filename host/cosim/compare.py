"""Comparison of released arrays: of the golden model and of the gateware."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class SpikeDifference:
    """The first difference of two released arrays, in the order of release.

    | field | meaning |
    |---|---|
    | `record` | record, step and neuron of the first difference |
    | `step` | None for decisions |
    | `neuron` | None for class numbers |
    | `model` | value of the golden model there |
    | `gateware` | value of the gateware there |
    | `count` | number of differences in all |
    """

    record: int
    step: int | None
    neuron: int | None
    model: int
    gateware: int
    count: int

    def __str__(self) -> str:
        places = {"record": self.record, "step": self.step, "neuron": self.neuron}
        place = ", ".join(f"{name} {number}" for name, number in places.items() if number is not None)
        return f"{place}: the model has {self.model}, the gateware {self.gateware} ({self.count} different in all)"


def first_difference(model: NDArray[Any], gateware: NDArray[Any], first_record: int = 0) -> SpikeDifference | None:
    """The first difference of two (records, steps, neurons) arrays, None where they are equal.

    Decisions are (records,), or (records, neurons) bits of one-hot words. `first_record`: the number of their first
    record. ValueError where the shapes differ.
    """
    if model.shape != gateware.shape:
        raise ValueError(f"gateware must have released the shape {model.shape} of the model, not {gateware.shape}")
    different = np.argwhere(model != gateware)
    if not len(different):
        return None
    index = tuple(int(number) for number in different[0])
    expected, actual = (int(array[index]) for array in (model, gateware))
    step = index[1] if len(index) == 3 else None
    neuron = index[-1] if len(index) > 1 else None
    return SpikeDifference(first_record + index[0], step, neuron, expected, actual, len(different))
