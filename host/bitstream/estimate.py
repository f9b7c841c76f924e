"""Estimates the resources of a plan without running a tool, by a fit to real builds whose error is known.

Block RAMs are counted from the memories that the design elaborates to; LUTs and flip-flops are fitted to its registers
and signals. `scripts/calibrate_estimate.py` builds the networks and writes the fit to `calibration.py`. Cycles need no
estimate.
"""

from dataclasses import dataclass

import numpy as np

from spikeveil.boards.board import Board
from spikeveil.hdl.engine.plan import Plan
from spikeveil.host.bitstream.calibration import FITS
from spikeveil.host.bitstream.design_size import design_size

FITTED = ("lut", "ff")


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


def features(plan: Plan, board: Board) -> dict[str, list[float]]:
    """The values that the fit weights, for each resource; `plan` must be suited to the board."""
    size, family = design_size(plan, board), board.chip.family
    registers = float(size.register_bits)
    return {
        "lut": [1.0, registers + float(size.register_memory_bits(family)), float(size.small_rams(family))],
        "ff": [registers, float(size.small_rams(family)), float(size.register_memory_bits(family))],
    }


def estimate_resources(plan: Plan, board: Board) -> Estimate:
    """Estimated LUTs, flip-flops and block RAMs. ValueError where the calibration has no build of the chip family."""
    family = board.chip.family
    if family not in FITS:
        raise ValueError(f"board {board.name} cannot be estimated: no build of {family} is in the calibration")
    fit, plan = FITS[family], board.suited(plan)
    resources = {
        name: Figure(round(float(np.dot(fit[name]["weights"], values))), float(fit[name]["error"]))
        for name, values in features(plan, board).items()
    }
    resources["bram"] = Figure(design_size(plan, board).block_rams(family), float(fit["bram"]["error"]))
    return Estimate(resources, int(fit["builds"]))
