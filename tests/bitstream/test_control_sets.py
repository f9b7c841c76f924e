"""Nets that enable some flip-flops and reset others are split where nextpnr may promote them, and no others."""

from typing import Any

import pytest

from spikeveil.host.bitstream.control_sets import MIN_FAN_OUT, split_mixed_nets


def module(enables: int, resets: int) -> dict[str, Any]:
    """Flip-flops of which bit 2 enables so many, and resets so many others."""
    cells: dict[str, Any] = {}
    for index in range(enables + resets):
        kind, pin = ("SB_DFFE", "E") if index < enables else ("SB_DFFSR", "R")
        pins = {"C": [1], "D": [10 + index], pin: [2], "Q": [100 + index]}
        directions = {name: "output" if name == "Q" else "input" for name in pins}
        cells[f"ff{index}"] = {"type": kind, "parameters": {}, "port_directions": directions, "connections": pins}
    return {"cells": cells, "ports": {}}


def roles(design: dict[str, Any]) -> tuple[set[int], set[int]]:
    """The nets at enables and at resets."""
    cells = design["cells"].values()
    return tuple({cell["connections"][pin][0] for cell in cells if pin in cell["connections"]} for pin in "ER")  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("enables", "resets"), [(1, MIN_FAN_OUT), (MIN_FAN_OUT, 1), (MIN_FAN_OUT, MIN_FAN_OUT), (3, 40)]
)
def test_the_smaller_role_gets_a_buffer(enables: int, resets: int) -> None:
    design = module(enables, resets)
    assert split_mixed_nets(design) == 1
    at_enables, at_resets = roles(design)
    assert len(at_enables) == len(at_resets) == 1 and at_enables != at_resets
    unbuffered = at_enables if enables >= resets else at_resets
    assert unbuffered == {2}
    (buffer,) = [cell for cell in design["cells"].values() if cell["type"] == "SB_LUT4"]
    assert buffer["connections"]["I0"] == [2]
    assert buffer["connections"]["O"] == list((at_enables | at_resets) - {2})
    table = buffer["parameters"]["LUT_INIT"]
    assert all(table[15 - row] == str(row & 1) for row in range(16))  # the output is I0
    assert split_mixed_nets(design) == 0


@pytest.mark.parametrize(("enables", "resets"), [(0, 40), (40, 0), (MIN_FAN_OUT - 1, MIN_FAN_OUT - 1)])
def test_nets_of_one_role_or_of_few_flip_flops_stay(enables: int, resets: int) -> None:
    design = module(enables, resets)
    assert split_mixed_nets(design) == 0
    assert len(design["cells"]) == enables + resets
