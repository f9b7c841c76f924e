"""What is changed of a netlist before it is simulated, cell by cell."""

from typing import Any

import pytest

from spikeveil.host.bitstream import cells_ecp5, cells_gowin, cells_ice40
from spikeveil.host.bitstream.errors import BuildError
from spikeveil.host.bitstream.netlist import prepare_for_simulation

ICE40, ECP5, GOWIN = cells_ice40.HANDLERS, cells_ecp5.HANDLERS, cells_gowin.HANDLERS


def cell(kind: str, inputs: dict[str, list[Any]], outputs: dict[str, list[Any]], **parameters: str) -> dict[str, Any]:
    """A cell as the tools write it."""
    directions = dict.fromkeys(inputs, "input") | dict.fromkeys(outputs, "output")
    connections = {**inputs, **outputs}
    return {"type": kind, "parameters": parameters, "port_directions": directions, "connections": connections}


def module(**cells: dict[str, Any]) -> dict[str, Any]:
    """A module with a clock, an input and an output at pads 1, 2 and 3."""
    ports = {name: {"direction": "inout", "bits": [bit]} for name, bit in (("clk", 1), ("rx", 2), ("tx", 3))}
    return {"cells": cells, "ports": ports, "netnames": {}}


def ports_of(design: dict[str, Any]) -> dict[str, tuple[str, Any]]:
    return {name: (port["direction"], port["bits"][0]) for name, port in design["ports"].items()}


def test_routed_pads_become_ports_and_the_pll_a_wire() -> None:
    design = module(
        clock=cell("SB_IO", {"PACKAGE_PIN": [1]}, {"GLOBAL_BUFFER_OUTPUT": []}),
        rx=cell("SB_IO", {"PACKAGE_PIN": [2]}, {"D_IN_0": [20]}),
        tx=cell("SB_IO", {"PACKAGE_PIN": [3], "D_OUT_0": [30]}, {}),
        pll=cell("ICESTORM_PLL", {"REFERENCECLK": [10]}, {"LOCK": [40]}),
        buffer=cell("SB_GB", {"USER_SIGNAL_TO_GLOBAL_BUFFER": []}, {"GLOBAL_BUFFER_OUTPUT": [50]}),
        use=cell("SB_GB", {"USER_SIGNAL_TO_GLOBAL_BUFFER": [20]}, {"GLOBAL_BUFFER_OUTPUT": [30]}),
        lock=cell("SB_GB", {"USER_SIGNAL_TO_GLOBAL_BUFFER": [40]}, {"GLOBAL_BUFFER_OUTPUT": [60]}),
    )
    prepare_for_simulation(design, ICE40, "clk")
    assert ports_of(design) == {"clk": ("input", 1), "rx": ("input", 2), "tx": ("output", 30)}
    inputs = {name: cell["connections"]["USER_SIGNAL_TO_GLOBAL_BUFFER"] for name, cell in design["cells"].items()}
    assert inputs == {"buffer": [1], "use": [2], "lock": ["1"]}


