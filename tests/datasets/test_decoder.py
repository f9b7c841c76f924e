"""The decoder: counts and classes by hand."""

import numpy as np
import pytest

from spikeveil.host.data import accuracy, class_counts, classify, decide

SPIKES = np.array(
    [
        [[1, 0, 0, 1, 1, 1], [0, 0, 0, 1, 0, 0]],  # class counts 1, 2, 2: the lowest of the two
        [[0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 1]],  # 0, 0, 2
        [[0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]],  # nothing: class 0
    ]
)


def test_counts_by_hand() -> None:
    assert class_counts(SPIKES.astype(bool), 3).tolist() == [[1, 2, 2], [0, 0, 2], [0, 0, 0]]
    assert class_counts(SPIKES, 2).tolist() == [[1, 4], [0, 2], [0, 0]]


def test_most_spikes_win_and_the_lowest_class_of_several() -> None:
    assert classify(SPIKES, 3).tolist() == [1, 2, 0]


def test_accuracy_is_the_share_of_equal_entries() -> None:
    assert accuracy(np.array([1, 2, 0, 3]), np.array([1, 2, 1, 3])) == 0.75


@pytest.mark.parametrize(
    ("shape", "classes", "sentence"),
    [
        ((2, 6), 3, "decoder spikes must have shape (records, steps, neurons), not (2, 6)"),
        ((1, 2, 6), 4, "decoder neurons must be a multiple of the 4 classes, not 6"),
        ((1, 2, 0), 4, "decoder neurons must be a multiple of the 4 classes, not 0"),
        ((1, 2, 6), 0, "decoder classes must be 1 to 65536, not 0"),
    ],
)
def test_refusals(shape: tuple[int, ...], classes: int, sentence: str) -> None:
    with pytest.raises(ValueError) as caught:
        classify(np.zeros(shape, bool), classes)
    assert str(caught.value) == sentence


def test_accuracy_of_other_shapes_is_refused() -> None:
    with pytest.raises(ValueError) as caught:
        accuracy(np.array([1, 2]), np.array([1, 2, 3]))
    assert str(caught.value) == "predicted classes must have the shape of the labels (3,), not (2,)"


def test_the_class_of_whatever_is_released() -> None:
    assert decide(SPIKES.astype(bool), 3).tolist() == [1, 2, 0]
    assert decide(np.array([2, 0, 1]), 3).tolist() == [2, 0, 1]
    assert decide(np.array([[0, 1, 1], [0, 0, 0], [0, 0, 1]], bool), 3).tolist() == [1, 0, 2]
    assert decide(np.array([[[9, 0, 0], [-3, -1, -2]]]), 3).tolist() == [1]  # the last step's potentials
