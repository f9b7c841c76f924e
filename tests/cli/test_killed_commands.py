"""Killed commands leave no key and no input on the disk and no process; the next start is right."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from support.commands import invoke

from spikeveil.pysim import FlipSpec, LayerSpec, NetworkSpec

KEY = bytes.fromhex("d7098d7a5b8f27cdfb58")
SPEC = NetworkSpec([LayerSpec(np.eye(6, dtype=int) * 5, 4, flip=FlipSpec(40, 8))])


def marked(mark: str) -> list[int]:
    """The processes with `mark` in their environment."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            alive = folder.name.isdigit() and "Z" not in (folder / "stat").read_text().rpartition(")")[2].split()[0]
            if alive and f"MARK={mark}".encode() in (folder / "environ").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def wait_until_gone(mark: str, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while processes := marked(mark):
        assert time.monotonic() < deadline, processes
        time.sleep(0.05)


def kill_at_random(arguments: list[str], environment: dict[str, str], seconds: float, dice: random.Random) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "spikeveil", *arguments],
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        time.sleep(dice.uniform(0, seconds))
        process.send_signal(signal.SIGKILL)
    wait_until_gone(environment["MARK"])


@pytest.mark.verilator
def test_simulate_leaves_no_secret_and_no_process(tmp_path: Path, soak: bool) -> None:
    """100 kills under --soak."""
    data, key, temporary = tmp_path / "x.npy", tmp_path / "key", tmp_path / "tmp"
    spikes = np.random.default_rng(2).random((400, 8, 6)) < 0.5
    np.save(data, spikes)
    SPEC.save(tmp_path / "net.snn")
    key.write_text(KEY.hex())
    key.chmod(0o600)
    temporary.mkdir()
    arguments = ["simulate", str(tmp_path / "net.snn"), "--data", str(data), "--engine", "verilator"]
    arguments += ["--key-file", str(key), "--lease", str(1 << 39), "-o", str(tmp_path / "out.npz")]
    invoke(*arguments)
    undisturbed = dict(np.load(tmp_path / "out.npz"))
    start = time.monotonic()
    environment = {"TMPDIR": str(temporary), "MARK": f"killed-{os.getpid()}"}
    subprocess.run([sys.executable, "-m", "spikeveil", *arguments], env={**os.environ, **environment}, check=True)
    seconds, dice = time.monotonic() - start, random.Random(1)
    secrets = [KEY, KEY.hex().encode(), np.packbits(spikes[0], bitorder="little").tobytes()]
    for _ in range(100 if soak else 3):
        (tmp_path / "out.npz").unlink(missing_ok=True)
        kill_at_random(arguments, environment, seconds, dice)
        for path in (path for path in temporary.rglob("*") if path.is_file()):
            content = path.read_bytes()
            assert not any(secret in content or secret[::-1] in content for secret in secrets), path
        if (tmp_path / "out.npz").exists():
            assert all((np.load(tmp_path / "out.npz")[name] == undisturbed[name]).all() for name in undisturbed)
    subprocess.run([sys.executable, "-m", "spikeveil", *arguments], env={**os.environ, **environment}, check=True)
    assert all((np.load(tmp_path / "out.npz")[name] == undisturbed[name]).all() for name in undisturbed)
    assert list(temporary.iterdir()) == []


@pytest.mark.verilator
def test_a_killed_board_takes_its_link_along(tmp_path: Path, soak: bool) -> None:
    """100 kills under --soak."""
    SPEC.save(tmp_path / "net.snn")
    link, mark = tmp_path / "port", f"board-{os.getpid()}"
    command = [sys.executable, "-m", "spikeveil", "board", str(tmp_path / "net.snn"), "--fast", "--link", str(link)]
    for _ in range(100 if soak else 2):
        environment = {**os.environ, "MARK": mark}
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
            assert process.stdout is not None and process.stdout.readline()
            assert link.is_symlink()
            process.send_signal(signal.SIGKILL)
        wait_until_gone(mark)
        assert not link.is_symlink()
