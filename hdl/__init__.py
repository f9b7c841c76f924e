"""The gateware: Amaranth components that compute what `pysim` specifies. A name is imported when it is first used.

`Plan` describes what to build; `Network` is the network alone; `Core` adds the guard that limits its use; `Top` is the
complete device with its link. docs/gateware.md and docs/device-gateware.md explain the architecture.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from spikeveil.hdl.device.core import Core as Core
    from spikeveil.hdl.device.top import Top as Top
    from spikeveil.hdl.engine.network import Network as Network
    from spikeveil.hdl.engine.plan import Plan as Plan

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "device.core": ["Core"],
        "device.top": ["Top"],
        "engine.network": ["Network"],
        "engine.plan": ["Plan"],
    },
)
