"""Every register of the exported Verilog has a name: waveforms and timing reports show roles."""

import pytest
from support.paths import EXAMPLES
from support.scripts import load_script

from spikeveil.hdl.engine.plan import Plan
from spikeveil.host.networks.catalogue import load
from spikeveil.host.virtual import build

SCRIPT = load_script("unnamed_registers")

EXPORT = """\
  reg \\$signal  = 1'h0;
  reg [7:0] \\$signal$12  = 8'h00;
  wire \\$signal$2 ;
  reg [3:0] row = 4'h0;
  reg \\$36 ;
"""


def test_counts_registers_called_signal() -> None:
    assert SCRIPT.unnamed_registers(EXPORT) == [1, 2]


@pytest.mark.parametrize("loadable", [False, True], ids=["baked", "loadable"])
@pytest.mark.parametrize("network", ["digits", str(EXAMPLES / "mnist" / "mnist.snn")], ids=["digits", "mnist"])
def test_every_register_of_a_device_has_a_name(network: str, loadable: bool) -> None:
    plan = Plan(load(network), lanes=16, loadable=loadable)
    (text,) = build.verilog(build.BoardSpec(plan)).values()
    lines = text.splitlines()
    assert [lines[number - 1].strip() for number in SCRIPT.unnamed_registers(text)] == []
