"""Simulates the synthesised netlist that Yosys wrote."""

import json
from pathlib import Path

from spikeveil.host.bitstream.build import Build
from spikeveil.host.bitstream.netlist_board import NetlistBoard, board_of, write_simulation_netlist
from spikeveil.host.bitstream.stages import SILENT, Listener


def synthesised_netlist(build: Build, listener: Listener = SILENT, numbering: tuple[int, int] = (1, 1)) -> NetlistBoard:
    """The virtual board of a synthesised build; `numbering`: number of this stage, and of all stages."""
    text = "make the synthesised netlist fit for simulation"
    return board_of(build, "synthesised", (*numbering, text), listener, lambda folder: _make(build, folder))


def _make(build: Build, folder: Path) -> None:
    write_simulation_netlist(json.loads((build.folder / "synth" / "top.json").read_text()), build, folder)
