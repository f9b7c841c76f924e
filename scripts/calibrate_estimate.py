"""Build networks of many shapes, fit `spikeveil estimate` to them, and write host/bitstream/calibration.py.

Each network is synthesised and packed (`host.bitstream`, kept in its cache), not placed. The fit has no negative
terms; the error kept beside it is the largest of those that a fit without one of the builds makes on that build.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from spikeveil.boards.board import Board
from spikeveil.boards.catalogue import find
from spikeveil.boards.chips import Family
from spikeveil.hdl.engine.plan import Plan
from spikeveil.hdl.engine.source import SourceKind
from spikeveil.host.bitstream.build import Build
from spikeveil.host.bitstream.design_size import design_size
from spikeveil.host.bitstream.errors import FitError
from spikeveil.host.bitstream.estimate import FITTED, features
from spikeveil.pysim.model.decision import Decision
from spikeveil.pysim.model.flipper import FlipSpec
from spikeveil.pysim.model.spec import LayerSpec, NetworkSpec

TABLE = Path(__file__).parent.parent / "host" / "bitstream" / "calibration.py"
BOARDS: dict[Family, str] = {"ice40": "hx8k", "ecp5": "ulx3s-85f", "gowin": "tang-nano-9k"}
LOADABLE_BOARDS: dict[Family, str] = {**BOARDS, "ice40": "icebreaker"}  # weights in its single-port RAMs
DECISION = -1  # in place of a number of flipped layers: the network releases a decision
#: inputs, hidden, outputs, weight bits, state bits, flipped layers or DECISION, lanes, source, loadable
Shape = tuple[int, int, int, int, int, int, int, SourceKind, bool]
SHAPES: dict[Family, tuple[Shape, ...]] = {
    "ice40": (
        (16, 24, 10, 4, 10, 1, 2, "trivium", False),
        (64, 32, 10, 4, 12, DECISION, 4, "trivium", False),
        (64, 128, 10, 6, 12, DECISION, 4, "trivium", True),
        (64, 48, 10, 4, 12, 2, 4, "trivium", False),
        (16, 24, 10, 4, 10, 1, 8, "lfsr", False),
        (8, 6, 4, 4, 8, DECISION, 1, "trivium", False),
        (64, 32, 10, 4, 12, 1, 8, "trivium", True),
        (32, 16, 8, 6, 16, 0, 4, "trivium", False),
        (64, 64, 20, 4, 12, 1, 4, "trivium", False),
    ),
    "ecp5": (
        (16, 24, 10, 4, 10, 1, 4, "trivium", False),
        (64, 128, 40, 8, 16, DECISION, 8, "trivium", False),
        (64, 128, 40, 8, 16, 1, 16, "trivium", False),
        (256, 128, 10, 4, 12, 2, 16, "trivium", False),
        (784, 256, 40, 4, 12, 1, 16, "trivium", False),
        (64, 128, 40, 8, 16, 0, 32, "trivium", False),
        (64, 128, 10, 8, 16, DECISION, 16, "lfsr", False),
        (64, 128, 10, 8, 16, DECISION, 16, "trivium", True),
    ),
    "gowin": (
        (16, 24, 10, 4, 10, 1, 2, "trivium", False),
        (64, 64, 10, 6, 12, DECISION, 4, "trivium", False),
        (64, 128, 40, 8, 16, 1, 4, "trivium", False),
        (64, 64, 10, 6, 12, 1, 8, "trivium", False),
        (64, 128, 10, 8, 16, DECISION, 2, "trivium", False),
        (32, 16, 8, 6, 16, 0, 4, "trivium", False),
    ),
}


def plan(shape: Sequence[Any]) -> Plan:
    """A network of random weights: its first `flipped` layers from the end behind flippers, or with a decision."""
    inputs, hidden, outputs, weight_bits, state_bits, flipped, lanes, source, loadable = shape
    rng, most = np.random.default_rng(1), (1 << weight_bits - 1) - 1
    sizes = ((hidden, inputs), (outputs, hidden))
    flips = [FlipSpec.for_epsilon(1.0) if len(sizes) - index <= flipped else None for index in range(len(sizes))]
    layers = [
        LayerSpec(
            rng.integers(-most, most + 1, size),
            threshold=1 << state_bits - 3,
            weight_bits=weight_bits,
            state_bits=state_bits,
            flip=flip,
        )
        for size, flip in zip(sizes, flips, strict=True)
    ]
    spec = NetworkSpec(layers)
    if flipped == DECISION:
        spec = NetworkSpec(layers, decision=Decision.for_epsilon(4.0, classes=min(outputs, 10)), steps=16)
    return Plan(spec, lanes=lanes, source=source, unsafe=flipped == 0, loadable=loadable)


def board_of(family: Family, shape: Sequence[Any]) -> Board:
    """The board that a shape is built for."""
    return find((LOADABLE_BOARDS if shape[-1] else BOARDS)[family])


def measure(family: Family, shape: Shape) -> dict[str, int]:
    """What a build takes, whether or not it fits."""
    built = Build.of(plan(shape), board_of(family, shape))
    try:
        return built.synthesise()
    except FitError:
        return built.counts()


def fit(inputs: list[list[float]], wanted: list[int]) -> dict[str, Any]:
    """Weights without a negative one, and the largest error on a build that was left out."""
    table, goal = np.array(inputs), np.array(wanted, float)
    every = np.arange(len(goal))
    errors = []
    for index in every:
        weights = _weights(table[every != index], goal[every != index])
        errors.append(abs(float(table[index] @ weights) / goal[index] - 1))
    return {
        "weights": [round(float(w), 4) for w in _weights(table, goal)],
        "error": round(float(max(errors)), 3),
    }


def _weights(table: NDArray[np.float64], goal: NDArray[np.float64]) -> NDArray[np.float64]:
    """The fit that makes the shares by which it is wrong least, not the amounts: a large build is one build too."""
    found: NDArray[np.float64] = nnls(table / goal[:, None], np.ones(len(goal)))[0]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--family", action="append", choices=list(BOARDS), help="only these; all without it")
    parser.add_argument("--refit", action="store_true", help="fit the builds of the table again, build nothing")
    options = parser.parse_args()
    from spikeveil.host.bitstream import calibration

    fits, builds = dict(calibration.FITS), dict(calibration.BUILDS)
    for family in options.family or list(BOARDS):
        if not options.refit:
            builds[family] = measured(family)
        if builds.get(family):
            fits[family] = refit(family, builds[family])
            write(fits, builds)


def measured(family: Family) -> list[dict[str, Any]]:
    """What a build of every shape takes."""
    rows = []
    for shape in SHAPES[family]:
        rows.append({"shape": list(shape), **measure(family, shape)})
        print(family, json.dumps(rows[-1]), flush=True)
    return rows


def refit(family: Family, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The fit to a family's builds."""
    boards = [board_of(family, row["shape"]) for row in rows]
    plans = [board.suited(plan(row["shape"])) for board, row in zip(boards, rows, strict=True)]
    vectors = [features(made, board) for made, board in zip(plans, boards, strict=True)]
    fits = {name: fit([vector[name] for vector in vectors], [int(row[name]) for row in rows]) for name in FITTED}
    counted = [design_size(made, board).block_rams(family) for made, board in zip(plans, boards, strict=True)]
    wrong = [abs(count / int(row["bram"]) - 1) for count, row in zip(counted, rows, strict=True)]
    return {"builds": len(rows), **fits, "bram": {"error": round(max(wrong), 3)}}


def write(fits: dict[Any, Any], builds: dict[Any, Any]) -> None:
    """The table as Python, so that it travels in the package."""
    lines = [
        '"""Written by scripts/calibrate_estimate.py: real builds, and the fit of `estimate.features` to them."""',
        "",
        "# fmt: off",
        "# ruff: noqa: E501",
        "",
        "from typing import Any",
        "",
        "#: family -> how many builds, and for each resource the weights and the largest error of a build left out",
        f"FITS: dict[str, dict[str, Any]] = {fits!r}",
        "",
        "#: family -> each build: its shape (see `SHAPES` there) and what it took",
        f"BUILDS: dict[str, list[dict[str, Any]]] = {builds!r}",
        "",
    ]
    TABLE.write_text("\n".join(lines))


if __name__ == "__main__":
    main()
