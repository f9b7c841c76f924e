"""A netlist of the tools in the virtual board's place: what `synthesised`, `routed` and `unpacked` share."""

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spikeveil.boards.chips import Family
from spikeveil.host.bitstream import cells_ecp5, cells_gowin, cells_ice40, tools
from spikeveil.host.bitstream.cell_models import models
from spikeveil.host.bitstream.flow import Build, Listener
from spikeveil.host.bitstream.netlist import Handler, prepare
from spikeveil.host.cosim import verilator_build
from spikeveil.host.virtual.build import MAIN, BoardSpec
from spikeveil.host.virtual.build import PROGRAM as KIND  # the name under which `host.virtual` looks for a program

if TYPE_CHECKING:
    from spikeveil.boards.board import Board

HANDLERS: Mapping[Family, Mapping[str, Handler]] = {
    "ice40": cells_ice40.HANDLERS,
    "ecp5": cells_ecp5.HANDLERS,
    "gowin": cells_gowin.HANDLERS,
}
QUIET_WARNINGS = ("-Wno-fatal", "-Wno-lint", "-Wno-style")  # the netlist is the tools', not ours to style
QUICKLY = ("-CFLAGS", "-O1")  # compiled in a third of -O2's time, and as fast: the code is one long list of assignments
SOURCES = ("cells*", "cell_models.py", "netlist*.py", "synthesised.py", "routed.py", "unpacked.py")
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
    """A virtual board whose gateware is the module `netlist` of `netlist`; `around` wires the board's ports to it."""

    netlist: str = field(default="", repr=False)
    around: str = field(default="", repr=False)

    def program(self) -> verilator_build.Program:
        """What to build."""
        return verilator_build.Program(
            kind=KIND,
            design=(self.netlist, self.around),
            sources=lambda: {"top.v": self.around, "netlist.v": self.netlist},
            top="top",
            main=MAIN,
            options=(*QUIET_WARNINGS, *QUICKLY),
        )


def board_of(
    build: Build, name: str, place: tuple[int, int, str], listener: Listener, work: Callable[[Path], None]
) -> NetlistBoard:
    """The board of the `netlist.v` that `work` writes as a step of the build; its LEDs are as the pins drive them."""
    done = build.step(f"{name}-{sources_digest()}", place, listener, work)
    board, text = build.board, (done.folder / "netlist.v").read_text()
    return NetlistBoard(build.plan, clock=board.clock_hz, baud=board.baud, netlist=text, around=wrapper(board))


@cache
def sources_digest() -> str:
    """What else a netlist that was made for simulation depends on: the text of the files that make it so."""
    folder = Path(__file__).parent
    paths = sorted(path for pattern in SOURCES for path in folder.glob(pattern) if path.is_file())
    return hashlib.sha256("\0".join(path.read_text() for path in paths).encode()).hexdigest()[:8]


def simulable(design: dict[str, Any], build: Build, folder: Path) -> None:
    """Write `netlist.v` in `folder`: a design of the tools, as JSON, its cells replaced by their models."""
    top = design["modules"]["top"]
    prepare(top, HANDLERS[build.board.chip.family], clock_port(build.board))
    types = {cell["type"] for cell in top["cells"].values()}
    prepared = folder / "prepared.json"
    prepared.write_text(json.dumps({**design, "modules": {"top": top}}))
    (folder / "cells.v").write_text(models(build.recipe.models, types))
    (folder / "netlist.ys").write_text(SCRIPT)
    tools.run(tools.YOSYS, ["-q", "-l", "yosys.log", "netlist.ys"], folder, "netlist.log")
    (folder / "netlist.v").write_text(two_valued((folder / "yosys.v").read_text()))
    prepared.unlink()


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
