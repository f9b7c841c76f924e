"""Encoders from intensities to spikes, in integer arithmetic: training and the device get the same bits."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikeveil.pysim.model import checks


def rate(images: ArrayLike, steps: int, maximum: int = 255) -> NDArray[np.bool_]:
    """Rate coding: (records, pixels) to spikes (records, steps, pixels); brighter pixels fire more often.

    A pixel of intensity v (an integer, 0 to `maximum`) fires c = round(steps * v / maximum) times, halves up, as
    evenly as whole steps allow: its train is periodic in `steps`, with a spike at step t of phase 0 where
    floor((t + 1) * c / steps) > floor(t * c / steps). Pixel i starts at phase i mod `steps`, so that pixels of one
    brightness do not all fire at once; this spreads a core's work over the steps. Deterministic.
    Raises ValueError where `images` is not a matrix of integers in that range, or `steps` or `maximum` is under 1.
    """
    values = _intensities(images, steps, maximum)
    counts = (2 * steps * values + maximum) // (2 * maximum)
    counts = counts.astype(np.int32 if steps < 1 << 15 else np.int64)  # phase * count < steps^2
    first = np.arange(values.shape[1], dtype=counts.dtype)
    spikes = np.empty((len(values), steps, values.shape[1]), np.bool_)
    for t in range(steps):  # with r = phase * count mod steps, a whole is completed where r + count reaches steps
        np.greater_equal((t + first) % steps * counts % steps + counts, steps, out=spikes[:, t])
    return spikes


def latency(images: ArrayLike, steps: int, maximum: int = 255) -> NDArray[np.bool_]:
    """Latency coding: (records, pixels) to spikes (records, steps, pixels); brighter pixels fire earlier.

    A pixel of intensity v (an integer, 1 to `maximum`) fires once, at step
    round((steps - 1) * (maximum - v) / maximum), halves up: the brightest at step 0. A pixel of 0 never fires.
    Raises ValueError as `rate` does.
    """
    values = _intensities(images, steps, maximum)
    times = (2 * (steps - 1) * (maximum - values) + maximum) // (2 * maximum)
    spikes: NDArray[np.bool_] = (times[:, None, :] == np.arange(steps)[:, None]) & (values > 0)[:, None, :]
    return spikes


def direct(images: ArrayLike, steps: int, maximum: int = 255, bits: int = 1) -> NDArray[np.bool_]:
    """Direct coding in binary: (records, pixels) to spikes (records, steps, pixels * bits), equal at every step.

    A pixel of intensity v (an integer, 0 to `maximum`) has level L = round(v * (2^bits - 1) / maximum), halves up.
    Input i*bits + b is bit b of pixel i's level, so that weights W * 2^b / (2^bits - 1) on it (`spread`) drive a neuron
    with the current W * L / (2^bits - 1): the direct coding of a network that is fed real numbers (`levels`), on a chip
    that takes nothing but spikes. `bits` is 1 to 8. Raises ValueError as `rate` does.
    """
    planes = _levels(images, steps, maximum, bits)[..., None] >> np.arange(bits) & 1
    flat = planes.reshape(len(planes), 1, -1).astype(np.bool_)
    return np.repeat(flat, steps, axis=1)


def levels(images: ArrayLike, maximum: int = 255, bits: int = 8) -> NDArray[np.float32]:
    """Intensities in 0 to 1 as `direct` encodes them: L / (2^bits - 1), (records, pixels) float32."""
    return (_levels(images, 1, maximum, bits) / np.float32((1 << bits) - 1)).astype(np.float32)


def spread(weights: NDArray[np.floating[Any]], bits: int) -> NDArray[np.float32]:
    """Weights (neurons, pixels) for `levels` as those (neurons, pixels * bits) that do the same on `direct` spikes."""
    shares = 2.0 ** np.arange(bits) / ((1 << checks.integer("encoder bits", bits, 1, 8)) - 1)
    return (weights[..., None] * shares).reshape(len(weights), -1).astype(np.float32)


def _levels(images: ArrayLike, steps: int, maximum: int, bits: int) -> NDArray[np.int64]:
    top = (1 << checks.integer("encoder bits", bits, 1, 8)) - 1
    return (2 * top * _intensities(images, steps, maximum) + maximum) // (2 * maximum)


def _intensities(images: ArrayLike, steps: int, maximum: int) -> NDArray[np.int64]:
    checks.integer("encoder steps", steps, 1, 1 << 16)
    checks.integer("encoder maximum", maximum, 1, (1 << 16) - 1)
    values = checks.integers("images", images, ("records", "pixels"), 0, maximum)
    return values.astype(np.int64)
