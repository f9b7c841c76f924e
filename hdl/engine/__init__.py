"""The network in gateware: layers, flippers, word sources and the fixed cadence.

A name is imported when it is first used. This package imports nothing of the project but `pysim.model`.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from spikeveil.hdl.engine.layer import Layer as Layer
    from spikeveil.hdl.engine.network import Network as Network
    from spikeveil.hdl.engine.plan import Plan as Plan

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "layer": ["Layer"],
        "network": ["Network"],
        "plan": ["Plan"],
    },
)
