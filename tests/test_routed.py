"""After place and route: nextpnr's netlist, behind the device's own link, releases what the golden model does."""

from typing import Any

import numpy as np
import pytest

from spikeveil.boards.catalogue import find
from spikeveil.hdl.plan import Plan
from spikeveil.host.bitstream import check, routed, tools
from spikeveil.host.bitstream.errors import BuildError
from spikeveil.host.bitstream.flow import Build
from spikeveil.host.bitstream.netlist import prepare
from spikeveil.pysim import FlipSpec, LayerSpec, Network, NetworkSpec, TriviumSource

pytest.importorskip("amaranth_boards")

KEY = bytes.fromhex("80000000000000000001")
DICE = np.random.default_rng(5)
SPEC = NetworkSpec(
    [
        LayerSpec(DICE.integers(-6, 8, (8, 12)), threshold=9, state_bits=8, weight_bits=4, flip=FlipSpec(3, 4)),
        LayerSpec(DICE.integers(-6, 8, (5, 8)), threshold=7, state_bits=8, weight_bits=4, flip=FlipSpec(40, 8)),
    ]
)
SPIKES = DICE.random((4, 7, 12)) < 0.4


@pytest.mark.slow
@pytest.mark.verilator
@pytest.mark.parametrize("board", ["hx8k", "ulx3s-12f"])
def test_routed_design_releases_the_golden_models_spikes(board: str, soak: bool) -> None:
    if not soak:
        pytest.skip("minutes: run with --soak")
    chosen = find(board)
    missing = [tool.name for tool in tools.of_family(chosen.chip.family) if tools.locate(tool) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")
    build = Build.of(Plan(SPEC, lanes=3), chosen)
    build.synthesise()
    build.place(1)
    found = check.released(routed.routed(build, 1), SPIKES, KEY)
    wanted = Network(SPEC, TriviumSource(KEY)).run(SPIKES, lease=1).released
    np.testing.assert_array_equal(found, wanted)
    assert 0 < wanted.sum() < wanted.size


def cell(kind: str, inputs: dict[str, list[Any]], outputs: dict[str, list[Any]], **parameters: str) -> dict[str, Any]:
    """A cell as nextpnr writes it."""
    directions = dict.fromkeys(inputs, "input") | dict.fromkeys(outputs, "output")
    connections = {**inputs, **outputs}
    return {"type": kind, "parameters": parameters, "port_directions": directions, "connections": connections}


def module(**cells: dict[str, Any]) -> dict[str, Any]:
    """A module with a clock, an input and an output at pads 1, 2 and 3."""
    ports = {name: {"direction": "inout", "bits": [bit]} for name, bit in (("clk", 1), ("rx", 2), ("tx", 3))}
    return {"cells": cells, "ports": ports, "netnames": {}}


def test_pads_become_ports_and_the_pll_a_wire() -> None:
    design = module(
        clock=cell("SB_IO", {"PACKAGE_PIN": [1]}, {"GLOBAL_BUFFER_OUTPUT": []}),
        rx=cell("SB_IO", {"PACKAGE_PIN": [2]}, {"D_IN_0": [20]}),
        tx=cell("SB_IO", {"PACKAGE_PIN": [3], "D_OUT_0": [30]}, {}),
        pll=cell("ICESTORM_PLL", {"REFERENCECLK": [10]}, {"LOCK": [40]}),
        buffer=cell("SB_GB", {"USER_SIGNAL_TO_GLOBAL_BUFFER": []}, {"GLOBAL_BUFFER_OUTPUT": [50]}),
        use=cell("SB_GB", {"USER_SIGNAL_TO_GLOBAL_BUFFER": [20]}, {"GLOBAL_BUFFER_OUTPUT": [30]}),
        lock=cell("SB_GB", {"USER_SIGNAL_TO_GLOBAL_BUFFER": [40]}, {"GLOBAL_BUFFER_OUTPUT": [60]}),
    )
    prepare(design, "ice40", "clk")
    assert {name: (port["direction"], port["bits"]) for name, port in design["ports"].items()} == {
        "clk": ("input", [1]),
        "rx": ("input", [2]),
        "tx": ("output", [30]),
    }
    inputs = {name: found["connections"]["USER_SIGNAL_TO_GLOBAL_BUFFER"] for name, found in design["cells"].items()}
    assert inputs == {"buffer": [1], "use": [2], "lock": ["1"]}


def test_a_logic_cell_is_split_at_its_carry() -> None:
    """Its table is an inverter of I3 whose output comes back as I2, which only the carry looks at."""
    design = module(
        lc=cell(
            "ICESTORM_LC",
            {"I0": [], "I1": [7], "I2": [8], "I3": [9], "CIN": [6], "CLK": [], "CEN": [], "SR": []},
            {"O": [8], "COUT": [5], "LO": []},
            LUT_INIT="0000000011111111",
            CARRY_ENABLE="1",
            DFF_ENABLE="0",
        )
    )
    prepare(design, "ice40", "clk")
    table, carry = design["cells"]["lc"]["connections"], design["cells"]["lc$carry"]["connections"]
    assert (table["I0"], table["I1"], table["I2"], table["I3"]) == (["0"], ["0"], ["0"], [9])
    assert (table["O"], table["CEN"], table["SR"]) == ([8], ["1"], ["0"])
    assert "COUT" not in table
    assert (carry["I1"], carry["I2"], carry["CIN"], carry["COUT"]) == ([7], [8], [6], [5])
    assert "O" not in carry


def test_an_ecp5_flip_flop_takes_the_input_that_is_used() -> None:
    pins: dict[str, list[Any]] = {"CLK": [1], "DI": [], "M": [2], "LSR": [], "CE": []}
    design = module(ff=cell("TRELLIS_FF", pins, {"Q": [4]}, SD="0 ", LSRMUX="LSR", CEMUX="1 "))
    prepare(design, "ecp5", "clk")
    assert design["cells"]["ff"]["connections"] == {
        "CLK": [1],
        "DI": [2],
        "M": ["0"],
        "LSR": ["0"],
        "CE": ["1"],
        "Q": [4],
    }


def test_what_has_no_model_is_refused() -> None:
    with pytest.raises(BuildError, match=r"^a routed netlist of gowin cannot be simulated: only of ice40 and ecp5$"):
        prepare(module(), "gowin", "clk")
    ram = cell("TRELLIS_COMB", {"WRE": [2]}, {"F": [4]}, MODE="DPRAM", WREMUX="INV")
    with pytest.raises(BuildError, match=r"^cell ram of the routed netlist has WREMUX 'INV': no model of that$"):
        prepare(module(ram=ram), "ecp5", "clk")


def test_unknown_bits_are_zero() -> None:
    text = "  assign a = 8'hx3;\n  always @(posedge 1'h0) begin\n  end\n  assign x = 4'bx01x;\n"
    assert routed.two_valued(text) == "  assign a = 8'h03;\n  assign x = 4'b0010;\n"
