"""The caches: what was used last stays, several processes may evict at once, and builders keep to their bound."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from spikeveil.host import caches
from spikeveil.host.bitstream import build as builds
from spikeveil.host.bitstream.cache import build_folder
from spikeveil.host.cosim import verilator_build
from spikeveil.host.data import download

DAY = 24 * 3600


def entry(cache: Path, name: str, days: float) -> Path:
    """A whole entry that was used so long ago."""
    made = cache / name
    made.mkdir(parents=True)
    (made / "program").write_text(name)
    os.utime(made, (time.time() - days * DAY,) * 2)
    return made


def names(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.iterdir())


def test_what_was_used_last_stays(tmp_path: Path) -> None:
    made = [entry(tmp_path, str(days), days) for days in (9, 2, 7, 5, 3)]
    (tmp_path / "file").touch()
    caches.touch(made[0])
    assert caches.evict(tmp_path, 3) == [made[3], made[2]]
    assert names(tmp_path) == ["2", "3", "9", "file"]
    assert caches.evict(tmp_path, 3) == []


def test_what_was_used_a_while_ago_may_be_in_use_still(tmp_path: Path) -> None:
    entry(tmp_path, "new", 0.9)
    entry(tmp_path, "old", 1.1)
    assert [path.name for path in caches.evict(tmp_path, 0)] == ["old"]
    assert caches.evict(tmp_path, 0) == []


def test_what_was_cut_off_goes_when_it_is_old(tmp_path: Path) -> None:
    for name, days in ((".building-a", 2.0), (".building-b", 0.5), ("whole", 3.0)):
        entry(tmp_path, name, days)
    assert [path.name for path in caches.evict(tmp_path, 5)] == [".building-a"]
    assert names(tmp_path) == [".building-b", "whole"]


def test_no_cache_and_no_entry(tmp_path: Path) -> None:
    assert caches.evict(tmp_path / "none", 1) == []
    caches.touch(tmp_path / "none")
    assert not (tmp_path / "none").exists()


EVICT = """
import sys
from pathlib import Path
from spikeveil.host import caches
print(*(path.name for path in caches.evict(Path(sys.argv[1]), 5)))
"""


def test_several_processes_at_once(tmp_path: Path) -> None:
    """Each entry goes once, none is left in part, and nobody fails."""
    for number in range(200):
        entry(tmp_path, f"{number:03}", 2 + number)
    command = [sys.executable, "-c", EVICT, str(tmp_path)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    gone = [name for process in started for name in process.communicate()[0].split()]
    assert [process.returncode for process in started] == [0] * 4
    assert sorted(gone) == [f"{number:03}" for number in range(5, 200)]
    assert names(tmp_path) == [f"{number:03}" for number in range(5)]
    assert all((tmp_path / name / "program").exists() for name in names(tmp_path))


def test_each_cache_is_where_the_user_wants_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    found = [verilator_build.cache_folder(), build_folder(), download.cache_folder()]
    assert found == [tmp_path / "spikeveil" / name for name in ("cosim", "build", "data")]
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert caches.folder("cosim") == tmp_path / ".cache" / "spikeveil" / "cosim"


@pytest.mark.verilator
def test_simulators_keep_to_the_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The compiler is left out: what is built is a file of the program's name."""

    def compiled(root: Path, folder: Path, program: verilator_build.Program, sources: tuple[str, ...]) -> None:
        (folder / program.kind).write_text(program.design[0])

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(verilator_build, "_compile", compiled)
    monkeypatch.setattr(verilator_build, "MAX_ENTRIES", 3)

    def built(design: str) -> Path:
        program = verilator_build.Program("sim", (design,), lambda: {"top.v": ""}, "top", Path(__file__))
        return verilator_build.build(program)

    made = {design: built(design) for design in "abcd"}
    for days, folder in enumerate(made.values(), 2):
        os.utime(folder, (time.time() - days * DAY,) * 2)
    assert built("d") == made["d"]  # found, and so the newest
    built("e")
    assert [design for design, folder in made.items() if folder.exists()] == ["a", "d"]
    assert (built("b") / "sim").read_text() == "b"


def test_builds_keep_to_the_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No tool runs: a build's only step writes a file. A folder of the user's own is left alone."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(builds, "MAX_BUILDS", 2)

    def built(base: Path, name: str) -> None:
        build = builds.Build(None, None, base / name)  # type: ignore[arg-type]
        build.run_stage("pack", (1, 1, "pack"), builds.SILENT, lambda folder: (folder / "top.bin").touch())

    for base in (build_folder(), tmp_path / "own"):
        for days, name in enumerate("abc", 2):
            entry(base, name, days)
        built(base, "d")
    assert names(build_folder()) == ["a", "d"]
    assert names(tmp_path / "own") == ["a", "b", "c", "d"]
