"""The bitstream unpacked again: what is changed of icebox_vlog's Verilog, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest

from spikeveil.boards.catalogue import find
from spikeveil.hdl.engine.plan import Plan
from spikeveil.host.bitstream import tools
from spikeveil.host.bitstream.build import Build
from spikeveil.host.bitstream.errors import BuildError
from spikeveil.host.bitstream.unpacked_bitstream import clean_verilog, unpacked_bitstream
from spikeveil.pysim import FlipSpec, LayerSpec, NetworkSpec

pytest.importorskip("amaranth_boards")

PLAN = Plan(NetworkSpec([LayerSpec(np.ones((3, 4), int), threshold=2, weight_bits=3, flip=FlipSpec(3, 4))]), lanes=1)
CHIP = """
module netlist (input clk12_0__io, output uart_0__tx__io);

wire n1, clk12_0__io, n3;
wire uart_0__tx__io;
reg n4 = 0;
SB_PLL40_PAD #(
  .FEEDBACK_PATH("SIMPLE"),
  .DIVF(7'b1001111)
) PLL_16_0 (
  .PACKAGEPIN(n5),
  .PLLOUTGLOBAL(n1)
);
endmodule
"""


def test_ports_are_declared_once_and_the_pll_is_a_wire() -> None:
    assert clean_verilog(CHIP, "clk12_0__io") == (
        "\nmodule netlist (input clk12_0__io, output uart_0__tx__io);\n\nwire n1, n3;\nreg n4 = 0;\n"
        "SIM_PLL PLL_16_0 (\n  .REFERENCECLK(clk12_0__io),\n  .PLLOUTGLOBAL(n1)\n);\nendmodule\n"
    )


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """A build whose routed design has an SPRAM."""
    folder = tmp_path / "build"
    (folder / "place-1").mkdir(parents=True)
    cells = {"ram": {"type": "ICESTORM_SPRAM"}, "a": {"type": "ICESTORM_LC"}}
    (folder / "place-1" / "routed.json").write_text(json.dumps({"modules": {"top": {"cells": cells}}}))
    return Build(PLAN, find("icebreaker"), folder)


def test_what_icebox_leaves_out_is_refused(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "locate", lambda tool: (Path("/usr/bin") / tool.name, False))
    with pytest.raises(BuildError) as caught:
        unpacked_bitstream(build, 1)
    assert str(caught.value) == "icebox_vlog does not support ICESTORM_SPRAM: simulate the routed netlist instead"


def test_icebox_is_named_where_it_is_missing(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "locate", lambda tool: None)
    with pytest.raises(BuildError, match=r"^icebox_vlog is not installed: sudo apt-get install fpga-icestorm$"):
        unpacked_bitstream(build, 1)
