"""Programs and folders of killed processes: what a process started ends with it, and what it left is swept."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from spikeveil.host import children, sealed_folders
from spikeveil.host.cosim import verilator_build
from spikeveil.host.cosim.verilator_build import Program
from spikeveil.host.scratch import scratch_folder, sweep

GRANDCHILD = "sh -c 'echo $$ > {pids}; sleep 60 & echo $! >> {pids}; wait'"


def wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_returns_what_subprocess_run_returns() -> None:
    done = children.run(["sh", "-c", "cat; echo out; echo err >&2; exit 3"], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (3, "out\n", "err\n")
    assert children.run(["sh", "-c", "kill -9 $$"], stderr=subprocess.DEVNULL).returncode == 128 + 9


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_children_and_theirs_end_with_their_parent(tmp_path: Path, number: int) -> None:
    pids = tmp_path / "pids"
    program = f"from spikeveil.host import children; children.run(['sh', '-c', {GRANDCHILD.format(pids=pids)!r}])"
    with subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.DEVNULL) as parent:
        wait_until(lambda: pids.exists() and len(pids.read_text().split()) == 2)
        started = [int(pid) for pid in pids.read_text().split()]
        assert all(map(alive, started))
        parent.send_signal(number)
    wait_until(lambda: not any(map(alive, started)))


def test_a_folder_lives_as_long_as_its_process(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path; from spikeveil.host.scratch import scratch_folder\n"
        f"with scratch_folder(Path({str(tmp_path)!r}), 'work-'): print('ready', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None and owner.stdout.readline() == "ready\n"
        assert sweep(tmp_path, "work-") == []
        owner.kill()
    with scratch_folder(tmp_path, "work-") as folder:
        assert [path.name for path in tmp_path.iterdir()] == [folder.name]
        assert folder.stat().st_mode & 0o777 == 0o700
    assert list(tmp_path.iterdir()) == []


def test_folders_of_others_are_never_swept(tmp_path: Path) -> None:
    """A folder of the same prefix without our lock file may be a checkout of somebody: it stays, however old."""
    (tmp_path / "work-checkout").mkdir()
    (tmp_path / "work-checkout" / "precious").touch()
    os.utime(tmp_path / "work-checkout", (0, 0))
    (tmp_path / "work-link").symlink_to(tmp_path)
    assert sweep(tmp_path, "work-") == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["work-checkout", "work-link"]


def sealed(folder: Path, target: Path) -> None:
    (folder / "sub").mkdir(parents=True)
    (folder / "program").write_bytes(b"bits")
    (folder / "sub" / "empty").touch()
    sealed_folders.publish(folder, target, name="a", seconds=2.5)


def test_a_seal_is_broken_by_any_change(tmp_path: Path) -> None:
    target = tmp_path / "target"
    sealed(tmp_path / "first", target)
    assert sealed_folders.read_facts(target, name="a") == {"name": "a", "seconds": 2.5}
    assert sealed_folders.read_facts(target, name="b") is None
    for number, name in enumerate(("program", "sub/empty", "seal.json")):
        path = target / name
        whole = path.read_bytes()
        for content in (whole[:-1] + b"\1", whole + b"x", b"", None):
            path.unlink() if content is None else path.write_bytes(content)
            assert sealed_folders.read_facts(target) is None or content == whole
            path.write_bytes(whole)
        path.unlink()
        sealed(tmp_path / str(number), target)
        assert sealed_folders.read_facts(target, name="a") is not None


def test_a_damaged_simulator_is_built_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    builds = []

    def compile_(root: Path, folder: Path, program: Program, sources: tuple[str, ...]) -> None:
        builds.append(program.kind)
        (folder / program.kind).write_bytes(b"program")

    monkeypatch.setattr(verilator_build, "_compile", compile_)
    monkeypatch.setattr(verilator_build, "verilator_root", lambda: tmp_path)
    main = tmp_path / "main.cpp"
    main.touch()
    program = Program("bench", ("design",), lambda: {"top.v": "module"}, "top", main)
    folder = verilator_build.build(program, tmp_path / "cache")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    assert [path.name for path in files] == ["bench", "seal.json", "top.v"]
    for path in files:
        for content in (b"", path.read_bytes()[:-2], None):
            path.unlink() if content is None else path.write_bytes(content)
            assert verilator_build.build(program, tmp_path / "cache") == folder
            assert (folder / "bench").read_bytes() == b"program" and (folder / "top.v").read_text() == "module"
    assert len(builds) == 1 + 3 * len(files)