@pytest.mark.parametrize(
    ("handlers", "cells"),
    [
        (
            ICE40,
            {
                "clock": cell("SB_GB_IO", {"PACKAGE_PIN": [1]}, {"GLOBAL_BUFFER_OUTPUT": [10]}),
                "pll": cell("SB_PLL40_CORE", {"REFERENCECLK": [10]}, {"PLLOUTGLOBAL": [11], "LOCK": [12]}),
                "rx": cell("SB_IO", {"PACKAGE_PIN": [2]}, {"D_IN_0": [20]}),
                "tx": cell("SB_IO", {"PACKAGE_PIN": [3], "D_OUT_0": [30]}, {}),
            },
        ),
        (
            ICE40,
            {
                "pll": cell("SB_PLL40_PAD", {"PACKAGEPIN": [1]}, {"PLLOUTGLOBAL": [11], "LOCK": [12]}),
                "rx": cell("SB_IO", {"PACKAGE_PIN": [2]}, {"D_IN_0": [20]}),
                "tx": cell("SB_IO", {"PACKAGE_PIN": [3], "D_OUT_0": [30]}, {}),
            },
        ),
        (
            ECP5,
            {
                "clock": cell("TRELLIS_IO", {"B": [1]}, {"O": [10]}),
                "pll": cell("EHXPLLL", {"CLKI": [10]}, {"CLKOP": [11], "LOCK": [12]}),
                "rx": cell("TRELLIS_IO", {"B": [2]}, {"O": [20]}),
                "tx": cell("TRELLIS_IO", {"B": [3], "I": [30]}, {}),
            },
        ),
        (
            GOWIN,
            {
                "clock": cell("IBUF", {"I": [1]}, {"O": [11]}),
                "high": cell("VCC", {}, {"V": [12]}),
                "rx": cell("IBUF", {"I": [2]}, {"O": [20]}),
                "tx": cell("TBUF", {"I": [30], "OEN": [13]}, {"O": [3]}),
            },
        ),
    ],
    ids=["ice40", "ice40-pad", "ecp5", "gowin"],
)
def test_synthesised_pads_become_ports_and_the_pll_a_wire(handlers: Any, cells: dict[str, Any]) -> None:
    taps = cell("LUT4", {"A": [11], "B": [12], "C": [20], "D": ["x"]}, {"Z": [30]})
    design = module(**cells, taps=taps, scope=cell("$scopeinfo", {}, {}))
    prepare_for_simulation(design, handlers, "clk")
    assert set(design["cells"]) == {"taps"}
    assert taps["connections"] == {"A": [1], "B": ["1"], "C": [2], "D": ["0"], "Z": [30]}
    assert ports_of(design) == {"clk": ("input", 1), "rx": ("input", 2), "tx": ("output", 30)}


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
    prepare_for_simulation(design, ICE40, "clk")
    table, carry = design["cells"]["lc"]["connections"], design["cells"]["lc$carry"]["connections"]
    assert (table["I0"], table["I1"], table["I2"], table["I3"]) == (["0"], ["0"], ["0"], [9])
    assert (table["O"], table["CEN"], table["SR"]) == ([8], ["1"], ["0"])
    assert "COUT" not in table
    assert (carry["I1"], carry["I2"], carry["CIN"], carry["COUT"]) == ([7], [8], [6], [5])
    assert "O" not in carry


def test_a_routed_spram_gets_its_buses() -> None:
    pins: dict[str, list[Any]] = {f"ADDRESS_{index}": [100 + index] for index in range(14)}
    pins |= {"DATAIN_0": [20], "MASKWREN_3": [21], "WREN": [22], "CLOCK": [1], "STANDBY": []}
    design = module(ram=cell("ICESTORM_SPRAM", pins, {"DATAOUT_5": [30], "DATAOUT_6": []}))
    prepare_for_simulation(design, ICE40, "clk")
    ram = design["cells"]["ram"]
    assert ram["type"] == "SB_SPRAM256KA"
    assert ram["connections"]["ADDRESS"] == list(range(100, 114))
    assert ram["connections"]["DATAIN"] == [20, *["0"] * 15]
    assert ram["connections"]["MASKWREN"] == ["0", "0", "0", 21]
    assert (ram["connections"]["WREN"], ram["connections"]["STANDBY"]) == ([22], ["0"])
    assert ram["connections"]["DATAOUT"][5] == 30
    assert len(set(ram["connections"]["DATAOUT"])) == 16
    assert ram["port_directions"]["DATAOUT"] == "output"


def test_an_ecp5_flip_flop_takes_the_input_that_is_used() -> None:
    pins: dict[str, list[Any]] = {"CLK": [1], "DI": [], "M": [2], "LSR": [], "CE": []}
    design = module(ff=cell("TRELLIS_FF", pins, {"Q": [4]}, SD="0 ", LSRMUX="LSR", CEMUX="1 "))
    prepare_for_simulation(design, ECP5, "clk")
    prepared = design["cells"]["ff"]
    assert prepared["connections"] == {"CLK": [1], "DI": [2], "M": ["0"], "LSR": ["0"], "CE": ["1"], "Q": [4]}
    assert prepared["parameters"] == {"LSRMUX": "LSR", "CEMUX": "1 "}  # the model knows nothing of SD


def test_an_ecp5_place_that_joins_two_pairs_is_told_so() -> None:
    """nextpnr writes no IS_Z1: without it the model would join the place's own LUT and nothing."""
    pair = cell("TRELLIS_COMB", {"A": [1], "M": [2], "F1": [3]}, {"F": [4], "OFX": [5]}, INITVAL="10")
    pairs = cell("TRELLIS_COMB", {"A": [1], "M": [2], "FXA": [5], "FXB": [6]}, {"F": [7], "OFX": [8]}, INITVAL="10")
    design = module(pair=pair, pairs=pairs)
    prepare_for_simulation(design, ECP5, "clk")
    prepared = {name: design["cells"][name]["parameters"].get("IS_Z1") for name in ("pair", "pairs")}
    assert prepared == {"pair": None, "pairs": "1"}


