"""Finds the largest number of lanes that fits a board and meets its clock."""

from collections.abc import Callable

from spikeveil.boards.board import Board
from spikeveil.hdl.engine.plan import Plan
from spikeveil.host.bitstream.build import Build
from spikeveil.host.bitstream.errors import BuildError, FitError
from spikeveil.host.bitstream.fit import CANDIDATES, MAX_ESTIMATE, require_estimate
from spikeveil.host.bitstream.report import slowest_mhz
from spikeveil.host.bitstream.stages import Listener


def search_lanes(
    make_plan: Callable[[int], Plan],
    max_lanes: int,
    board: Board,
    seed: int,
    listener: Listener,
    report_skipped: Callable[[str], None] = lambda text: None,
) -> Build:
    """Build with the largest number of lanes that fits the chip and, placed with `seed`, meets the board's clock.

    | argument | meaning |
    |---|---|
    | `make_plan` | returns the plan for a number of lanes; ValueError if the network does not allow that number |
    | `max_lanes` | upper limit of the search: the number of neurons of the largest layer |
    | `report_skipped` | called with one sentence for each number of lanes that is rejected |

    BuildError if even 1 lane does not fit or does not meet the clock, with that reason.
    """
    reason: Exception | None = None
    for lanes in sorted({min(lanes, max_lanes) for lanes in CANDIDATES}, reverse=True):
        try:
            plan = board.suited(make_plan(lanes))
        except ValueError as error:
            reason = error
        else:
            try:
                return _build(plan, board, seed, listener)
            except FitError as error:
                reason = error
        report_skipped(f"{lanes} lanes: {reason}")
    raise BuildError(f"no number of lanes is suitable; with 1: {reason}")


def _build(plan: Plan, board: Board, seed: int, listener: Listener) -> Build:
    """Build a plan up to its placement. FitError if it does not fit or does not meet the clock."""
    require_estimate(plan, board, MAX_ESTIMATE)
    build = Build.of(plan, board)
    build.synthesise(listener, total=5)
    build.place(seed, listener, total=5, first=4)
    fmax_mhz = slowest_mhz(build, seed)
    if fmax_mhz * 1e6 < board.clock_hz:
        raise FitError(f"{fmax_mhz:.1f} MHz, and board {board.name} runs at {board.clock_hz / 1e6:g}")
    return build
