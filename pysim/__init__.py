from spikeveil.pysim.lfsr import Lfsr
from spikeveil.pysim.source import LfsrSource, TriviumSource
from spikeveil.pysim.trivium import Trivium

__all__ = ["Lfsr", "LfsrSource", "Trivium", "TriviumSource"]
