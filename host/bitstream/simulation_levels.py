"""How far down the tools' path a design is simulated: after synthesis, after routing, or the bitstream itself."""

from collections.abc import Mapping
from typing import Literal, get_args

from spikeveil.boards.chips import Family
from spikeveil.host.bitstream.errors import BuildError
from spikeveil.host.bitstream.flow import Build, Listener
from spikeveil.host.bitstream.netlist_board import NetlistBoard
from spikeveil.host.bitstream.routed import routed
from spikeveil.host.bitstream.synthesised import synthesised
from spikeveil.host.bitstream.unpacked import unpacked

Level = Literal["synthesised", "routed", "bitstream"]
LEVELS: tuple[Level, ...] = get_args(Level)
FAMILIES: Mapping[Level, tuple[Family, ...]] = {
    "synthesised": ("ice40", "ecp5", "gowin"),
    "routed": ("ice40", "ecp5"),
    "bitstream": ("ice40",),
}
STEPS: Mapping[Level, int] = {"synthesised": 4, "routed": 6, "bitstream": 6}  # with that of the netlist itself


def usual(family: Family) -> Level:
    """The level that is simulated where none is asked for: after routing, where that can be."""
    return "routed" if family in FAMILIES["routed"] else "synthesised"


def require(level: Level, family: Family) -> None:
    """BuildError where a family's designs cannot be simulated at that level."""
    if family not in FAMILIES[level]:
        names = {"bitstream": "a bitstream"}.get(level, f"a {level} netlist")
        raise BuildError(f"{names} of {family} cannot be simulated: only of {' and '.join(FAMILIES[level])}")


def board_at(build: Build, level: Level, seed: int, listener: Listener, *, total: int) -> NetlistBoard:
    """The board of a build at a level; steps before it that are not done are made: 1 to `STEPS[level]` of `total`.

    BuildError, FitError as the steps raise them; see `require`.
    """
    require(level, build.board.chip.family)
    build.synthesise(listener, total=total)
    if level == "synthesised":
        return synthesised(build, listener, (STEPS[level], total))
    build.place(seed, listener, total=total)
    make = routed if level == "routed" else unpacked
    return make(build, seed, listener, (STEPS[level], total))
