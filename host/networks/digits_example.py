"""The trained digits network of the package, its test images and their encoding; `examples/digits` trains it."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spikeveil.host.data.encoders import rate
from spikeveil.host.data.scikit import load_digits
from spikeveil.host.known_keys import DEMO_KEY
from spikeveil.host.networks.float_model import FloatNetwork
from spikeveil.pysim import NetworkSpec

__all__ = [
    "CLASSES",
    "DEMO_KEY",
    "FLOAT",
    "NETWORK",
    "STEPS",
    "encode",
    "held_out",
    "load_float",
    "load_network",
]

ASSETS = Path(__file__).with_name("assets")
NETWORK = ASSETS / "digits.snn"
FLOAT = ASSETS / "digits_float.npz"
STEPS = 16
CLASSES = 10
MAXIMUM = 16  # of a pixel's intensity


def load_network() -> NetworkSpec:
    """The integer network: 64-128-40, four output neurons a class, flipped at epsilon 1 a spike or less."""
    return NetworkSpec.load(NETWORK)


def load_float() -> FloatNetwork:
    """The float network that the integer one was made from, without a flipper."""
    return FloatNetwork.load(FLOAT)


def encode(images: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Images (records, 64), intensities 0 to 16, as the spikes (records, 16, 64) that the network was trained on."""
    return rate(images, STEPS, MAXIMUM)


def held_out() -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """The 360 test images as spikes (360, 16, 64), and their labels (360,); see `load_digits`."""
    data = load_digits()
    return encode(data.test_images), data.test_labels
