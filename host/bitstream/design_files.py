"""The files that Amaranth writes for a plan on a board."""

import os
import sys
from pathlib import Path
from typing import Any

import amaranth

import spikeveil.hdl
from spikeveil.boards.board import Board
from spikeveil.boards.design import BoardDesign
from spikeveil.hdl.device.top import Top
from spikeveil.hdl.engine.plan import Plan


def design_files(plan: Plan, board: Board) -> dict[str, str]:
    """File name -> text, the same on every machine: the design as RTLIL, the constraints, the tools' scripts."""
    device = Top(plan, clock_hz=board.clock_hz, baud=board.baud, window=board.buffer, outbox=board.buffer)
    files: dict[str, Any] = board.platform().prepare(BoardDesign(board, device), "top", debug_verilog=False).files
    texts = {name: text.decode() if isinstance(text, bytes) else text for name, text in files.items()}
    return {name: _relative_sources(text) for name, text in texts.items()}


def _relative_sources(text: str) -> str:
    """Make source references relative, so that a design is the same text on every machine."""
    package = Path(spikeveil.hdl.__file__).parent.parent
    library = Path(amaranth.__file__).parent.parent
    roots = sorted({str(package), str(library), *filter(os.path.isabs, sys.path)}, key=len, reverse=True)
    for root in roots:
        if root != os.sep:
            text = text.replace(f'src "{root}{os.sep}', 'src "').replace(f"|{root}{os.sep}", "|")
    return text
