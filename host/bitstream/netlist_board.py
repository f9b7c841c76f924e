"""Virtual boards whose gateware is a netlist written by the tools; shared by all simulation levels."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from spikeveil.boards.board import Board
from spikeveil.boards.chips import Family
from spikeveil.host.bitstream import cells_ecp5, cells_gowin, cells_ice40, tools
from spikeveil.host.bitstream.build import Build
from spikeveil.host.bitstream.cell_models import simulation_models
from spikeveil.host.bitstream.netlist import Handler, prepare_for_simulation
from spikeveil.host.bitstream.stages import Listener
from spikeveil.host.cosim import verilator_build
from spikeveil.host.virtual.build import MAIN, BoardSpec
from spikeveil.host.virtual.build import PROGRAM as KIND  # the name under which `host.virtual` looks for a program

HANDLERS: Mapping[Family, Mapping[str, Handler]] = {
    "ice40": cells_ice40.HANDLERS,
    "ecp5": cells_ecp5.HANDLERS,
    "gowin": cells_gowin.HANDLERS,
}
QUIET_WARNINGS = ("-Wno-fatal", "-Wno-lint", "-Wno-style")  # the netlist is generated
COMPILER_OPTIONS = ("-CFLAGS", "-O1")  # a third of the compile time of -O2, and as fast
#: files of this package that a simulation netlist depends on
SOURCES = (
    "cells*",
    "cell_models.py",
    "netlist*.py",
    "synthesised_netlist.py",
    "routed_netlist.py",
    "unpacked_bitstream.py",
)
SCRIPT = """read_verilog -DNO_ICE40_DEFAULT_ASSIGNMENTS cells.v
read_json prepared.json
hierarchy -check -top top
proc
flatten
opt -fast
techmap t:$mem* %n
abc -lut 5
opt_clean -purge
rename top netlist
write_verilog -noattr yosys.v
"""


@dataclass(frozen=True)
class NetlistBoard(BoardSpec):
    """A virtual board whose gateware is Verilog.

    | field | meaning |
    |---|---|
    | `netlist` | the text of the module `netlist` |
    | `wrapper` | the text of the top level, which connects the board's ports to it |
    """

    netlist: str = field(default="", repr=False)
    wrapper: str = field(default="", repr=False)

    def program(self) -> verilator_build.Program:
        """What to build."""
        return verilator_build.Program(
            kind=KIND,
            design=(self.netlist, self.wrapper),
            sources=lambda: {"top.v": self.wrapper, "netlist.v": self.netlist},
            top="top",
            main=MAIN,
            options=(*QUIET_WARNINGS, *COMPILER_OPTIONS),
        )


def board_of(
    build: Build, name: str, numbering: tuple[int, int, str], listener: Listener, work: Callable[[Path], None]
) -> NetlistBoard:
    """The virtual board of the `netlist.v` that `work` writes in a stage; arguments as for `Build.run_stage`."""
    done = build.run_stage(f"{name}-{_sources_digest()}", numbering, listener, work)
    board, text = build.board, (done.folder / "netlist.v").read_text()
    return NetlistBoard(build.plan, clock=board.clock_hz, baud=board.baud, netlist=text, wrapper=board_wrapper(board))


@cache
def _sources_digest() -> str:
    """Digest of the code that generates simulation netlists, for the name of the stage's folder."""
    folder = Path(__file__).parent
    paths = sorted(path for pattern in SOURCES for path in folder.glob(pattern) if path.is_file())
    return hashlib.sha256("\0".join(path.read_text() for path in paths).encode()).hexdigest()[:8]


def write_simulation_netlist(design: dict[str, Any], build: Build, folder: Path) -> None:
    """Write `netlist.v` in `folder`: a design (Yosys' JSON) with its cells replaced by their models."""
    top = design["modules"]["top"]
    prepare_for_simulation(top, HANDLERS[build.board.chip.family], clock_port(build.board))
    types = {cell["type"] for cell in top["cells"].values()}
    prepared = folder / "prepared.json"
    prepared.write_text(json.dumps({**design, "modules": {"top": top}}))
    (folder / "cells.v").write_text(simulation_models(build.tool_flow.models, types))
    (folder / "netlist.ys").write_text(SCRIPT)
    tools.run(tools.YOSYS, ["-q", "-l", "yosys.log", "netlist.ys"], folder, "netlist.log")
    (folder / "netlist.v").write_text(two_valued((folder / "yosys.v").read_text()))
    prepared.unlink()


def two_valued(text: str) -> str:
    """Verilog with unknown bits replaced by zero, and without clocked processes whose clock is a constant."""
    text = re.sub(r"(?<=')([hbd])([0-9a-fx_]*x[0-9a-fx_]*)", lambda match: match[0].replace("x", "0"), text)
    return re.sub(r"  always @\((pos|neg)edge 1'h[01]\) begin\n  end\n", "", text)


def clock_port(board: Board) -> str:
    """The name of the port of the board's clock."""
    return f"{board.platform().default_clk}_0__io"


def board_wrapper(board: Board) -> str:
    """Verilog that connects the virtual board's ports to the netlist's pins."""
    leds = "".join(f", .led_{index}__io(leds[{index}])" for index in range(board.leds))
    idle = "".join(f"  assign leds[{index}] = 1'b0;\n" for index in range(board.leds, 3))
    return (
        "module top(input clk, input rst, input rx, output tx, output [2:0] leds);\n"
        f"{idle}  netlist netlist(.{clock_port(board)}(clk), .uart_0__rx__io(rx), .uart_0__tx__io(tx){leds});\n"
        "endmodule\n"
    )
