"""A float layer in units of its own, so that the units of a file change no integer."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeveil.host.networks.float_model import FloatLayer

GRID = 2e-5  # of an integer: weights so close to multiples of one number are multiples of it
PROBE = 64  # weights looked at before all are


def canonical(floats: FloatLayer) -> tuple[FloatLayer, float]:
    """The layer in units of its own, and the factor to them: so that the file's units change no integer.

    Where all weights are multiples of one number, up to 128 times it, they become those multiples; else the largest
    weight becomes 1 or -1. A layer without weights is measured in its threshold.
    """
    largest = float(np.abs(floats.weights).max())
    if largest == 0:
        return _times(floats, 1 / float(np.max(floats.threshold)))
    shares = floats.weights.astype(np.float64) / largest
    few = shares.ravel()[:PROBE]
    for multiple in range(1, (1 << 7) + 1):
        if is_whole(few * multiple) and is_whole(shares * multiple):
            exact, factor = _times(floats, multiple / largest)
            return replace(exact, weights=np.rint(exact.weights)), factor
    return _times(floats, 1 / largest)


def is_whole(values: NDArray[np.float64]) -> bool:
    """Whether all values are integers but for the rounding of floats."""
    return bool((np.abs(values - np.rint(values)) <= GRID).all())


def is_grid(floats: FloatLayer) -> bool:
    """Whether a canonical layer has integer weights."""
    return bool((floats.weights == np.rint(floats.weights)).all()) and bool(floats.weights.any())


def _times(floats: FloatLayer, factor: float) -> tuple[FloatLayer, float]:
    """All numbers times `factor`, and the factor; numbers close to a multiple of 1/256 become that."""
    fields: dict[str, Any] = {
        name: np.asarray(getattr(floats, name), np.float64) * factor
        for name in ("weights", "bias", "threshold", "initial", "reset_potential")
    }
    for name in ("bias", "threshold", "initial", "reset_potential"):
        whole = np.rint(fields[name] * 256) / 256
        close = np.abs(fields[name] - whole) <= 4e-7 * np.abs(whole)
        fields[name] = np.where(close, whole, fields[name])
    return replace(floats, **fields), factor
