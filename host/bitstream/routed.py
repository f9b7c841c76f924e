"""After place and route: the netlist that nextpnr wrote, in the virtual board's place."""

import json
from pathlib import Path

from spikeveil.host.bitstream.flow import NOBODY, Build, Listener
from spikeveil.host.bitstream.netlist_board import NetlistBoard, board_of, simulable


def routed(build: Build, seed: int, listener: Listener = NOBODY, place: tuple[int, int] = (1, 1)) -> NetlistBoard:
    """The board of a seed that was placed; `place`: which step of how many this is."""
    text = f"make the routed netlist of seed {seed} fit for simulation"
    return board_of(build, f"routed-{seed}", (*place, text), listener, lambda folder: _make(build, seed, folder))


def _make(build: Build, seed: int, folder: Path) -> None:
    simulable(json.loads((build.folder / f"place-{seed}" / "routed.json").read_text()), build, folder)
