"""Estimates: the block RAMs that a memory fills, the fit against its own builds, and no tool at all."""

import json
import subprocess
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
from support.commands import invoke
from support.paths import DOCS

from spikeveil.boards.catalogue import find
from spikeveil.host.bitstream.calibration import BUILDS
from spikeveil.host.bitstream.design_size import Memory, block_rams
from spikeveil.host.bitstream.estimate import estimate_resources

pytest.importorskip("amaranth_boards")

SCRIPT = DOCS.parent / "scripts" / "calibrate_estimate.py"
_spec = spec_from_file_location("calibrate_estimate", SCRIPT)
assert _spec is not None and _spec.loader is not None
calibration_script = module_from_spec(_spec)
_spec.loader.exec_module(calibration_script)
plan, board_of = calibration_script.plan, calibration_script.board_of


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


@pytest.mark.parametrize(
    ("memory", "family", "expected"),
    [
        (Memory(32, 4), "ice40", 1),  # no smaller RAM there, and 128 bits are too many flip-flops
        (Memory(4, 18), "ice40", 0),
        (Memory(8, 18), "ice40", 2),  # wider than a block RAM
        (Memory(2, 50), "ice40", 0),
        (Memory(128, 6), "ecp5", 0),
        (Memory(256, 7), "ecp5", 1),
        (Memory(255, 3), "gowin", 0),
        (Memory(32, 64), "ecp5", 0),  # two block RAMs would hold no more than 32 RAMs made of LUTs
        (Memory(128, 4, rom=True), "gowin", 0),
        (Memory(64, 4, rom=True, block=True), "ice40", 1),
    ],
)
def test_what_yosys_maps_a_memory_to(memory: Memory, family: Any, expected: int) -> None:
    assert memory.block_rams(family) == expected


@pytest.mark.parametrize("family", BUILDS)
def test_estimates_are_near_the_builds_they_come_from(family: str) -> None:
    """Block RAMs exactly; LUTs and flip-flops within the error that is printed beside them."""
    for build in BUILDS[family]:
        board = board_of(family, build["shape"])
        estimated = estimate_resources(plan(build["shape"]), board)
        assert estimated.builds == len(BUILDS[family])
        for name, figure in estimated.resources.items():
            assert abs(figure.value - build[name]) <= figure.error * build[name] + 1, (build, name)
        assert estimated.resources["bram"].value == build["bram"]


def test_more_lanes_take_more() -> None:
    narrow, wide = (
        estimate_resources(plan([16, 24, 10, 4, 10, 1, lanes, "trivium", False]), find("hx8k")) for lanes in (2, 8)
    )
    assert narrow.resources["lut"].value < wide.resources["lut"].value


def test_command_runs_no_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: Any, **options: Any) -> None:
        raise AssertionError(f"a tool was run: {arguments}")

    monkeypatch.setattr(subprocess, "run", refuse)
    monkeypatch.setattr(subprocess, "Popen", refuse)
    network = tmp_path / "net.svn"
    plan([16, 24, 10, 4, 10, 1, 8, "trivium", False]).spec.save(network)
    arguments = ["estimate", str(network), "--board", "hx8k", "--lanes", "8"]
    record = json.loads(invoke(*arguments, "--json").stdout)
    assert set(record["resources"]) == {"lut", "ff", "bram"}
    assert record["resources"]["lut"]["available"] == 7680
    assert record["timing"]["private"]["cycles_per_inference"] == 16 * record["timing"]["private"]["cycles_per_step"]
    assert f"estimated from {record['builds']} builds" in invoke(*arguments).output
