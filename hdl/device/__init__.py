"""The device in gateware: guard, link, buffers, loader and top level around the engine.

A name is imported when it is first used. This package imports `hdl.engine` and `pysim`.
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from spikeveil.hdl.device.core import Core as Core
    from spikeveil.hdl.device.guard import Guard as Guard
    from spikeveil.hdl.device.top import Top as Top

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "core": ["Core"],
        "guard": ["Guard"],
        "top": ["Top"],
    },
)
