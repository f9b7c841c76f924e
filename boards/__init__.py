"""FPGA boards that a device can be built for. A name is imported when it is first used.

`find` looks a board up by name or in a user's file; `BOARDS` has the names; `Board` describes one (docs/boards.md).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spikeveil.boards.board import Board as Board
    from spikeveil.boards.catalogue import BOARDS as BOARDS
    from spikeveil.boards.catalogue import find as find

#: public name -> the module of this package that defines it
_HOMES = {
    "BOARDS": "catalogue",
    "Board": "board",
    "find": "catalogue",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(_HOMES)
