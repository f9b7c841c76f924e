"""Virtual boards: the gateware's top level in Verilator, behind a pseudo-terminal. A name is imported at its first use.

`VirtualBoard(BoardSpec(plan))` starts one; `play` runs a script of bytes without a terminal (docs/virtual-board.md).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spikeveil.host.virtual.build import BoardSpec as BoardSpec
    from spikeveil.host.virtual.build import build_program as build_program
    from spikeveil.host.virtual.process import Figures as Figures
    from spikeveil.host.virtual.process import VirtualBoard as VirtualBoard
    from spikeveil.host.virtual.process import play as play

#: public name -> the module of this package that defines it
_HOMES = {
    "BoardSpec": "build",
    "Figures": "process",
    "VirtualBoard": "process",
    "build_program": "build",
    "play": "process",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(_HOMES)
