"""The 8x8 handwritten digits of scikit-learn, with one fixed split."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAXIMUM = 16  # of a pixel's intensity
PIXELS = 64
CLASSES = 10
TEST_IMAGES = 360
SPLIT_SEED = 2026


class DataMissing(ImportError):  # noqa: N818, named for what it is
    """The images are not installed."""


@dataclass(frozen=True)
class Digits:
    """Images (records, 64) uint8, intensities 0 to 16, row by row; labels (records,) int64, 0 to 9."""

    train_images: NDArray[np.uint8]
    train_labels: NDArray[np.int64]
    test_images: NDArray[np.uint8]
    test_labels: NDArray[np.int64]


def load_digits() -> Digits:
    """The 1,797 images of scikit-learn's `load_digits`: 1,437 to train on and 360 to test, always the same.

    The images are the test part of the Optical Recognition of Handwritten Digits set of the UCI repository, which
    scikit-learn carries, so nothing is downloaded. The split is `train_test_split` with `test_size=360`, stratified
    by class and seeded with 2026. Raises DataMissing where scikit-learn is not installed.
    """
    try:
        from sklearn import datasets, model_selection
    except ImportError:
        raise DataMissing("the digits images need scikit-learn: pip install 'spikeveil[data]'") from None
    images, labels = datasets.load_digits(return_X_y=True)
    train_images, test_images, train_labels, test_labels = model_selection.train_test_split(
        images.astype(np.uint8),
        labels.astype(np.int64),
        test_size=TEST_IMAGES,
        stratify=labels,
        random_state=SPLIT_SEED,
    )
    return Digits(train_images, train_labels, test_images, test_labels)
