"""Registers that move into a block RAM, and all those that must not."""

import copy
from typing import Any

import pytest

from spikeveil.host.bitstream.output_registers import absorb_registers


def register(data: int, q: int, **changes: Any) -> dict[str, Any]:
    """A flip-flop of ECP5 as Yosys writes it."""
    pins = {"CLK": [1], "DI": [data], "LSR": ["0"], "Q": [q]}
    parameters = {"CLKMUX": "CLK", "CEMUX": "1", "REGSET": "RESET", "LSRMUX": "LSR", "GSR": "AUTO"}
    for name, value in changes.items():
        (pins if name in (*pins, "CE", "M") else parameters)[name] = value
    directions = {pin: "output" if pin == "Q" else "input" for pin in pins}
    return {"type": "TRELLIS_FF", "parameters": parameters, "connections": pins, "port_directions": directions}


def module(**changes: Any) -> dict[str, Any]:
    """A block RAM read through port A at bits 10 and 11, each with a register behind it; bit 12 is not used."""
    pins = {"CLKA": [1], "OCEA": ["1"], "RSTA": ["0"], "DOA0": [10], "DOA1": [11], "DOA2": [12], "DOB0": [15]}
    ram = {
        "type": "DP16KD",
        "parameters": {"REGMODE_A": "NOREG", "REGMODE_B": "NOREG", "CLKAMUX": "CLKA"},
        "connections": pins,
        "port_directions": {pin: "output" if pin.startswith("DO") else "input" for pin in pins},
    }
    cells = {"ram": ram, "low": register(10, 20), "high": register(11, 21), "user": register(20, 30)}
    return {"cells": cells | changes, "ports": {"q": {"direction": "output", "bits": [21, 30]}}}


def test_registers_behind_every_used_output_move_in() -> None:
    design = module()
    assert absorb_registers(design) == 2
    ram = design["cells"]["ram"]
    assert set(design["cells"]) == {"ram", "user"}
    assert ram["parameters"]["REGMODE_A"] == "OUTREG"
    assert ram["parameters"]["REGMODE_B"] == "NOREG"
    assert (ram["connections"]["DOA0"], ram["connections"]["DOA1"], ram["connections"]["DOA2"]) == ([20], [21], [12])
    assert absorb_registers(design) == 0


def wide(**changes: Any) -> dict[str, Any]:
    """A block RAM that port B reads 36 bits wide: half of them are on port A's pins."""
    design = module(other=register(15, 25), **changes)
    pins = design["cells"]["ram"]["connections"]
    pins.update({"CLKA": ["0"], "CLKB": [1], "OCEB": ["1"], "RSTB": ["0"]})
    design["cells"]["ram"]["parameters"].update({"CLKBMUX": "CLKB", "DATA_WIDTH_B": f"{36:032b}"})
    design["cells"]["ram"]["port_directions"].update({"CLKB": "input", "OCEB": "input", "RSTB": "input"})
    return design


def test_a_port_of_36_bits_takes_the_registers_of_both_halves_or_none() -> None:
    design = wide()
    assert absorb_registers(design) == 3
    parameters = design["cells"]["ram"]["parameters"]
    assert (parameters["REGMODE_A"], parameters["REGMODE_B"]) == ("OUTREG", "OUTREG")
    half = wide(high=register(11, 21, CLK=[2]))
    original = copy.deepcopy(half)
    assert absorb_registers(half) == 0
    assert half == original


@pytest.mark.parametrize(
    "change",
    [
        {"high": register(11, 21, CEMUX="CE", CE=[7])},
        {"high": register(11, 21, LSR=[7])},
        {"high": register(11, 21, REGSET="SET")},
        {"high": register(11, 21, CLK=[2])},
        {"high": register(11, 21, CLKMUX="INV")},
        {"other": register(11, 22)},  # a second reader
        {"high": {**register(11, 21), "type": "LUT4"}},
        {"high": register(7, 21, M=[11])},
    ],
)
def test_a_register_that_does_more_stays(change: dict[str, Any]) -> None:
    design = module(**change)
    original = copy.deepcopy(design)
    assert absorb_registers(design) == 0
    assert design == original


@pytest.mark.parametrize(("pin", "value"), [("OCEA", [7]), ("RSTA", [7]), ("DOA0", [21])])
def test_a_port_that_does_more_keeps_its_registers(pin: str, value: list[Any]) -> None:
    design = module()
    design["cells"]["ram"]["connections"][pin] = value
    original = copy.deepcopy(design)
    assert absorb_registers(design) == 0
    assert design == original
