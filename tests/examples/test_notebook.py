"""examples/notebook: every cell runs; the bitstream is made under --soak alone."""

import re
import runpy
from pathlib import Path
from typing import Any

import pytest
from support.paths import EXAMPLES

import spikeveil

pytest.importorskip("torch")

NOTEBOOK = EXAMPLES / "notebook" / "private_chip.py"


def test_the_file_is_a_notebook_of_text_and_code() -> None:
    text = NOTEBOOK.read_text()
    assert "extension: .py" in text and "format_name: percent" in text
    assert len(re.findall(r"^# %% \[markdown\]$", text, re.M)) >= 4 and len(re.findall(r"^# %%$", text, re.M)) >= 5


@pytest.mark.verilator
def test_every_cell_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], soak: bool
) -> None:
    def build(chip: spikeveil.Chip, folder: str, seed: int = 1) -> Path:
        chip._memory.report = {"resources": {name: figure.value for name, figure in chip.estimate().resources.items()}}
        return Path(folder) / "icebreaker.bin"

    monkeypatch.chdir(tmp_path)
    if not soak:
        monkeypatch.setattr(spikeveil.Chip, "build", build)
    names: dict[str, Any] = runpy.run_path(str(NOTEBOOK))
    shown = capsys.readouterr().out
    assert "record epsilon 4.0000" in shown or "record epsilon 3.9999" in shown
    chip = names["chip"]
    assert chip.accuracy(names["x"], names["labels"]) > 0.7
    for figure in chip.estimate().resources.items():
        assert figure[1].value <= chip.board.chip.available(figure[0])
