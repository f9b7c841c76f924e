"""The golden model of a network, in NumPy alone: its specification, its word sources and its equations."""

from spikeveil.pysim.model.decision import Decision, OneHotDecision, RandomisedDecision
from spikeveil.pysim.model.flipper import FlipSpec
from spikeveil.pysim.model.lanes import LayerLanes
from spikeveil.pysim.model.layer import LayerTrace
from spikeveil.pysim.model.layer_spec import LayerSpec
from spikeveil.pysim.model.leak import Leak
from spikeveil.pysim.model.lfsr import Lfsr
from spikeveil.pysim.model.network import Network, Result
from spikeveil.pysim.model.source import LfsrSource, TriviumSource, WordSource
from spikeveil.pysim.model.spec import NetworkSpec
from spikeveil.pysim.model.trivium import Trivium
from spikeveil.pysim.model.trivium_bank import TriviumBank

__all__ = [
    "Decision",
    "FlipSpec",
    "LayerLanes",
    "LayerSpec",
    "LayerTrace",
    "Leak",
    "Lfsr",
    "LfsrSource",
    "Network",
    "NetworkSpec",
    "OneHotDecision",
    "RandomisedDecision",
    "Result",
    "Trivium",
    "TriviumBank",
    "TriviumSource",
    "WordSource",
]
