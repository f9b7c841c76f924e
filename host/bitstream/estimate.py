"""Estimates the resources of a plan without running a tool, by a fit to real builds whose error is known.

`scripts/calibrate_estimate.py` builds the networks and writes the fit to `calibration.py`. Cycles need no estimate.
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
FIXED = {"bram": 1}  # resource -> number of leading features whose weight is fixed at 1
MIN_RAM_BITS = 512  # a smaller memory becomes flip-flops or distributed RAM
#: family -> the shapes of a block RAM: words, bits
SHAPES: dict[Family, tuple[tuple[int, int], ...]] = {
    "ice40": ((256, 16), (512, 8), (1024, 4), (2048, 2)),
    "ecp5": ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1)),
    "gowin": ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1)),
}


@dataclass(frozen=True)
class Figure:
    """An estimate, and the largest relative error of such a fit on a build that was left out of it."""

    value: int
    error: float


@dataclass(frozen=True)
class Estimate:
    """Estimated resources by name; `builds`: number of builds in the fit."""

    resources: dict[str, Figure]
    builds: int


def features(plan: Plan, family: Family) -> dict[str, list[float]]:
    """The values that the fit weights, for each resource."""
    layers = plan.layers
    sums = sum(layout.lanes * layer.accumulator_bits for layout, layer in zip(plan.layer_lanes, layers, strict=True))
    scans = sum(layout.scan * layer.state_bits for layout, layer in zip(plan.layer_lanes, layers, strict=True))
    random_bits = sum(
        plan.words_per_beat(index) * layer.flip.bits for index, layer in enumerate(layers) if layer.flip is not None
    )
    flipped = float(len(plan.spec.flipped))
    logic = [1.0, float(sums), float(scans), flipped, float(random_bits)]
    events = sum(2 * layer.inputs * layer.inputs.bit_length() >= MIN_RAM_BITS for layer in layers)
    return {"lut": logic, "ff": logic, "bram": [float(blocks(plan, family)), 1.0, flipped, float(events)]}


def blocks(plan: Plan, family: Family) -> int:
    """Block RAMs for the weights of all layers, and on iCE40, which has no smaller RAM, for the potentials."""
    total = 0
    for index, (layer, layout) in enumerate(zip(plan.layers, plan.layer_lanes, strict=True)):
        if index not in plan.spram_layers:
            total += block_rams(plan.rows(index) * layer.inputs, layout.lanes * layer.weight_bits, family)
        depth = rows(layer.neurons, layout.scan)
        if family == "ice40" and depth * layout.scan * layer.state_bits >= MIN_RAM_BITS:
            total += block_rams(depth, layout.scan * layer.state_bits, family)
    return total


def block_rams(words: int, bits: int, family: Family) -> int:
    """The smallest number of block RAMs of one shape that hold `words` words of `bits` bits."""
    return min(math.ceil(words / depth) * math.ceil(bits / width) for depth, width in SHAPES[family])


def estimate_resources(plan: Plan, board: Board) -> Estimate:
    """Estimated LUTs, flip-flops and block RAMs. ValueError where the calibration has no build of the chip family."""
    family = board.chip.family
    if family not in FITS:
        raise ValueError(f"board {board.name} cannot be estimated: no build of {family} is in the calibration")
    fit, plan = FITS[family], board.suited(plan)
    resources = {
        name: Figure(round(float(np.dot(fit[name]["weights"], values))), float(fit[name]["error"]))
        for name, values in features(plan, family).items()
    }
    return Estimate(resources, int(fit["builds"]))
