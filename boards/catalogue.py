"""Looks up boards by name, or in a user's Python file."""

from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from spikeveil.boards.board import Board

#: name -> module of this package, attribute of that module
BOARDS: dict[str, tuple[str, str]] = {
    "colorlight": ("colorlight", "BOARD"),
    "hx8k": ("hx8k", "BOARD"),
    "icebreaker": ("icebreaker", "BOARD"),
    "orangecrab": ("orangecrab", "BOARD"),
    "tang-nano-9k": ("tang_nano_9k", "BOARD"),
    "ulx3s-12f": ("ulx3s", "BOARD_12F"),
    "ulx3s-85f": ("ulx3s", "BOARD_85F"),
}


def find(name: str) -> Board:
    """The board `name`, or for FILE.py:NAME the `Board` called NAME in that file. ValueError where there is none."""
    if name in BOARDS:
        module, attribute = BOARDS[name]
        board: Board = getattr(import_module(f"spikeveil.boards.{module}"), attribute)
        return board
    file, colon, attribute = name.rpartition(":")
    if not colon or not file.endswith(".py"):
        raise ValueError(f"board must be one of {', '.join(BOARDS)}, or FILE.py:NAME, not {name!r}")
    return _load(Path(file), attribute)


def _load(path: Path, attribute: str) -> Board:
    if not path.is_file():
        raise ValueError(f"board file {path} does not exist")
    spec = spec_from_file_location(f"spikeveil_board_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ValueError(f"board file {path} must be a Python file")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    board = getattr(module, attribute, None)
    if not isinstance(board, Board):
        raise ValueError(f"board file {path} must hold a Board named {attribute!r}, not {board!r}")
    return board
