"""The most lanes that fit a board and meet its clock."""

from collections.abc import Callable

from spikeveil.boards.board import Board
from spikeveil.hdl.engine.plan import Plan
from spikeveil.host.bitstream.calibration import FITS
from spikeveil.host.bitstream.errors import BuildError, FitError
from spikeveil.host.bitstream.estimate import estimate
from spikeveil.host.bitstream.flow import Build, Listener
from spikeveil.host.bitstream.report import slowest_mhz

CANDIDATES = (64, 48, 32, 24, 16, 12, 8, 6, 4, 3, 2, 1)
HOPELESS = 1.25  # an estimate this far over is believed without synthesis


def most_lanes(
    make: Callable[[int], Plan],
    widest: int,
    board: Board,
    seed: int,
    listener: Listener,
    say: Callable[[str], None] = lambda text: None,
) -> Build:
    """The build with the most lanes that fits and, placed with `seed`, meets the board's clock.

    `make` gives the plan of a number of lanes, or a ValueError where the network does not allow that number; no layer
    has more than `widest` neurons; `say` hears why a number was passed over. BuildError, with the reason of the last
    one, where there is none.
    """
    reason: Exception | None = None
    for lanes in sorted({min(lanes, widest) for lanes in CANDIDATES}, reverse=True):
        try:
            return _build(make(lanes), board, seed, listener)
        except (FitError, ValueError) as error:
            reason = error
        say(f"{lanes} lanes: {reason}")
    raise BuildError(f"no number of lanes will do; with 1: {reason}")


def _build(plan: Plan, board: Board, seed: int, listener: Listener) -> Build:
    """The build of a plan, placed. FitError where it does not fit or does not meet the clock."""
    _require_hope(plan, board)
    build = Build.of(plan, board)
    build.synthesise(listener, total=5)
    build.place(seed, listener, total=5, first=4)
    reached = slowest_mhz(build, seed)
    if reached * 1e6 < board.clock_hz:
        raise FitError(f"{reached:.1f} MHz, and board {board.name} runs at {board.clock_hz / 1e6:g}")
    return build


def _require_hope(plan: Plan, board: Board) -> None:
    """FitError where the estimate, if there is one, is so far over that synthesis would be a waste of time."""
    if board.chip.family not in FITS:
        return
    for resource, figure in estimate(plan, board).resources.items():
        available = board.chip.available(resource)
        if figure.value > HOPELESS * available:
            raise FitError(f"it would need about {figure.value} {resource} of {available}, by the estimate")
