"""The dense matrix of a linear function: its columns are the values on the unit vectors, block by block."""

import re

import numpy as np
import pytest
from numpy.typing import NDArray

from spikeveil.host.networks import dense_matrix


def pairs(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """(a, b, c) to (a + b, b + 2 c)."""
    return np.stack([x[:, 0] + x[:, 1], x[:, 1] + 2 * x[:, 2]], axis=1)


@pytest.mark.parametrize("block", [1, 2, 3, 99])
def test_the_matrix_of_a_small_function(block: int) -> None:
    matrix = dense_matrix(pairs, 3, 2, name="pairs", max_weights=6, block=block)
    np.testing.assert_array_equal(matrix, [[1, 1, 0], [0, 1, 2]])
    assert matrix.dtype == np.float64 and matrix.flags.c_contiguous


def test_unit_vectors_come_in_blocks_of_the_type() -> None:
    seen: list[tuple[int, ...]] = []

    def apply(x: NDArray[np.float32]) -> NDArray[np.float32]:
        assert x.dtype == np.float32
        np.testing.assert_array_equal(np.sort(x, axis=1)[:, -2:], np.tile([0, 1], (len(x), 1)))
        seen.append(x.shape)
        return x

    matrix = dense_matrix(apply, 5, 5, name="copy", max_weights=25, block=2, dtype=np.float32)
    np.testing.assert_array_equal(matrix, np.eye(5))
    assert matrix.dtype == np.float32
    assert seen == [(2, 5), (2, 5), (1, 5)]


def test_a_matrix_that_is_too_large_is_refused_before_anything_is_computed() -> None:
    sentence = "layer 3 must have at most 5 weights as a dense layer, not 2 x 3"
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        dense_matrix(lambda x: pytest.fail("computed"), 3, 2, name="layer 3", max_weights=5, block=1)
