"""The specification of a network and its golden model in NumPy; gateware and netlists must equal it bit for bit."""

from spikeveil.pysim.model import (
    FlipSpec,
    LayerSpec,
    Leak,
    Lfsr,
    LfsrSource,
    Network,
    NetworkSpec,
    Result,
    Trivium,
    TriviumSource,
)

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
