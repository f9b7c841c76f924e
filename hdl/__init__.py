"""The gateware: Amaranth components that compute what `pysim` specifies. A name is imported when it is first used.

`Plan` describes what to build; `Network` is the network alone; `Core` adds the guard that limits its use; `Top` is the
complete device with its link. docs/gateware.md and docs/device-gateware.md explain the architecture.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spikeveil.hdl.device.core import Core as Core
    from spikeveil.hdl.device.top import Top as Top
    from spikeveil.hdl.engine.network import Network as Network
    from spikeveil.hdl.engine.plan import Plan as Plan

#: public name -> the module of this package that defines it
_HOMES = {
    "Core": "device.core",
    "Network": "engine.network",
    "Plan": "engine.plan",
    "Top": "device.top",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(_HOMES)
