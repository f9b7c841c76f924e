"""Simulates the routed netlist that nextpnr wrote."""

import json
from pathlib import Path

from spikeveil.host.bitstream.build import Build
from spikeveil.host.bitstream.netlist_board import NetlistBoard, board_of, write_simulation_netlist
from spikeveil.host.bitstream.stages import SILENT, Listener


def routed_netlist(
    build: Build, seed: int, listener: Listener = SILENT, numbering: tuple[int, int] = (1, 1)
) -> NetlistBoard:
    """The virtual board of a placed seed; `numbering`: number of this stage, and of all stages."""
    text = f"make the routed netlist of seed {seed} fit for simulation"
    return board_of(build, f"routed-{seed}", (*numbering, text), listener, lambda folder: _make(build, seed, folder))


def _make(build: Build, seed: int, folder: Path) -> None:
    write_simulation_netlist(json.loads((build.folder / f"place-{seed}" / "routed.json").read_text()), build, folder)
