"""The specification and its golden model, in NumPy alone: what the gateware must reproduce bit for bit."""

from spikeveil.pysim.flipper import FlipSpec
from spikeveil.pysim.leak import Leak
from spikeveil.pysim.lfsr import Lfsr
from spikeveil.pysim.network import Network, Result
from spikeveil.pysim.source import LfsrSource, TriviumSource
from spikeveil.pysim.spec import LayerSpec, NetworkSpec
from spikeveil.pysim.trivium import Trivium

__all__ = [
    "FlipSpec",
    "LayerSpec",
    "Leak",
    "Lfsr",
    "LfsrSource",
    "Network",
    "NetworkSpec",
    "Result",
    "Trivium",
    "TriviumSource",
]
