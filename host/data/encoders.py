"""From intensities to spikes, in integers alone: training and the device see the same bits."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikeveil.pysim import checks


def rate(images: ArrayLike, steps: int, maximum: int = 255) -> NDArray[np.bool_]:
    """How often a pixel fires says how bright it is: (records, pixels) to spikes (records, steps, pixels).

    A pixel of intensity v (an integer, 0 to `maximum`) fires c = round(steps * v / maximum) times, halves up, as
    evenly as whole steps allow: its train is periodic in `steps`, with a spike at step t of phase 0 where
    floor((t + 1) * c / steps) > floor(t * c / steps). Pixel i starts at phase i mod `steps`, so that pixels of one
    brightness do not all fire at once; this spreads a core's work over the steps. Deterministic.
    Raises ValueError where `images` is not a matrix of integers in that range, or `steps` or `maximum` is under 1.
    """
    values = _intensities(images, steps, maximum)
    counts = ((2 * steps * values + maximum) // (2 * maximum))[:, None, :]
    phase = (np.arange(steps)[:, None] + np.arange(values.shape[1])) % steps
    spikes: NDArray[np.bool_] = (phase + 1) * counts // steps > phase * counts // steps
    return spikes


def latency(images: ArrayLike, steps: int, maximum: int = 255) -> NDArray[np.bool_]:
    """When a pixel fires says how bright it is: (records, pixels) to spikes (records, steps, pixels).

    A pixel of intensity v (an integer, 1 to `maximum`) fires once, at step
    round((steps - 1) * (maximum - v) / maximum), halves up: the brightest at step 0. A pixel of 0 never fires.
    Raises ValueError as `rate` does.
    """
    values = _intensities(images, steps, maximum)
    times = (2 * (steps - 1) * (maximum - values) + maximum) // (2 * maximum)
    spikes: NDArray[np.bool_] = (times[:, None, :] == np.arange(steps)[:, None]) & (values > 0)[:, None, :]
    return spikes


def _intensities(images: ArrayLike, steps: int, maximum: int) -> NDArray[np.int64]:
    checks.integer("encoder steps", steps, 1, 1 << 16)
    checks.integer("encoder maximum", maximum, 1, (1 << 16) - 1)
    values = checks.integers("images", images, ("records", "pixels"), 0, maximum)
    return values.astype(np.int64)
