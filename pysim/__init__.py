"""The specification and its golden model, in NumPy alone: what the gateware must reproduce bit for bit."""

from spikeveil.pysim.model.flipper import FlipSpec
from spikeveil.pysim.model.leak import Leak
from spikeveil.pysim.model.lfsr import Lfsr
from spikeveil.pysim.model.network import Network, Result
from spikeveil.pysim.model.source import LfsrSource, TriviumSource
from spikeveil.pysim.model.spec import LayerSpec, NetworkSpec
from spikeveil.pysim.model.trivium import Trivium

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
