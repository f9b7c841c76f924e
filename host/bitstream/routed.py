"""A placed and routed design behind the same serial port as the virtual board: nextpnr's netlist in Verilator."""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from spikeveil.host.bitstream import tools
from spikeveil.host.bitstream.errors import BuildError
from spikeveil.host.bitstream.flow import NOBODY, Build, Listener
from spikeveil.host.bitstream.netlist import prepare
from spikeveil.host.cosim import verilator_build
from spikeveil.host.virtual.build import MAIN, BoardSpec
from spikeveil.host.virtual.build import PROGRAM as VIRTUAL

if TYPE_CHECKING:
    from spikeveil.boards.board import Board

OWN_CELLS = Path(__file__).with_name("cells.v")
QUIET_WARNINGS = ("-Wno-fatal", "-Wno-lint", "-Wno-style")  # the netlist is the tools', not ours to style
MODULE = re.compile(r"(?ms)^module\s+(\w+).*?^endmodule")
HEADER = """`timescale 1ns / 1ns
`define ICE40_DEFAULT_ASSIGNMENT_V(v)
`define ICE40_DEFAULT_ASSIGNMENT_0
`define ICE40_DEFAULT_ASSIGNMENT_1
"""
KIND = VIRTUAL  # the name under which `host.virtual` looks for a built program


def netlist(build: Build, seed: int, listener: Listener = NOBODY) -> Path:
    """Verilog of the routed design of a seed, every cell replaced by its model, in the build's folder."""
    text = f"make the routed netlist of seed {seed} fit for simulation"
    done = build.step(f"netlist-{seed}", (1, 1, text), listener, lambda folder: _make(build, seed, folder))
    return done.folder / "netlist.v"


def _make(build: Build, seed: int, folder: Path) -> None:
    design = json.loads((build.folder / f"place-{seed}" / "routed.json").read_text())
    prepare(design["modules"]["top"], build.board.chip.family, clock_port(build.board))
    (folder / "prepared.json").write_text(json.dumps(design))
    types = {cell["type"] for cell in design["modules"]["top"]["cells"].values()}
    (folder / "cells.v").write_text(models(build, types))
    (folder / "netlist.ys").write_text("\n".join([*_script(), ""]))
    tools.run(tools.YOSYS, ["-q", "-l", "yosys.log", "netlist.ys"], folder, "netlist.log")
    (folder / "netlist.v").write_text(two_valued((folder / "yosys.v").read_text()))
    (folder / "prepared.json").unlink()


def _script() -> list[str]:
    return [
        "read_verilog -DNO_ICE40_DEFAULT_ASSIGNMENTS cells.v",
        "read_json prepared.json",
        "hierarchy -check -top top",
        "proc",
        "flatten",
        "opt -fast",
        "techmap t:$mem* %n",
        "abc -lut 5",
        "opt_clean -purge",
        "rename top netlist",
        "write_verilog -noattr yosys.v",
    ]


def models(build: Build, types: set[str]) -> str:
    """The models of these cells and of the cells that they are made of: ours, and those that Yosys ships.

    Two changes to the latter. Whether a pin is open is known in the netlist, so nothing is compared with Z. The carry
    of ECP5's TRELLIS_COMB is assigned to the port: as shipped it is a local wire of the port's name.
    """
    texts = [OWN_CELLS.read_text()]
    texts += [(tools.yosys_share() / model).read_text() for model in build.recipe.models]
    found = {match[1]: match[0] for text in texts for match in MODULE.finditer(text)}
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


def two_valued(text: str) -> str:
    """Verilog with its unknown bits zero, and without the clocked processes that have no clock and do nothing."""
    text = re.sub(r"(?<=')([hbd])([0-9a-fx_]*x[0-9a-fx_]*)", lambda found: found[0].replace("x", "0"), text)
    return re.sub(r"  always @\((pos|neg)edge 1'h[01]\) begin\n  end\n", "", text)


def clock_port(board: "Board") -> str:
    """The name of the port that the board's clock comes in by."""
    return f"{board.platform().default_clk}_0__io"


def wrapper(board: "Board") -> str:
    """The virtual board's ports around the pins."""
    leds = "".join(f", .led_{index}__io(leds[{index}])" for index in range(board.leds))
    idle = "".join(f"  assign leds[{index}] = 1'b0;\n" for index in range(board.leds, 3))
    return (
        "module top(input clk, input rst, input rx, output tx, output [2:0] leds);\n"
        f"{idle}  netlist netlist(.{clock_port(board)}(clk), .uart_0__rx__io(rx), .uart_0__tx__io(tx){leds});\n"
        "endmodule\n"
    )


@dataclass(frozen=True)
class RoutedBoard(BoardSpec):
    """A virtual board whose gateware is the netlist of a routed design: see `routed`."""

    netlist: str = field(default="", repr=False)
    pins_of: str = field(default="", repr=False)

    def program(self) -> verilator_build.Program:
        """What to build."""
        return verilator_build.Program(
            kind=KIND,
            design=("routed", self.netlist, self.pins_of),
            sources=lambda: {"top.v": self.pins_of, "netlist.v": self.netlist},
            top="top",
            main=MAIN,
            options=QUIET_WARNINGS,
        )


def routed(build: Build, seed: int, listener: Listener = NOBODY) -> RoutedBoard:
    """The virtual board of a placed seed. Its LEDs are as the pins drive them."""
    text = netlist(build, seed, listener).read_text()
    board = build.board
    return RoutedBoard(build.plan, clock=board.clock_hz, baud=board.baud, netlist=text, pins_of=wrapper(board))
