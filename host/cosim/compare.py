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
    | `step` |  |
    | `neuron` |  |
    | `model` | value of the golden model there |
    | `gateware` | value of the gateware there |
    | `count` | number of differences in all |
    """

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
    """The first difference of two (records, steps, neurons) arrays, None where they are equal.

    `first_record`: the number of their first record. ValueError where the shapes differ.
    """
    if model.shape != gateware.shape:
        raise ValueError(f"gateware must have released the shape {model.shape} of the model, not {gateware.shape}")
    different = np.argwhere(model != gateware)
    if not len(different):
        return None
    record, step, neuron = (int(index) for index in different[0])
    expected, actual = (int(array[record, step, neuron]) for array in (model, gateware))
    return SpikeDifference(first_record + record, step, neuron, expected, actual, len(different))
