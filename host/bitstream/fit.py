"""Searches, by estimates alone, for a build of a network that fits a board."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from spikeveil.boards.board import Board
from spikeveil.hdl.engine.plan import Plan
from spikeveil.host.bitstream.calibration import FITS
from spikeveil.host.bitstream.errors import FitError
from spikeveil.host.bitstream.estimate import Estimate, estimate_resources
from spikeveil.host.networks.coarser import with_fewer_bits
from spikeveil.pysim import NetworkSpec

CANDIDATES = (64, 48, 32, 24, 16, 12, 8, 6, 4, 3, 2, 1)  # numbers of lanes that are tried
RESOURCE_NAMES = {"lut": "LUTs", "ff": "flip-flops", "bram": "block RAMs"}
#: (weight bits, state bits) that are tried, None: as they are
FORMATS: tuple[tuple[int | None, int | None], ...] = ((None, None), (6, None), (4, None), (4, 12), (3, 12), (2, 10))
MAX_ESTIMATE = 1.1  # of the resources available; a plan estimated above it is not synthesised
MOST_FITS = 3
USABLE = {"lut": 0.97, "ff": 1.0, "bram": 1.0}  # share of a resource that place and route can use


@dataclass(frozen=True)
class Fit:
    """A build that is estimated to fit: the plan, the bits that its network was reduced to, and the estimate."""

    plan: Plan
    weight_bits: int | None
    state_bits: int | None
    estimate: Estimate

    @property
    def changed(self) -> bool:
        """Whether the network's numbers were rounded to fewer bits."""
        return self.weight_bits is not None or self.state_bits is not None


def shortfalls(estimate: Estimate, board: Board) -> list[str]:
    """What a build is estimated to need beyond the chip's resources, in words; empty where it fits."""
    sentences = []
    for name, figure in estimate.resources.items():
        available = board.chip.available(name)
        if figure.value > USABLE[name] * available:
            share = 100 * figure.value / available
            sentences.append(f"about {figure.value:,} {RESOURCE_NAMES[name]} of {available:,} ({share:.0f} %)")
    return sentences


def require_estimate(plan: Plan, board: Board, tolerance: float) -> None:
    """FitError where the estimate is more than `tolerance` times what the chip has. Nothing for an unknown family."""
    if board.chip.family not in FITS:
        return
    estimated = estimate_resources(plan, board)
    for name, figure in estimated.resources.items():
        available = board.chip.available(name)
        if figure.value > tolerance * available:
            raise FitError(
                f"it would need about {figure.value:,} {RESOURCE_NAMES[name]} of the {available:,} of "
                f"board {board.name}, by the estimate"
            )


def find_fits(
    spec: NetworkSpec, board: Board, make_plan: Callable[[NetworkSpec, int, bool], Plan], most: int = MOST_FITS
) -> Iterator[Fit]:
    """Up to `most` builds that are estimated to fit, one for each format and way of loading, with the most lanes.

    The network's own numbers come first, then fewer bits; built-in weights before loaded ones. `make_plan`: the plan of
    a network, lanes, and whether weights are loaded; it may raise ValueError. A format of which nothing new fits is
    left out. ValueError where the board's family is not in the calibration.
    """
    found = 0
    for weight_bits, state_bits in FORMATS:
        try:
            network = with_fewer_bits(spec, weight_bits, state_bits)
        except ValueError:
            continue
        if (weight_bits, state_bits) != (None, None) and network == spec:
            continue
        for loadable in (False, True):
            fit = _widest(network, board, make_plan, (weight_bits, state_bits), loadable=loadable)
            if fit is not None:
                yield fit
                found += 1
            if found == most:
                return


def _widest(
    network: NetworkSpec,
    board: Board,
    make_plan: Callable[[NetworkSpec, int, bool], Plan],
    bits: tuple[int | None, int | None],
    *,
    loadable: bool,
) -> Fit | None:
    most = max(layer.neurons for layer in network.layers)
    candidates = sorted({min(lanes, most) for lanes in CANDIDATES})
    best: Fit | None = None
    low, high = 0, len(candidates)  # candidates below `low` fit, those from `high` on do not
    while low < high:
        middle = low if best is None else (low + high) // 2  # one lane first: mostly that decides
        fit = _try(network, board, make_plan, candidates[middle], bits, loadable=loadable)
        if fit is None:
            high = middle
        else:
            best, low = fit, middle + 1
    return best


def _try(
    network: NetworkSpec,
    board: Board,
    make_plan: Callable[[NetworkSpec, int, bool], Plan],
    lanes: int,
    bits: tuple[int | None, int | None],
    *,
    loadable: bool,
) -> Fit | None:
    """The build with `lanes` lanes, where it is estimated to fit."""
    try:
        plan = board.suited(make_plan(network, lanes, loadable))
    except ValueError:
        return None
    if weight_bits_beyond(plan, board):
        return None
    estimated = estimate_resources(plan, board)
    return None if shortfalls(estimated, board) else Fit(plan, *bits, estimated)


def weight_bits_beyond(plan: Plan, board: Board) -> bool:
    """Whether the weights alone are more than all block RAMs hold, without looking further."""
    held = sum(
        layer.weights.size * layer.weight_bits
        for index, layer in enumerate(plan.layers)
        if index not in plan.spram_layers
    )
    return held > board.chip.bram * board.chip.bram_bits
