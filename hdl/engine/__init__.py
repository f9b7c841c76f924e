"""The network in gateware: layers, flippers, word sources and the fixed cadence.

A name is imported when it is first used. This package imports nothing of the project but `pysim.model`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spikeveil.hdl.engine.layer import Layer as Layer
    from spikeveil.hdl.engine.network import Network as Network
    from spikeveil.hdl.engine.plan import Plan as Plan

#: public name -> the module of this package that defines it
_HOMES = {
    "Layer": "layer",
    "Network": "network",
    "Plan": "plan",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(_HOMES)
