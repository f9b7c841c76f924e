"""Virtual boards: the gateware's top level in Verilator, behind a pseudo-terminal. A name is imported when first used.

`VirtualBoard(BoardSpec(plan))` starts a board; `play` runs a byte script without a terminal (docs/virtual-board.md).
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from spikeveil.host.virtual.build import BoardSpec as BoardSpec
    from spikeveil.host.virtual.build import build_program as build_program
    from spikeveil.host.virtual.process import Counters as Counters
    from spikeveil.host.virtual.process import VirtualBoard as VirtualBoard
    from spikeveil.host.virtual.process import play as play

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "build": ["BoardSpec", "build_program"],
        "process": ["Counters", "VirtualBoard", "play"],
    },
)
