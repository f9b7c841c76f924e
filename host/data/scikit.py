"""What scikit-learn carries: digits, Iris, Breast Cancer; nothing is downloaded."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikeveil.host.data.dataset import DataMissing, Dataset
from spikeveil.host.extras import install_command

SPLIT_SEED = 2026

#: Smallest and largest value of each Iris feature, in cm, from the published description of the data set.
IRIS_BOUNDS = ((4.3, 7.9), (2.0, 4.4), (1.0, 6.9), (0.1, 2.5))

#: Likewise for Breast Cancer Wisconsin (diagnostic): mean, standard error and worst of ten features, in that order.
BREAST_CANCER_BOUNDS = (
    *((6.981, 28.11), (9.71, 39.28), (43.79, 188.5), (143.5, 2501.0), (0.053, 0.163)),
    *((0.019, 0.345), (0.0, 0.427), (0.0, 0.201), (0.106, 0.304), (0.05, 0.097)),
    *((0.112, 2.873), (0.36, 4.885), (0.757, 21.98), (6.802, 542.2), (0.002, 0.031)),
    *((0.002, 0.135), (0.0, 0.396), (0.0, 0.053), (0.008, 0.079), (0.001, 0.03)),
    *((7.93, 36.04), (12.02, 49.54), (50.41, 251.2), (185.2, 4254.0), (0.071, 0.223)),
    *((0.027, 1.058), (0.0, 1.252), (0.0, 0.291), (0.156, 0.664), (0.055, 0.208)),
)


def load_digits() -> Dataset:
    """The 1,797 images (8, 8) of scikit-learn's `load_digits`, intensities 0 to 16: 1,437 to train on, 360 to test.

    They are the test part of the Optical Recognition of Handwritten Digits set of the UCI repository. The split is
    `train_test_split`, stratified by class and seeded with 2026, as for every set here. Raises DataMissing where
    scikit-learn is not installed.
    """
    images, labels = _bundled("load_digits", "digits images")
    return _split("digits", images.astype(np.uint8), labels, test=360, shape=(8, 8), classes=10, maximum=16)


def load_iris() -> Dataset:
    """150 flowers, 4 lengths each, 3 classes: 120 to train on, 30 to test.

    A length becomes 0 to 255 between its published bounds, so that no statistic of the training records leaks into
    the scaling. Raises DataMissing where scikit-learn is not installed.
    """
    table, labels = _bundled("load_iris", "Iris measurements")
    return _split("iris", between(table, IRIS_BOUNDS), labels, test=30, shape=(4,), classes=3)


def load_breast_cancer() -> Dataset:
    """569 biopsies, 30 features each, 0 malignant or 1 benign: 455 to train on, 114 to test; as `load_iris`."""
    table, labels = _bundled("load_breast_cancer", "Breast Cancer measurements")
    return _split("breast-cancer", between(table, BREAST_CANCER_BOUNDS), labels, test=114, shape=(30,), classes=2)


def between(table: ArrayLike, bounds: ArrayLike) -> NDArray[np.uint8]:
    """Real features (records, features) to 0 to 255: 0 at the lower of its `bounds` (features, 2), 255 at the upper.

    Halves up; what lies outside is cut. Bounds must be known without looking at the records: the smallest and largest
    value of private records would be a release of them. Raises ValueError for shapes that do not fit or bounds that
    do not rise.
    """
    values, limits = np.asarray(table, np.float64), np.asarray(bounds, np.float64)
    if values.ndim != 2 or limits.shape != (values.shape[1], 2):
        raise ValueError(f"bounds must have shape (features, 2) for a table {values.shape}, not {limits.shape}")
    low, high = limits.T
    if not (low < high).all():
        raise ValueError(f"bounds must rise, not {limits[~(low < high)][0].tolist()}")
    if not np.isfinite(values).all():
        raise ValueError(f"table must hold finite numbers, not {values[~np.isfinite(values)][0]}")
    scaled: NDArray[np.uint8] = np.floor(np.clip((values - low) / (high - low), 0, 1) * 255 + 0.5).astype(np.uint8)
    return scaled


def _bundled(function: str, what: str) -> tuple[NDArray[Any], NDArray[Any]]:
    try:
        from sklearn import datasets
    except ImportError:
        raise DataMissing(f"the {what} need scikit-learn: {install_command('data')}") from None
    records, labels = getattr(datasets, function)(return_X_y=True)
    return records, labels


def _split(
    name: str,
    records: NDArray[np.uint8],
    labels: NDArray[Any],
    *,
    test: int,
    shape: tuple[int, ...],
    classes: int,
    maximum: int = 255,
) -> Dataset:
    from sklearn import model_selection

    train_images, test_images, train_labels, test_labels = model_selection.train_test_split(
        records, labels.astype(np.int64), test_size=test, stratify=labels, random_state=SPLIT_SEED
    )
    return Dataset(name, train_images, train_labels, test_images, test_labels, shape, classes, maximum)
