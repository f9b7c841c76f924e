"""The device in gateware: guard, link, buffers, loader and top level around the engine.

A name is imported when it is first used. This package imports `hdl.engine` and `pysim`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spikeveil.hdl.device.core import Core as Core
    from spikeveil.hdl.device.guard import Guard as Guard
    from spikeveil.hdl.device.top import Top as Top

#: public name -> the module of this package that defines it
_HOMES = {
    "Core": "core",
    "Guard": "guard",
    "Top": "top",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(_HOMES)
