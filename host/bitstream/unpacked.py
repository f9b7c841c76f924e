"""The bitstream itself, unpacked again and turned into Verilog by icebox_vlog, in the virtual board's place (iCE40).

Nothing of synthesis, placing or routing is used but the packed file; the names of the pins come from the constraints.
"""

import json
import re
import shutil
from pathlib import Path

from spikeveil.host.bitstream import tools
from spikeveil.host.bitstream.cell_models import models
from spikeveil.host.bitstream.errors import BuildError
from spikeveil.host.bitstream.flow import NOBODY, Build, Listener
from spikeveil.host.bitstream.netlist_board import NetlistBoard, board_of, clock_port

#: cells of a routed design that icebox_vlog finds again in the bitstream
FOUND = {"ICESTORM_LC", "ICESTORM_RAM", "ICESTORM_PLL", "SB_IO", "SB_GB"}
MODELS = {"SB_RAM40_4K", "SIM_PLL"}
PLL = re.compile(r"(?s)SB_PLL40_(?:CORE|PAD) #\(.*?\n\) ")
HEADER, PORT = re.compile(r"module netlist \((.*)\);"), re.compile(r"(?:input|output|inout) (\w+)")
WIRES = re.compile(r"(?m)^wire ([^;]*);\n")


def unpacked(build: Build, seed: int, listener: Listener = NOBODY, place: tuple[int, int] = (1, 1)) -> NetlistBoard:
    """The board of a seed that was packed; `place`: which step of how many this is.

    BuildError where icebox_vlog is not installed, or cannot show what the design uses.
    """
    tools.require(tools.ICEBOX)
    text = f"unpack the bitstream of seed {seed} to Verilog"
    return board_of(build, f"unpacked-{seed}", (*place, text), listener, lambda folder: _make(build, seed, folder))


def _make(build: Build, seed: int, folder: Path) -> None:
    _require_shown(build, seed)
    shutil.copy(build.folder / f"pack-{seed}" / "top.bin", folder)
    shutil.copy(build.folder / "design" / "top.pcf", folder)
    tools.run(tools.ICEUNPACK, ["top.bin", "top.asc"], folder, "unpack.log")
    _, _, package = build.board.chip.options
    options = ["-s", "-n", "netlist", "-p", "top.pcf", "-d", package.partition(":")[0], "top.asc"]
    tools.run(tools.ICEBOX, options, folder, "vlog.log", output="chip.v")
    text = plain((folder / "chip.v").read_text(), clock_port(build.board))
    (folder / "netlist.v").write_text(models(build.recipe.models, MODELS) + text)


def plain(text: str, clock: str) -> str:
    """icebox_vlog's Verilog with the PLL a wire (the simulator makes the clock itself) and each port declared once.

    icebox_vlog leaves a PLL's own pad without its port's name: what comes in there is the port `clock`.
    """
    text = re.sub(r"\.PACKAGEPIN\(\w+\)", f".REFERENCECLK({clock})", PLL.sub("SIM_PLL ", text))
    header = HEADER.search(text)
    ports = set(PORT.findall(header[0])) if header else set()

    def declare(found: re.Match[str]) -> str:
        names = [name for name in found[1].split(", ") if name not in ports]
        return f"wire {', '.join(names)};\n" if names else ""

    return WIRES.sub(declare, text)


def _require_shown(build: Build, seed: int) -> None:
    """BuildError where the design uses what icebox_vlog leaves out of its Verilog."""
    routed = json.loads((build.folder / f"place-{seed}" / "routed.json").read_text())
    hidden = {cell["type"] for cell in routed["modules"]["top"]["cells"].values()} - FOUND
    if hidden:
        raise BuildError(
            f"icebox_vlog shows nothing of {', '.join(sorted(hidden))}: simulate the routed netlist instead"
        )
