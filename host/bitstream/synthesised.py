"""After synthesis: the netlist that Yosys wrote, in the virtual board's place."""

import json
from pathlib import Path

from spikeveil.host.bitstream.flow import NOBODY, Build, Listener
from spikeveil.host.bitstream.netlist_board import NetlistBoard, board_of, simulable


def synthesised(build: Build, listener: Listener = NOBODY, place: tuple[int, int] = (1, 1)) -> NetlistBoard:
    """The board of a build that was synthesised; `place`: which step of how many this is."""
    text = "make the synthesised netlist fit for simulation"
    return board_of(build, "synthesised", (*place, text), listener, lambda folder: _make(build, folder))


def _make(build: Build, folder: Path) -> None:
    simulable(json.loads((build.folder / "synth" / "top.json").read_text()), build, folder)
