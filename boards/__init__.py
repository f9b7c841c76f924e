"""FPGA boards that a device can be built for. A name is imported when it is first used.

`find` returns a board by name or from a user's file; `BOARDS` has the names; `Board` describes one (docs/boards.md).
"""

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from spikeveil.boards.board import Board as Board
    from spikeveil.boards.catalogue import BOARDS as BOARDS
    from spikeveil.boards.catalogue import find as find

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "board": ["Board"],
        "catalogue": ["BOARDS", "find"],
    },
)
