"""scripts/boards.py: the agreed set, and what it makes of the commands' answers. `make boards` runs the builds."""

import json
import sys
from collections.abc import Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
from support.paths import ROOT

from spikeveil.boards.catalogue import BOARDS, find
from spikeveil.host.bitstream import simulation_levels as levels
from spikeveil.pysim import NetworkSpec

pytest.importorskip("amaranth_boards")
pytest.importorskip("sklearn")

FILE = ROOT / "scripts" / "boards.py"


@pytest.fixture(scope="module")
def script() -> Iterator[Any]:
    """The script as a module."""
    spec = spec_from_file_location("boards_script", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["boards_script"] = module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    del sys.modules["boards_script"]


def test_every_board_is_built_and_every_family_simulated(script: Any) -> None:
    assert {row.board for row in script.ROWS} == set(BOARDS)
    assert len(set(script.ROWS)) == len(script.ROWS)
    simulated = {(find(row.board).chip.family, level) for row in script.ROWS for level in row.levels}
    assert simulated >= {("ice40", "routed"), ("ice40", "bitstream"), ("ecp5", "routed"), ("gowin", "synthesised")}
    for row in script.ROWS:
        assert row.network in script.NETWORKS
        for level in row.levels:
            levels.require_level(level, find(row.board).chip.family)


def test_the_small_digits_network_still_reads(script: Any) -> None:
    from spikeveil.host.data import accuracy, classify
    from spikeveil.host.networks.digits_example import CLASSES, DEMO_KEY, held_out, load_network
    from spikeveil.pysim import Network, TriviumSource

    small, full = script.digits_4(), load_network()
    assert [layer.weight_bits for layer in small.layers] == [4, 4]
    assert [layer.flip for layer in small.layers] == [layer.flip for layer in full.layers]
    spikes, labels = held_out()
    released = Network(small, TriviumSource(DEMO_KEY)).run(spikes, lease=1).released
    assert released is not None
    assert accuracy(classify(released, CLASSES), labels) > 0.95


REPORT = {
    "resources": {name: {"used": 10, "available": 20} for name in ("lut", "ff", "bram")},
    "clocks": [{"fmax_mhz": 70.5}, {"fmax_mhz": 64.25}],
    "clock_hz": 60_000_000,
    "meets_timing": True,
}
CHECK = {"level": "routed", "bits_compared": 12_800, "different": 0}


@pytest.fixture
def answers(script: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """What the commands answer, by board; the script runs in `tmp_path`."""
    given: dict[str, Any] = {}

    def command(name: str, *arguments: str) -> tuple[Any, str]:
        board = arguments[arguments.index("--board") + 1]
        usual = REPORT if name == "build" else CHECK | {"level": arguments[arguments.index("--level") + 1]}
        return given.get(f"{name} {board}", (usual, ""))

    monkeypatch.setattr(script, "command", command)
    monkeypatch.setattr(sys, "argv", ["boards.py", "--out", str(tmp_path)])
    return given


def outcome(script: Any) -> int:
    with pytest.raises(SystemExit) as ended:
        script.main()
    return int(ended.value.code or 0)


def test_table_and_json(
    script: Any, answers: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert outcome(script) == 0
    written = json.loads((tmp_path / "boards.json").read_text())["boards"]
    assert [row["board"] for row in written] == [row.board for row in script.ROWS]
    assert (
        "hx8k, digits-4: 64.2 MHz, 60 met; routed 12,800 spikes, 0 different; bitstream 12,800"
        in capsys.readouterr().out
    )
    assert "synthesised" in (tmp_path / "boards.txt").read_text()
    assert NetworkSpec.load(tmp_path / "digits-4.snn").fingerprint == script.digits_4().fingerprint


@pytest.mark.parametrize(
    ("asked", "answer", "words"),
    [
        (
            "build orangecrab",
            (None, "Error: the design does not fit"),
            "orangecrab, digits: Error: the design does not fit",
        ),
        ("build orangecrab", (REPORT | {"meets_timing": False}, ""), "orangecrab, digits: 64.2 MHz, 60 NOT met"),
        (
            "check hx8k",
            (CHECK | {"different": 3}, ""),
            "hx8k, digits-4: 64.2 MHz, 60 met; routed 12,800 spikes, 3 different",
        ),
        ("check hx8k", (None, "Error: no compiler"), "hx8k, digits-4: Error: no compiler"),
    ],
)
def test_a_row_that_fails_fails_the_run(
    script: Any, answers: dict[str, Any], capsys: pytest.CaptureFixture[str], asked: str, answer: Any, words: str
) -> None:
    answers[asked] = answer
    assert outcome(script) == 1
    assert words in capsys.readouterr().out


def test_only_some_boards(script: Any, answers: dict[str, Any], monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "argv", ["boards.py", "--out", str(tmp_path), "--only", "colorlight"])
    assert outcome(script) == 0
    assert not (tmp_path / "digits-4.snn").exists()
    assert len(json.loads((tmp_path / "boards.json").read_text())["boards"]) == 1


def test_a_real_command_that_refuses(script: Any) -> None:
    found, said = script.command("build", "no-such-file.snn", "--board", "hx8k", "--lanes", "1", "--json")
    assert found is None
    assert said.startswith("Error: ")
    assert "no-such-file.snn" in said
