"""Data sets and encoders by the names that configurations and commands use."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spikeveil.host.data.dataset import Dataset
from spikeveil.host.data.encoders import direct, latency, rate
from spikeveil.host.data.images import load_images
from spikeveil.host.data.mnist import load_fashion_mnist, load_mnist
from spikeveil.host.data.scikit import load_breast_cancer, load_digits, load_iris
from spikeveil.pysim.model import checks

BUNDLED: dict[str, Callable[[], Dataset]] = {
    "digits": load_digits,
    "iris": load_iris,
    "breast-cancer": load_breast_cancer,
}
FROM_FILES: dict[str, Callable[[Path | None], Dataset]] = {
    "mnist": load_mnist,
    "fashion-mnist": load_fashion_mnist,
    "images": load_images,
}
NAMES = (*BUNDLED, *FROM_FILES)
ENCODERS = {"rate": rate, "latency": latency, "direct": direct}


def load_dataset(name: str, path: str | Path | None = None) -> Dataset:
    """The data set of that name; `path` for those from files, see `load_mnist`. ValueError for another name."""
    checks.choice("data set", name, NAMES)
    if name in FROM_FILES:
        return FROM_FILES[name](None if path is None else Path(path))
    if path is not None:
        raise ValueError(f"data set {name} comes with scikit-learn and takes no path, not {str(path)!r}")
    return BUNDLED[name]()


def encoder(name: str, steps: int, maximum: int = 255) -> Callable[[NDArray[np.uint8]], NDArray[np.bool_]]:
    """The encoder of that name as a function of images alone: (records, pixels) to spikes (records, steps, inputs)."""
    return partial(ENCODERS[checks.choice("encoder", name, tuple(ENCODERS))], steps=steps, maximum=maximum)