def gowin_ram(kind: str, **parameters: str) -> dict[str, Any]:
    pins: dict[str, list[Any]] = {"CLK": [1], "CE": [18], "OCE": [18], "RESET": [17], "WRE": [21], "BLKSEL": [17] * 3}
    pins |= {"AD": [17, 17, 17, *range(40, 51)], "DI": list(range(60, 68))}
    given = {"BIT_WIDTH": f"{8:032b}", "WRITE_MODE": "01", "READ_MODE": "0", "RESET_MODE": "ASYNC", **parameters}
    return cell(kind, pins, {"DO": list(range(70, 78))}, **given)


def with_constants(**cells: dict[str, Any]) -> dict[str, Any]:
    return module(**cells, low=cell("GND", {}, {"G": [17]}), high=cell("VCC", {}, {"V": [18]}))


def test_a_gowin_block_ram_becomes_two_ports() -> None:
    first = "".join(f"{byte:08b}" for byte in reversed(range(32)))
    design = with_constants(ram=gowin_ram("SP", INIT_RAM_00=first))
    prepare_for_simulation(design, GOWIN, "clk")
    ram = design["cells"]["ram"]
    numbers = {name: int(value, 2) for name, value in ram["parameters"].items() if name != "INIT"}
    assert numbers == {"BYTE": 8, "WIDTH_A": 8, "MODE_A": 1, "OUTREG_A": 0}
    content = ram["parameters"]["INIT"]
    assert [int(content[len(content) - 9 * at - 9 : len(content) - 9 * at], 2) for at in range(33)] == [*range(32), 0]
    pins = ram["connections"]
    assert (pins["CLKA"], pins["CEA"], pins["WEA"], pins["RSTA"]) == ([1], ["1"], [21], ["0"])
    assert pins["ADA"] == ["0", "0", "0", *range(40, 51)]
    assert pins["DIA"] == [*range(60, 68), *["0"] * 28]
    assert pins["DOA"][:8] == list(range(70, 78))
    assert len({*pins["DOA"], *pins["DOB"]}) == 72
    assert (pins["CEB"], pins["WEB"]) == (["0"], ["0"])


def test_separate_gowin_ports_write_and_read() -> None:
    pins: dict[str, list[Any]] = {"CLKA": [1], "CEA": [21], "CLKB": [1], "CEB": [22], "OCE": [18]}
    pins |= {"RESETA": [17], "RESETB": [17], "ADA": [40], "ADB": [41], "DI": [50], "BLKSELA": [17], "BLKSELB": [17]}
    widths = {"BIT_WIDTH_0": f"{9:032b}", "BIT_WIDTH_1": f"{18:032b}", "READ_MODE": "1", "RESET_MODE": "SYNC"}
    design = with_constants(ram=cell("SDPX9B", pins, {"DO": [60]}, **widths))
    prepare_for_simulation(design, GOWIN, "clk")
    prepared = design["cells"]["ram"]["connections"]
    assert (prepared["WEA"], prepared["CEA"], prepared["ADA"][0], prepared["DIA"][0]) == (["1"], [21], 40, 50)
    assert (prepared["WEB"], prepared["CEB"], prepared["ADB"][0], prepared["DOB"][0]) == (["0"], [22], 41, 60)
    assert 60 not in prepared["DOA"]
    numbers = {name: int(value, 2) for name, value in design["cells"]["ram"]["parameters"].items() if name != "INIT"}
    assert (numbers["WIDTH_A"], numbers["WIDTH_B"], numbers["OUTREG_B"], numbers["BYTE"]) == (9, 18, 1, 9)


def test_what_has_no_model_is_refused() -> None:
    ram = cell("TRELLIS_COMB", {"WRE": [2]}, {"F": [4]}, MODE="DPRAM", WREMUX="INV")
    with pytest.raises(BuildError, match=r"^cell ram has WREMUX 'INV': it has no model$"):
        prepare_for_simulation(module(ram=ram), ECP5, "clk")
    ram = gowin_ram("SP")
    ram["connections"]["RESET"] = [90]
    with pytest.raises(BuildError, match=r"^block RAM ram is reset without a clock: it has no model$"):
        prepare_for_simulation(with_constants(ram=ram), GOWIN, "clk")
    ram = gowin_ram("SP")
    ram["connections"]["BLKSEL"] = [17, 90, 17]
    with pytest.raises(BuildError, match=r"^block RAM ram has a block select that is not tied: it has no model$"):
        prepare_for_simulation(with_constants(ram=ram), GOWIN, "clk")
