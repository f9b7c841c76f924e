"""The largest number of lanes that fits and meets the clock. The tools are stand-ins."""

from pathlib import Path

import pytest
from support.commands import invoke
from support.fake_tools import SPEC, runs

pytest.importorskip("amaranth_boards")


def test_most_lanes_that_fit_and_meet_the_clock(stand_ins: Path, tmp_path: Path) -> None:
    network = tmp_path / "net.svn"
    SPEC.save(network)
    done = invoke("build", network, "--board", "hx8k", "--json")
    assert '"lanes": 6' in done.output  # as many as neurons
    slow = invoke("build", network, "--board", "hx8k", "--clock", 72, code=1)
    assert "no number of lanes is suitable; with 1: 64.2 MHz, and board hx8k runs at 72" in slow.output
    assert runs(stand_ins).count("yosys") == 1 + 5  # widths 6, 4, 3, 2, 1
