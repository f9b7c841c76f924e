"""The simulation models of cells: those that Yosys ships, and ours in `cells.v`, which go before."""

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


def models(shipped: Iterable[str], types: set[str]) -> str:
    """The models of these cells and of the cells that they are made of; `shipped`: Yosys' files with the others.

    Two changes to the latter. Whether a pin is open is known in the netlist, so nothing is compared with Z. The carry
    of ECP5's TRELLIS_COMB is assigned to the port: as shipped it is a local wire of the port's name. BuildError where a
    cell has no model, or only a black box.
    """
    found: dict[str, str] = {}
    for text in [*((tools.yosys_share() / file).read_text() for file in shipped), OWN_CELLS.read_text()]:
        found |= {match[2]: match[0] for match in MODULE.finditer(text) if "blackbox" not in (match[1] or "")}
    wanted, chosen = [*sorted(types)], dict[str, str]()
    while wanted:
        name = wanted.pop()
        if name in found and name not in chosen:
            chosen[name] = found[name]
            wanted += [inner for inner in found if re.search(rf"\b{inner}\b", found[name])]
    missing = types - set(chosen)
    if missing:
        raise BuildError(f"there is no simulation model of {', '.join(sorted(missing))}")
    text = "\n".join([HEADER, *chosen.values()])
    text = re.sub(r"\((\w+) === 1'bz\) \? 1'b[01] : (\w+)", r"\2", text)
    return text.replace("wire FCO = ", "assign FCO = ")
