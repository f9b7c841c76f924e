"""The most lanes that fit a board and meet its clock."""

from collections.abc import Callable

from spikeveil.boards.board import Board
from spikeveil.hdl.plan import Plan
from spikeveil.host.bitstream.errors import BuildError, FitError
from spikeveil.host.bitstream.estimate import estimate
from spikeveil.host.bitstream.flow import Build, Listener
from spikeveil.host.bitstream.report import slowest_mhz

CANDIDATES = (64, 48, 32, 24, 16, 12, 8, 6, 4, 3, 2, 1)
HOPELESS = 1.25  # an estimate this far over is believed without synthesis


def most_lanes(
    make: Callable[[int], Plan],
    board: Board,
    seed: int,
    listener: Listener,
    say: Callable[[str], None] = lambda text: None,
) -> Build:
    """The build with the most lanes that fits and, placed with `seed`, meets the board's clock.

    `make` gives the plan of a number of lanes, or a ValueError where the network does not allow that number; `say`
    hears why a number was passed over. BuildError, the reason of the last one, where there is none.
    """
    reason: Exception = BuildError("no number of lanes was tried")
    widest = None
    for lanes in CANDIDATES:
        try:
            plan = make(lanes)
            width = max(plan.layer_lanes(layer) for layer in plan.spec.layers)
            if widest is not None and width >= widest:
                continue  # no layer has so many neurons: the same design again
            widest = width
            _require_hope(plan, board)
            build = Build.of(plan, board)
            build.synthesise(listener, total=5)
            build.place(seed, listener, total=5, first=4)
            reached = slowest_mhz(build, seed)
            if reached * 1e6 >= board.clock_hz:
                return build
            raise BuildError(f"{reached:.1f} MHz, and board {board.name} runs at {board.clock_hz / 1e6:g}")
        except (FitError, ValueError) as error:
            reason = error
        except BuildError as error:
            if "MHz" not in str(error):
                raise
            reason = error
        say(f"{lanes} lanes: {reason}")
    raise BuildError(f"no number of lanes will do; with {CANDIDATES[-1]}: {reason}")


def _require_hope(plan: Plan, board: Board) -> None:
    """FitError where the estimate is so far over that synthesis would be a waste of time."""
    for resource, figure in estimate(plan, board).resources.items():
        available = board.chip.available(resource)
        if figure.value > HOPELESS * available:
            raise FitError(f"it would need about {figure.value} {resource} of {available}, by the estimate")
