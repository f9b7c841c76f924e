"""What a user without a compiler sees before anything is installed."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.paths import ROOT

SCRIPT = ROOT / "scripts" / "preflight.sh"


def run(tmp_path: Path, tools: list[str]) -> subprocess.CompletedProcess[str]:
    """The script with only `tools` on its PATH."""
    for tool in tools:
        (tmp_path / tool).symlink_to(sys.executable if tool == "python3" else shutil.which(tool) or "/nonexistent")
    return subprocess.run(
        ["/bin/sh", str(SCRIPT)], env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )


def test_all_there(tmp_path: Path) -> None:
    done = run(tmp_path, ["g++", "make", "perl", "git", "python3"])
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("missing", ["g++", "make", "perl", "git", "python3"])
def test_names_what_is_missing_and_how_to_get_it(tmp_path: Path, missing: str) -> None:
    done = run(tmp_path, [tool for tool in ("g++", "make", "perl", "git", "python3") if tool != missing])
    assert done.returncode == 1
    assert done.stderr == (f"spikeveil needs {missing}: on Debian or Ubuntu, run 'sudo apt-get install {missing}'.\n")
