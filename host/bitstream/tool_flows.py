"""Tool options and file names for each chip family, and the cell names in the tools' reports."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spikeveil.boards.chips import RESOURCES, Chip, Family


@dataclass(frozen=True)
class ToolFlow:
    """Synthesis, place and route, and packing for one chip family.

    | field | meaning |
    |---|---|
    | `synthesis` | Yosys' command |
    | `constraints` | suffix of the constraints file that Amaranth writes |
    | `placed`, `packed` | suffixes of the routed design and of the bitstream |
    | `flip_flops` | Yosys' cell types for flip-flops |
    | `routed` | nextpnr's cell types for each resource |
    | `models` | Yosys' files with simulation models of the cells |
    """

    synthesis: str
    constraints: str
    placed: str
    packed: str
    flip_flops: frozenset[str]
    routed: Mapping[str, tuple[str, ...]]
    models: tuple[str, ...]

    def count(self, chip: Chip) -> list[str]:
        """nextpnr's options to pack the netlist and report its resources, in a folder beside `design` and `synth`."""
        return [*chip.options, *self._inputs(chip), "--pack-only", "--report", "report.json", "--write", "packed.json"]

    def place(self, chip: Chip, clock_hz: int, seed: int) -> list[str]:
        """nextpnr's options to place and route, in such a folder."""
        outputs = ["--report", "report.json", "--detailed-timing-report", "--write", "routed.json"]
        if chip.family != "gowin":
            outputs += ["--asc" if chip.family == "ice40" else "--textcfg", f"top.{self.placed}"]
        goal = ["--seed", str(seed), "--freq", f"{clock_hz / 1e6:g}"]
        # --timing-allow-fail: the report states whether the clock is met
        return [*chip.options, *self._inputs(chip), *goal, "--timing-allow-fail", *outputs]

    def pack(self, chip: Chip, placed: str) -> list[str]:
        """The packer's options; `placed` is the folder of the routed design."""
        if chip.family == "ice40":
            return [f"{placed}/top.{self.placed}", f"top.{self.packed}"]
        if chip.family == "ecp5":
            return ["--compress", "--input", f"{placed}/top.{self.placed}", "--bit", f"top.{self.packed}"]
        options = ["--sspi_as_gpio", "--mspi_as_gpio"]
        return ["-d", chip.name, "-o", f"top.{self.packed}", *options, f"{placed}/{self.placed}"]

    def _inputs(self, chip: Chip) -> list[str]:
        constraints = f"../design/top.{self.constraints}"
        options = {"ice40": ("--pcf", constraints), "ecp5": ("--lpf", constraints)}
        return ["--json", "../synth/top.json", *options.get(chip.family, ("--vopt", f"cst={constraints}"))]


#: An enable or a reset that fewer than four flip-flops share is merged into their LUTs: the eight flip-flops of a tile
#: share both, and on a full chip many small groups cannot be placed.
ICE40_SYNTHESIS = "\n".join(
    (
        "synth_ice40 -top top -run begin:map_ffs",
        "dfflegalize -mince 4 -minsrst 4 -cell $_DFF_?_ 0 -cell $_DFFE_?P_ 0 -cell $_DFF_?P?_ 0 -cell $_DFFE_?P?P_ 0 "
        "-cell $_SDFF_?P?_ 0 -cell $_SDFFCE_?P?P_ 0 -cell $_DLATCH_?_ x",
        "synth_ice40 -top top -run map_ffs:",
    )
)
_SET = ("", "R", "S", "SR", "SS")
_GOWIN_SET = ("", "E", "S", "SE", "R", "RE", "P", "PE", "C", "CE")

TOOL_FLOWS: dict[Family, ToolFlow] = {
    "ice40": ToolFlow(
        synthesis=ICE40_SYNTHESIS,
        constraints="pcf",
        placed="asc",
        packed="bin",
        flip_flops=frozenset(
            f"SB_DFF{edge}{enable}{set_}" for edge in ("", "N") for enable in ("", "E") for set_ in _SET
        ),
        routed={
            "lut": ("ICESTORM_LC",),
            "bram": ("ICESTORM_RAM",),
            "spram": ("ICESTORM_SPRAM",),
            "dsp": ("ICESTORM_DSP",),
        },
        models=("ice40/cells_sim.v",),
    ),
    "ecp5": ToolFlow(
        synthesis="synth_ecp5 -top top",
        constraints="lpf",
        placed="config",
        packed="bit",
        flip_flops=frozenset({"TRELLIS_FF"}),
        routed={"lut": ("TRELLIS_COMB",), "ff": ("TRELLIS_FF",), "bram": ("DP16KD",), "dsp": ("MULT18X18D",)},
        models=("lattice/common_sim.vh", "lattice/ccu2c_sim.vh"),
    ),
    "gowin": ToolFlow(
        synthesis="synth_gowin -top top",
        constraints="cst",
        placed="routed.json",
        packed="fs",
        flip_flops=frozenset(f"DFF{edge}{set_}" for edge in ("", "N") for set_ in _GOWIN_SET),
        routed={"lut": ("LUT4", "ALU"), "ff": ("DFF",), "bram": ("BSRAM",), "dsp": ("MULT18X18",)},
        models=("gowin/cells_sim.v",),
    ),
}


def used_resources(chip: Chip, utilization: dict[str, Any], flip_flops: int) -> dict[str, int]:
    """Used resources from nextpnr's report; 0 for those that the chip does not have.

    flip_flops: used for iCE40, whose report counts logic cells only. KeyError where the report lacks a resource that
    the chip has.
    """
    names = TOOL_FLOWS[chip.family].routed
    counts = dict.fromkeys(RESOURCES, 0) | {"ff": flip_flops}
    for name, cells in names.items():
        if chip.available(name):
            counts[name] = sum(int(utilization[cell]["used"]) for cell in cells)
    return counts


def count_flip_flops(flow: ToolFlow, stat: dict[str, Any]) -> int:
    """Flip-flops in Yosys' statistics (`stat -json`)."""
    return sum(int(count) for cell, count in stat["design"]["num_cells_by_type"].items() if cell in flow.flip_flops)
