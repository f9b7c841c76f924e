"""scripts/vague_names.py: what counts as a vague name, and how many the packages have."""

import subprocess
import sys
from pathlib import Path

import pytest
from support.paths import ROOT
from support.scripts import load_script

SCRIPT = load_script("vague_names")

#: the highest share of vague names, in per cent
LIMITS = {
    "hdl": 3.0,
    "pysim": 3.0,
    "host": 5.0,
    "boards": 3.0,
}


@pytest.mark.parametrize(
    "name",
    ["place", "each", "own", "some", "left", "held", "whole", "told", "again", "huge", "found", "_held", "AllTaken"],
)
def test_function_words_and_participles_are_vague(name: str) -> None:
    assert SCRIPT.is_vague(name)


@pytest.mark.parametrize(
    "name",
    ["write_index", "pending", "sent", "lane_plan", "held_row", "released", "i", "row", "W", "FoundKey", "is_ready"],
)
def test_roles_are_not(name: str) -> None:
    assert not SCRIPT.is_vague(name)


def test_counts_every_kind_of_binding_once(tmp_path: Path) -> None:
    (tmp_path / "example.py").write_text(
        "class Held:\n"
        "    own: int = 0\n"
        "    def each(self, some, *, row=1):\n"
        "        self.left = 0\n"
        "        self.left += 1\n"
        "        for again in row:\n"
        "            with again as whole:\n"
        "                width = huge = 2\n"
        "        try:\n"
        "            place = (told := width)\n"
        "        except OSError as found:\n"
        "            raise\n"
    )
    vague, count = SCRIPT.survey(tmp_path)
    assert [(bound.name, bound.line) for bound in vague] == [
        ("Held", 1),
        ("own", 2),
        ("each", 3),
        ("some", 3),
        ("left", 4),
        ("again", 6),
        ("whole", 7),
        ("huge", 8),
        ("place", 10),
        ("told", 10),
        ("found", 11),
    ]
    assert count == 13  # and `row`, `width`


@pytest.mark.parametrize("folder", LIMITS)
def test_share_of_vague_names(folder: str) -> None:
    vague, count = SCRIPT.survey(ROOT / folder)
    share = 100 * len(vague) / count
    assert share <= LIMITS[folder], "\n".join(f"{bound.path}:{bound.line}: {bound.name}" for bound in vague)


@pytest.mark.parametrize(("limit", "status"), [("49.9", 1), ("50", 0)])
def test_limit_sets_the_exit_status(tmp_path: Path, limit: str, status: int) -> None:
    (tmp_path / "example.py").write_text("held = 1\nrow = 2\nplace = 3\nwidth = 4\n")
    command = [sys.executable, SCRIPT.__file__, str(tmp_path), "--list", "--limit", limit]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == status
    assert done.stdout == (
        f"{tmp_path}/example.py:1: held\n"
        f"{tmp_path}/example.py:3: place\n"
        f"{tmp_path}: 2 of 4 bound names are vague, 50.0 %\n"
    )
