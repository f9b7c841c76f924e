"""Decoder from released spikes to classes: post-processing, which costs no privacy."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikeveil.pysim.model import checks


def class_counts(spikes: ArrayLike, classes: int) -> NDArray[np.int64]:
    """Spikes of each class over the whole record: (records, steps, neurons) to (records, classes).

    With g = neurons / classes, neurons c*g to (c+1)*g - 1 count for class c. Raises ValueError where `spikes` has
    another number of dimensions, or its neurons are not a multiple of `classes`.
    """
    classes = checks.integer("decoder classes", classes, 1, 1 << 16)
    array = np.asarray(spikes)
    if array.ndim != 3:
        raise ValueError(f"decoder spikes must have shape (records, steps, neurons), not {array.shape}")
    records, steps, neurons = array.shape
    if neurons == 0 or neurons % classes:
        raise ValueError(f"decoder neurons must be a multiple of the {classes} classes, not {neurons}")
    counts: NDArray[np.int64] = array.reshape(records, steps, classes, -1).sum(axis=(1, 3), dtype=np.int64)
    return counts


def classify(spikes: ArrayLike, classes: int) -> NDArray[np.int64]:
    """The class with the most spikes, the lowest of several: (records, steps, neurons) to (records,).

    The flipper turns a count of n out of m into p*m + (1 - 2p)*n on average, which rises with n for p < 1/2, so
    estimating the raw counts first (debiasing) would choose the same class.
    """
    best: NDArray[np.int64] = class_counts(spikes, classes).argmax(axis=1).astype(np.int64)
    return best


def decide(released: NDArray[Any], classes: int) -> NDArray[np.int64]:
    """The class of each record (records,), of whatever a network releases.

    Spikes (records, steps, neurons) bool: see `classify`. Potentials of a readout (records, steps, neurons) integers:
    the highest of the last step. Decisions (records,) integers are themselves, one-hot words (records, classes) the
    lowest bit that is set. ValueError where the neurons are no multiple of `classes`.
    """
    array = np.asarray(released)
    if array.ndim == 1:
        return array.astype(np.int64)
    if array.ndim == 3 and array.dtype == np.bool_:
        return classify(array, classes)
    rows = array[:, -1] if array.ndim == 3 else array
    best: NDArray[np.int64] = rows.argmax(axis=1).astype(np.int64)
    return best


def accuracy(predicted: NDArray[np.int64], labels: NDArray[np.int64]) -> float:
    """The share of records, 0 to 1, whose prediction is the label; both (records,), one or more."""
    if predicted.shape != labels.shape or predicted.ndim != 1 or not len(labels):
        raise ValueError(f"predicted classes must have the shape of the labels {labels.shape}, not {predicted.shape}")
    return float(np.mean(predicted == labels))
