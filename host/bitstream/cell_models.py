"""Simulation models of cells: those that Yosys ships, overridden by the ones in `cells.v`."""

import re
from collections.abc import Iterable
from pathlib import Path

from spikeveil.host.bitstream import tools
from spikeveil.host.bitstream.errors import BuildError

OWN_CELLS = Path(__file__).with_name("cells.v")
MODULE = re.compile(r"(?ms)^(\(\*[^\n]*\*\)\n)?module\s+(\w+).*?^[ \t]*endmodule")
HEADER = """`timescale 1ns / 1ns
`define ICE40_DEFAULT_ASSIGNMENT_V(v)
`define ICE40_DEFAULT_ASSIGNMENT_0
`define ICE40_DEFAULT_ASSIGNMENT_1
`define SB_DFF_INIT initial Q = 0;
"""


def simulation_models(shipped: Iterable[str], types: set[str]) -> str:
    """Verilog models of these cell types and of the cells that they instantiate.

    shipped: Yosys' files with models. types: the cell types of the netlist. The shipped models are changed in two
    places: no pin is compared with Z, since the netlist shows which pins are open; and the carry of ECP5's TRELLIS_COMB
    is assigned to its port, which a local wire of the same name hides. BuildError where a cell has no model, or only a
    black box.
    """
    available: dict[str, str] = {}
    for text in [*((tools.yosys_share() / file).read_text() for file in shipped), OWN_CELLS.read_text()]:
        available |= {match[2]: match[0] for match in MODULE.finditer(text) if "blackbox" not in (match[1] or "")}
    queue, selected = [*sorted(types)], dict[str, str]()
    while queue:
        name = queue.pop()
        if name in available and name not in selected:
            selected[name] = available[name]
            queue += [inner for inner in available if re.search(rf"\b{inner}\b", available[name])]
    missing = types - set(selected)
    if missing:
        raise BuildError(f"there is no simulation model of {', '.join(sorted(missing))}")
    text = "\n".join([HEADER, *selected.values()])
    text = re.sub(r"\((\w+) === 1'bz\) \? 1'b[01] : (\w+)", r"\2", text)
    return text.replace("wire FCO = ", "assign FCO = ")
