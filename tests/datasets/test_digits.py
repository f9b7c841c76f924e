"""The digits images and their fixed split, held against scikit-learn's own copy."""

import sys

import numpy as np
import pytest
from sklearn import datasets

from spikeveil.host.data import DataMissing, load_digits


def test_the_split_is_a_partition_of_the_images() -> None:
    images, labels = datasets.load_digits(return_X_y=True)
    data = load_digits()
    parts = ((data.train_images, data.train_labels), (data.test_images, data.test_labels))
    rows, whole = np.vstack([np.column_stack(part) for part in parts]), np.column_stack((images, labels))
    np.testing.assert_array_equal(rows[np.lexsort(rows.T)], whole[np.lexsort(whole.T)])


def test_shapes_types_and_range() -> None:
    data = load_digits()
    assert (data.train_images.shape, data.test_images.shape) == ((1437, 64), (360, 64))
    assert (data.train_labels.shape, data.test_labels.shape) == ((1437,), (360,))
    assert (data.test_images.dtype, data.test_labels.dtype) == (np.uint8, np.int64)
    assert (data.train_images.min(), data.train_images.max()) == (0, 16)


def test_every_class_has_its_share_of_the_test_images() -> None:
    """A fifth of each class, to within one image."""
    data = load_digits()
    whole = np.bincount(datasets.load_digits().target)
    np.testing.assert_array_less(np.abs(np.bincount(data.test_labels) - whole * 360 / 1797), 1)


def test_the_split_never_moves() -> None:
    assert load_digits().test_labels[:12].tolist() == [1, 9, 4, 6, 9, 7, 6, 2, 5, 6, 0, 6]
    np.testing.assert_array_equal(load_digits().test_images, load_digits().test_images)


def test_missing_scikit_learn_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(DataMissing) as caught:
        load_digits()
    assert str(caught.value) == "the digits images need scikit-learn: pip install '.[data]' in the checkout"
