"""Simulates an iCE40 bitstream, unpacked and converted to Verilog by icebox_vlog.

Of the build only the packed file is used, and the constraints for the names of the pins.
"""

import json
import re
import shutil
from pathlib import Path

from spikeveil.host.bitstream import tools
from spikeveil.host.bitstream.build import Build
from spikeveil.host.bitstream.cell_models import simulation_models
from spikeveil.host.bitstream.errors import BuildError
from spikeveil.host.bitstream.netlist_board import NetlistBoard, board_of, clock_port
from spikeveil.host.bitstream.stages import SILENT, Listener

#: cell types of a routed design that icebox_vlog recovers from the bitstream
RECOVERED = {"ICESTORM_LC", "ICESTORM_RAM", "ICESTORM_PLL", "SB_IO", "SB_GB"}
MODELS = {"SB_RAM40_4K", "SIM_PLL"}
PLL = re.compile(r"(?s)SB_PLL40_(?:CORE|PAD) #\(.*?\n\) ")
HEADER, PORT = re.compile(r"module netlist \((.*)\);"), re.compile(r"(?:input|output|inout) (\w+)")
WIRES = re.compile(r"(?m)^wire ([^;]*);\n")


def unpacked_bitstream(
    build: Build, seed: int, listener: Listener = SILENT, numbering: tuple[int, int] = (1, 1)
) -> NetlistBoard:
    """The virtual board of a packed seed; `numbering`: number of this stage, and of all stages.

    BuildError where icebox_vlog is not installed, or does not support a cell of the design.
    """
    tools.require(tools.ICEBOX)
    text = f"unpack the bitstream of seed {seed} to Verilog"
    return board_of(build, f"unpacked-{seed}", (*numbering, text), listener, lambda folder: _make(build, seed, folder))


def _make(build: Build, seed: int, folder: Path) -> None:
    _require_supported(build, seed)
    shutil.copy(build.folder / f"pack-{seed}" / "top.bin", folder)
    shutil.copy(build.folder / "design" / "top.pcf", folder)
    tools.run(tools.ICEUNPACK, ["top.bin", "top.asc"], folder, "unpack.log")
    _, _, package = build.board.chip.options
    options = ["-s", "-n", "netlist", "-p", "top.pcf", "-d", package.partition(":")[0], "top.asc"]
    tools.run(tools.ICEBOX, options, folder, "vlog.log", output="chip.v")
    text = clean_verilog((folder / "chip.v").read_text(), clock_port(build.board))
    (folder / "netlist.v").write_text(simulation_models(build.tool_flow.models, MODELS) + text)


def clean_verilog(text: str, clock: str) -> str:
    """icebox_vlog's Verilog with a wire for the PLL (the simulator generates the clock) and each port declared once.

    clock: the name of the clock's port, which icebox_vlog does not connect to the PLL's own pad.
    """
    text = re.sub(r"\.PACKAGEPIN\(\w+\)", f".REFERENCECLK({clock})", PLL.sub("SIM_PLL ", text))
    header = HEADER.search(text)
    ports = set(PORT.findall(header[0])) if header else set()

    def declare(match: re.Match[str]) -> str:
        names = [name for name in match[1].split(", ") if name not in ports]
        return f"wire {', '.join(names)};\n" if names else ""

    return WIRES.sub(declare, text)


def _require_supported(build: Build, seed: int) -> None:
    """BuildError where the design has cells that icebox_vlog omits from its Verilog."""
    routed = json.loads((build.folder / f"place-{seed}" / "routed.json").read_text())
    omitted = {cell["type"] for cell in routed["modules"]["top"]["cells"].values()} - RECOVERED
    if omitted:
        raise BuildError(
            f"icebox_vlog does not support {', '.join(sorted(omitted))}: simulate the routed netlist instead"
        )
