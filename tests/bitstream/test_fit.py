"""`spikeveil fit` and the estimate in words: no tool is run, and what is printed can be pasted."""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.commands import invoke

from spikeveil.boards.catalogue import find
from spikeveil.hdl.engine.plan import Plan
from spikeveil.host.bitstream import tools
from spikeveil.host.bitstream.errors import FitError
from spikeveil.host.bitstream.estimate import estimate_resources
from spikeveil.host.bitstream.fit import require_estimate, shortfalls
from spikeveil.pysim import Decision, FlipSpec, LayerSpec, NetworkSpec

pytest.importorskip("amaranth_boards")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    def refuse(*arguments: Any, **options: Any) -> None:
        raise AssertionError(f"a tool was run: {arguments}")

    monkeypatch.setattr(tools, "run", refuse)
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(5)
    layers = [LayerSpec(rng.integers(-128, 128, (512, 784)), 900), LayerSpec(rng.integers(-128, 128, (10, 512)), 900)]
    NetworkSpec(layers, decision=Decision.for_epsilon(4.0, classes=10), steps=16).save("large.snn")
    return tmp_path


@pytest.mark.parametrize("board", ["icebreaker", "hx8k", "tang-nano-9k", "ulx3s-12f"])
def test_a_build_of_digits_is_found_in_seconds(folder: Path, board: str) -> None:
    start = time.process_time()
    report = json.loads(invoke("fit", "digits", "--board", board, "--data", "digits", "--json").stdout)
    assert time.process_time() - start < 20  # 5 s here; of this process, whatever else the machine does
    best = report["fits"][0]
    for part in best["resources"].values():
        assert part["estimate"] <= part["available"]
    assert best["raw_accuracy"] > 0.9
    assert (
        report["commands"][-1].startswith("spikeveil build ") and f"--lanes {best['lanes']}" in report["commands"][-1]
    )


def test_a_network_of_fewer_bits_is_written_with_its_origin(folder: Path) -> None:
    report = json.loads(invoke("fit", "digits", "--board", "icebreaker", "-o", "fitted.snn", "--json").stdout)
    spec, origin = NetworkSpec.load("fitted.snn"), NetworkSpec.origin("fitted.snn")
    assert origin is not None and origin["data"] == "digits"
    assert report["fits"][0]["weight_bits"] == max(layer.weight_bits for layer in spec.layers)
    if report["fits"][0]["changed"]:
        assert origin["changes"][-1]["made_by"] == "spikeveil fit"
        best = report["fits"][0]
        command = f"spikeveil build fitted.snn --board icebreaker --lanes {best['lanes']}"
        assert report["commands"] == [command + " --loadable" * best["loadable"]]


def test_what_never_fits_is_said_in_one_sentence(folder: Path) -> None:
    refused = invoke("fit", "large.snn", "--board", "icebreaker", "-o", "f.snn", code=1)
    assert refused.stderr.count("\n") == 1 and "fits board icebreaker, by the estimate" in refused.stderr
    assert not Path("f.snn").exists()


def test_an_estimate_says_what_does_not_fit_and_what_would_help(folder: Path) -> None:
    done = invoke("estimate", "large.snn", "--board", "ulx3s-12f", "--lanes", 16, code=1)
    assert "does not fit" in done.stdout and "block RAMs of 56" in done.stdout
    report = json.loads(invoke("estimate", "large.snn", "--board", "ulx3s-12f", "--json", code=1).stdout)
    assert report["fits"] is False and report["shortfalls"]
    small = json.loads(invoke("estimate", "digits", "--board", "ulx3s-12f", "--lanes", 8, "--json").stdout)
    assert small["fits"] is True and small["shortfalls"] == []


def test_build_asks_the_estimate_before_any_tool(folder: Path) -> None:
    refused = invoke("build", "large.snn", "--board", "ulx3s-12f", "--lanes", 16, code=1).stderr
    assert "block RAMs of the 56 of board ulx3s-12f, by the estimate" in refused and refused.count("\n") == 1


def test_an_estimate_within_the_tolerance_is_let_through() -> None:
    board = find("ulx3s-12f")
    plan = Plan(NetworkSpec([LayerSpec(np.ones((8, 8), int), 3, flip=FlipSpec(1, 2))]), lanes=2)
    require_estimate(plan, board, 1.0)
    assert shortfalls(estimate_resources(plan, board), board) == []
    with pytest.raises(FitError, match="it would need about"):
        require_estimate(plan, board, 0.001)
