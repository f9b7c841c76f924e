"""Estimates: the block RAMs that a memory fills, the fit against its own builds, and no tool at all."""

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.commands import invoke

from spikeveil.boards.catalogue import find
from spikeveil.hdl.engine.plan import Plan
from spikeveil.host.bitstream.calibration import BUILDS, FITS
from spikeveil.host.bitstream.estimate import block_rams, estimate_resources, features
from spikeveil.pysim.model.flipper import FlipSpec
from spikeveil.pysim.model.spec import LayerSpec, NetworkSpec

pytest.importorskip("amaranth_boards")

BOARDS = {"ice40": "hx8k", "ecp5": "ulx3s-85f"}


def plan(shape: list[Any]) -> Plan:
    """A network of a calibration build's shape."""
    inputs, hidden, outputs, weight_bits, state_bits, flipped, lanes, source = shape
    max_weight = (1 << weight_bits - 1) - 1
    rng = np.random.default_rng(1)
    flips = [FlipSpec.for_epsilon(1.0) if 2 - index <= flipped else None for index in range(2)]
    layers = [
        LayerSpec(
            rng.integers(-max_weight, max_weight + 1, size),
            threshold=1 << state_bits - 3,
            weight_bits=weight_bits,
            state_bits=state_bits,
            flip=flip,
        )
        for size, flip in zip(((hidden, inputs), (outputs, hidden)), flips, strict=True)
    ]
    return Plan(NetworkSpec(layers), lanes=lanes, source=source, unsafe=flipped == 0)


@pytest.mark.parametrize(
    ("words", "bits", "family", "expected"),
    [
        (256, 16, "ice40", 1),
        (257, 16, "ice40", 2),
        (512, 8, "ice40", 1),
        (1024, 64, "ice40", 16),
        (2048, 2, "ice40", 1),
        (4096, 64, "ice40", 64),
        (512, 36, "ecp5", 1),
        (784, 64, "ecp5", 4),
        (16384, 1, "ecp5", 1),
        (3, 1, "gowin", 1),
    ],
)
def test_block_rams(words: int, bits: int, family: Any, expected: int) -> None:
    assert block_rams(words, bits, family) == expected


@pytest.mark.parametrize("family", BUILDS)
def test_estimates_are_near_the_builds_they_come_from(family: str) -> None:
    for build in BUILDS[family]:
        estimated = estimate_resources(plan(build["shape"]), find(BOARDS[family]))
        assert estimated.builds == len(BUILDS[family])
        for name, figure in estimated.resources.items():
            assert abs(figure.value - build[name]) <= max(2, figure.error * build[name]), (build, name)


def test_more_lanes_take_more() -> None:
    family = "ice40"
    narrow, wide = (features(plan([16, 24, 10, 4, 10, 1, lanes, "trivium"]), family) for lanes in (2, 8))
    assert np.dot(FITS[family]["lut"]["weights"], narrow["lut"]) < np.dot(FITS[family]["lut"]["weights"], wide["lut"])


def test_command_runs_no_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **options: Any) -> None:
        raise AssertionError(f"a tool was run: {arguments}")

    monkeypatch.setattr(subprocess, "run", refuse)
    monkeypatch.setattr(subprocess, "Popen", refuse)
    network = tmp_path / "net.svn"
    plan([16, 24, 10, 4, 10, 1, 8, "trivium"]).spec.save(network)
    arguments = ["estimate", str(network), "--board", "hx8k", "--lanes", "8"]
    record = json.loads(invoke(*arguments, "--json").stdout)
    assert set(record["resources"]) == {"lut", "ff", "bram"}
    assert record["resources"]["lut"]["available"] == 7680
    assert record["timing"]["private"]["cycles_per_inference"] == 16 * record["timing"]["private"]["cycles_per_step"]
    assert f"estimated from {record['builds']} builds" in invoke(*arguments).output
    refused = invoke("estimate", network, "--board", "tang-nano-9k", code=1)
    assert "board tang-nano-9k cannot be estimated: no build of gowin is in the calibration" in refused.output
