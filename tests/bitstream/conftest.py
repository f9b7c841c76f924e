"""Programs that stand in for the FPGA tools."""

import stat
from pathlib import Path

import pytest
from support.fake_tools import outputs, write

from spikeveil.host.bitstream import build as builds
from spikeveil.host.bitstream import tools


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
