"""A linear operation that is given as code, as a dense matrix: the step from convolutions to a layer of weights."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Linear = Callable[[NDArray[Any]], NDArray[Any]]


def dense_matrix(
    apply: Linear, inputs: int, outputs: int, *, name: str, max_weights: int, block: int, dtype: Any = np.float64
) -> NDArray[Any]:
    """The matrix (outputs, inputs) of a linear function, from its values on the unit vectors.

    | argument | meaning |
    |---|---|
    | `apply` | the function: (batch, inputs) to (batch, outputs), without a constant term |
    | `inputs`, `outputs` | numbers in and out |
    | `name` | what messages call it |
    | `max_weights` | most weights of the matrix |
    | `block` | unit vectors in one batch |
    | `dtype` | type of the unit vectors and of the matrix |

    ValueError where the matrix would have more than `max_weights` weights; nothing is computed then.
    """
    if inputs * outputs > max_weights:
        raise ValueError(f"{name} must have at most {max_weights} weights as a dense layer, not {outputs} x {inputs}")
    matrix = np.empty((outputs, inputs), dtype)
    for start in range(0, inputs, block):
        count = min(block, inputs - start)
        units = np.zeros((count, inputs), dtype)
        units[np.arange(count), start + np.arange(count)] = 1
        matrix[:, start : start + count] = apply(units).T
    return matrix
