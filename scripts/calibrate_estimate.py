"""Build networks of many shapes, fit `spikeveil estimate` to them, and write host/bitstream/calibration.py.

Each network is synthesised and packed (`host.bitstream`, kept in its cache), not placed. The fit has no negative
terms; the error kept beside it is the largest of those that a fit without one of the builds makes on that build.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import nnls

from spikeveil.boards.catalogue import find
from spikeveil.boards.chips import Family
from spikeveil.hdl.plan import Plan
from spikeveil.hdl.source import SourceKind
from spikeveil.host.bitstream.errors import FitError
from spikeveil.host.bitstream.estimate import FITTED, features
from spikeveil.host.bitstream.flow import Build
from spikeveil.pysim.flipper import FlipSpec
from spikeveil.pysim.spec import LayerSpec, NetworkSpec

TABLE = Path(__file__).parent.parent / "host" / "bitstream" / "calibration.py"
BOARDS: dict[Family, str] = {"ice40": "hx8k", "ecp5": "ulx3s-85f", "gowin": "tang-nano-9k"}
#: inputs, hidden, outputs, weight bits, state bits, flipped layers, lanes, source
Shape = tuple[int, int, int, int, int, int, int, SourceKind]
SHAPES: dict[Family, tuple[Shape, ...]] = {
    "ice40": (
        (16, 24, 10, 4, 10, 1, 2, "trivium"),
        (16, 24, 10, 4, 10, 1, 8, "trivium"),
        (16, 24, 10, 4, 10, 1, 8, "lfsr"),
        (64, 32, 10, 4, 12, 1, 4, "trivium"),
        (64, 48, 10, 4, 12, 2, 4, "trivium"),
        (32, 16, 8, 6, 16, 0, 4, "trivium"),
    ),
    "ecp5": (
        (16, 24, 10, 4, 10, 1, 4, "trivium"),
        (64, 128, 40, 8, 16, 1, 8, "trivium"),
        (64, 128, 40, 8, 16, 1, 16, "trivium"),
        (64, 128, 40, 8, 16, 1, 16, "lfsr"),
        (256, 128, 10, 4, 12, 2, 16, "trivium"),
        (784, 256, 40, 4, 12, 1, 16, "trivium"),
        (64, 128, 40, 8, 16, 0, 32, "trivium"),
    ),
    "gowin": (),
}


def plan(shape: Shape) -> Plan:
    """A network of random weights, its first `flipped` layers from the end behind flippers."""
    inputs, hidden, outputs, weight_bits, state_bits, flipped, lanes, source = shape
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
    return Plan(NetworkSpec(layers), lanes=lanes, source=source, unsafe=flipped == 0)


def measure(family: Family, shape: Shape) -> dict[str, int]:
    """What a build takes, whether or not it fits."""
    built = Build.of(plan(shape), find(BOARDS[family]))
    try:
        return built.synthesise()
    except FitError:
        return built.counts()


def fit(inputs: list[list[float]], wanted: list[int]) -> dict[str, Any]:
    """Weights without a negative one, and the largest error of those left out one at a time."""
    table, goal = np.array(inputs), np.array(wanted, float)
    scale = 1 / goal  # shares of each build, not LUTs of the largest
    errors = []
    for index in range(len(goal)):
        rest = np.arange(len(goal)) != index
        weights, _ = nnls(table[rest] * scale[rest, None], goal[rest] * scale[rest])
        errors.append(abs(float(table[index] @ weights) / goal[index] - 1))
    weights, _ = nnls(table * scale[:, None], goal * scale)
    return {"weights": [round(float(weight), 4) for weight in weights], "error": round(max(errors), 3)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--family", action="append", choices=list(BOARDS), help="only these; all without it")
    families: list[Family] = parser.parse_args().family or list(BOARDS)
    from spikeveil.host.bitstream import calibration

    fits, builds = dict(calibration.FITS), dict(calibration.BUILDS)
    for family in families:
        if not SHAPES[family]:
            continue
        rows = []
        for shape in SHAPES[family]:
            rows.append({"shape": list(shape), **measure(family, shape)})
            print(family, json.dumps(rows[-1]), flush=True)
        vectors = [features(plan(shape), family) for shape in SHAPES[family]]
        builds[family] = rows
        fits[family] = {"builds": len(rows)} | {
            name: fit([vector[name] for vector in vectors], [int(row[name]) for row in rows]) for name in FITTED
        }
        write(fits, builds)


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
