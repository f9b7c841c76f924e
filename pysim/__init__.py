"""The specification of a network and its golden model in NumPy, which gateware and netlists match bit for bit."""

from spikeveil.pysim.model import (
    Decision,
    FlipSpec,
    LayerSpec,
    Leak,
    Lfsr,
    LfsrSource,
    Network,
    NetworkSpec,
    OneHotDecision,
    Result,
    Trivium,
    TriviumSource,
)

__all__ = [
    "Decision",
    "FlipSpec",
    "LayerSpec",
    "Leak",
    "Lfsr",
    "LfsrSource",
    "Network",
    "NetworkSpec",
    "OneHotDecision",
    "Result",
    "Trivium",
    "TriviumSource",
]
