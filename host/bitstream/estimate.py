"""What a plan will take on a board, at once and without any tool: a fit to real builds, and the error it has shown.

`calibration.py` holds the fit; `scripts/calibrate_estimate.py` builds its networks and writes it. Cycles are exact.
"""

import math
from dataclasses import dataclass

import numpy as np

from spikeveil.boards.board import Board
from spikeveil.boards.chips import Family
from spikeveil.hdl.engine.plan import Plan
from spikeveil.host.bitstream.calibration import FITS
from spikeveil.pysim.model.lanes import rows

FITTED = ("lut", "ff", "bram")
FIXED = {"bram": 1}  # of a resource's features, so many from the front count as they are: their weight is 1
LEAST_BITS = 512  # a smaller memory becomes flip-flops or distributed RAM
#: words x bits that one block RAM can be
SHAPES: dict[Family, tuple[tuple[int, int], ...]] = {
    "ice40": ((256, 16), (512, 8), (1024, 4), (2048, 2)),
    "ecp5": ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1)),
    "gowin": ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1)),
}


@dataclass(frozen=True)
class Figure:
    """An estimate, and the largest error, as a share, that it has shown against real builds it was not fitted to."""

    value: int
    error: float


@dataclass(frozen=True)
class Estimate:
    """Estimated resources by name; `builds`: how many real ones stand behind them."""

    resources: dict[str, Figure]
    builds: int


def features(plan: Plan, family: Family) -> dict[str, list[float]]:
    """What the fit multiplies, for each resource."""
    layers = plan.layers
    sums = sum(each.lanes * layer.accumulator_bits for each, layer in zip(plan.layer_lanes, layers, strict=True))
    scans = sum(each.scan * layer.state_bits for each, layer in zip(plan.layer_lanes, layers, strict=True))
    drawn = sum(
        plan.words_per_beat(index) * layer.flip.bits for index, layer in enumerate(layers) if layer.flip is not None
    )
    flipped = float(len(plan.spec.flipped))
    logic = [1.0, float(sums), float(scans), flipped, float(drawn)]
    events = sum(2 * layer.inputs * layer.inputs.bit_length() >= LEAST_BITS for layer in layers)
    return {"lut": logic, "ff": logic, "bram": [float(blocks(plan, family)), 1.0, flipped, float(events)]}


def blocks(plan: Plan, family: Family) -> int:
    """Block RAMs that the weights of all layers fill, and on iCE40, which has nothing smaller, the potentials."""
    total = 0
    for index, (layer, each) in enumerate(zip(plan.layers, plan.layer_lanes, strict=True)):
        if index not in plan.spram_layers:
            total += block_rams(plan.rows(index) * layer.inputs, each.lanes * layer.weight_bits, family)
        deep = rows(layer.neurons, each.scan)
        if family == "ice40" and deep * each.scan * layer.state_bits >= LEAST_BITS:
            total += block_rams(deep, each.scan * layer.state_bits, family)
    return total


def block_rams(words: int, bits: int, family: Family) -> int:
    """The fewest block RAMs of one shape that hold `words` words of `bits` bits."""
    return min(math.ceil(words / depth) * math.ceil(bits / width) for depth, width in SHAPES[family])


def estimate(plan: Plan, board: Board) -> Estimate:
    """Estimated LUTs, flip-flops and block RAMs. ValueError where the family was never calibrated."""
    family = board.chip.family
    if family not in FITS:
        raise ValueError(f"board {board.name} cannot be estimated: no build of {family} is in the calibration")
    fit, plan = FITS[family], board.suited(plan)
    resources = {
        name: Figure(round(float(np.dot(fit[name]["weights"], values))), float(fit[name]["error"]))
        for name, values in features(plan, family).items()
    }
    return Estimate(resources, int(fit["builds"]))
