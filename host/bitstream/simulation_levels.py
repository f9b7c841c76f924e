"""The stages of a build that can be simulated: the synthesised netlist, the routed netlist, the bitstream."""

from collections.abc import Mapping
from typing import Literal, get_args

from spikeveil.boards.chips import Family
from spikeveil.host.bitstream.build import Build
from spikeveil.host.bitstream.errors import BuildError
from spikeveil.host.bitstream.netlist_board import NetlistBoard
from spikeveil.host.bitstream.routed_netlist import routed_netlist
from spikeveil.host.bitstream.stages import Listener
from spikeveil.host.bitstream.synthesised_netlist import synthesised_netlist
from spikeveil.host.bitstream.unpacked_bitstream import unpacked_bitstream

Level = Literal["synthesised", "routed", "bitstream"]
LEVELS: tuple[Level, ...] = get_args(Level)
FAMILIES: Mapping[Level, tuple[Family, ...]] = {
    "synthesised": ("ice40", "ecp5", "gowin"),
    "routed": ("ice40", "ecp5"),
    "bitstream": ("ice40",),
}
#: stages up to the netlist that is simulated
STAGES: Mapping[Level, int] = {"synthesised": 4, "routed": 6, "bitstream": 6}


def default_level(family: Family) -> Level:
    """`routed`, or `synthesised` where routed netlists cannot be simulated."""
    return "routed" if family in FAMILIES["routed"] else "synthesised"


def require_level(level: Level, family: Family) -> None:
    """BuildError where designs of a chip family cannot be simulated at that level."""
    if family not in FAMILIES[level]:
        names = {"bitstream": "a bitstream"}.get(level, f"a {level} netlist")
        raise BuildError(f"{names} of {family} cannot be simulated: only of {' and '.join(FAMILIES[level])}")


def simulated_board(build: Build, level: Level, seed: int, listener: Listener, *, total: int) -> NetlistBoard:
    """The virtual board of a build at a level. Missing stages of the build are made first.

    The stages are numbered 1 to `STAGES[level]` of `total`. BuildError, FitError.
    """
    require_level(level, build.board.chip.family)
    build.synthesise(listener, total=total)
    if level == "synthesised":
        return synthesised_netlist(build, listener, (STAGES[level], total))
    build.place(seed, listener, total=total)
    make = routed_netlist if level == "routed" else unpacked_bitstream
    return make(build, seed, listener, (STAGES[level], total))
