"""Every board by its name, and boards of one's own from a file."""

from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from spikeveil.boards.board import Board

#: name -> module in this folder, and its attribute
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
    """The board of that name, or the one that `FILE.py:NAME` holds. ValueError where there is none."""
    if name in BOARDS:
        module, attribute = BOARDS[name]
        board: Board = getattr(import_module(f"spikeveil.boards.{module}"), attribute)
        return board
    file, colon, attribute = name.rpartition(":")
    if not colon or not file.endswith(".py"):
        raise ValueError(f"board must be one of {', '.join(BOARDS)}, or FILE.py:NAME, not {name!r}")
    return _own(Path(file), attribute)


def _own(path: Path, attribute: str) -> Board:
    if not path.is_file():
        raise ValueError(f"board file {path} does not exist")
    spec = spec_from_file_location(f"spikeveil_board_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ValueError(f"board file {path} must be a Python file")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    found = getattr(module, attribute, None)
    if not isinstance(found, Board):
        raise ValueError(f"board file {path} must hold a Board named {attribute!r}, not {found!r}")
    return found
