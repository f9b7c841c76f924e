"""How each family of chips is built: scripts, options and the names that the tools give to things."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from spikeveil.boards.chips import RESOURCES, Chip, Family


@dataclass(frozen=True)
class Recipe:
    """A family's flow.

    `synthesis`: Yosys' command; `constraints`: suffix of the file that Amaranth writes, `placed` and `packed` those of
    the routed design and the bitstream; `cells`: cells of the synthesised netlist -> how many of a resource each takes;
    `routed`: the same in nextpnr's own report; `models`: Yosys' simulation models of the cells.
    """

    synthesis: str
    constraints: str
    placed: str
    packed: str
    cells: Mapping[str, tuple[str, int]]
    routed: Mapping[str, tuple[str, ...]]
    models: tuple[str, ...]

    def place(self, chip: Chip, clock_hz: int, seed: int) -> list[str]:
        """nextpnr's options, from a folder beside `design` and `synth`."""
        common = [
            *("--json", "../synth/top.json", "--report", "report.json", "--detailed-timing-report"),
            *("--seed", str(seed), "--freq", f"{clock_hz / 1e6:g}", "--write", "routed.json"),
        ]
        constraints = f"../design/top.{self.constraints}"
        if chip.family == "ice40":
            return [*chip.options, *common, "--pcf", constraints, "--asc", f"top.{self.placed}"]
        if chip.family == "ecp5":
            return [*chip.options, *common, "--lpf", constraints, "--textcfg", f"top.{self.placed}"]
        return [*chip.options, *common, "--vopt", f"cst={constraints}"]

    def pack(self, chip: Chip, placed: str) -> list[str]:
        """The packer's options; `placed` is the folder of the routed design."""
        if chip.family == "ice40":
            return [f"{placed}/top.{self.placed}", f"top.{self.packed}"]
        if chip.family == "ecp5":
            return ["--compress", "--input", f"{placed}/top.{self.placed}", "--bit", f"top.{self.packed}"]
        options = ["--sspi_as_gpio", "--mspi_as_gpio"]
        return ["-d", chip.name, "-o", f"top.{self.packed}", *options, f"{placed}/{self.placed}"]


def _cells(**counts: str) -> dict[str, tuple[str, int]]:
    table: dict[str, tuple[str, int]] = {}
    for resource, names in counts.items():
        for name in names.split():
            cell, _, count = name.partition("*")
            table[cell] = (resource, int(count or 1))
    return table


ICE40_FLIP_FLOPS = " ".join(
    f"SB_DFF{n}{e}{s}" for n in ("", "N") for e in ("", "E") for s in ("", "R", "S", "SR", "SS")
)
GOWIN_FLIP_FLOPS = " ".join(
    f"DFF{n}{s}" for n in ("", "N") for s in ("", "E", "S", "SE", "R", "RE", "P", "PE", "C", "CE")
)

RECIPES: dict[Family, Recipe] = {
    "ice40": Recipe(
        synthesis="synth_ice40 -top top",
        constraints="pcf",
        placed="asc",
        packed="bin",
        cells=_cells(lut="SB_LUT4", ff=ICE40_FLIP_FLOPS, bram="SB_RAM40_4K", spram="SB_SPRAM256KA", dsp="SB_MAC16"),
        routed={
            "lut": ("ICESTORM_LC",),
            "bram": ("ICESTORM_RAM",),
            "spram": ("ICESTORM_SPRAM",),
            "dsp": ("ICESTORM_DSP",),
        },
        models=("ice40/cells_sim.v",),
    ),
    "ecp5": Recipe(
        synthesis="synth_ecp5 -nowidelut -top top",
        constraints="lpf",
        placed="config",
        packed="bit",
        cells=_cells(lut="LUT4 CCU2C*2 TRELLIS_DPR16X4*6", ff="TRELLIS_FF", bram="DP16KD", dsp="MULT18X18D"),
        routed={"lut": ("TRELLIS_COMB",), "ff": ("TRELLIS_FF",), "bram": ("DP16KD",), "dsp": ("MULT18X18D",)},
        models=("ecp5/cells_sim.v",),
    ),
    "gowin": Recipe(
        synthesis="synth_gowin -top top",
        constraints="cst",
        placed="routed.json",
        packed="fs",
        cells=_cells(
            lut="LUT1 LUT2 LUT3 LUT4 ALU RAM16SDP4*6 RAM16SDP2*3 RAM16SDP1*2",
            ff=GOWIN_FLIP_FLOPS,
            bram="SDPB SDPX9B DPB DPX9B SP SPX9 pROM pROMX9",
            dsp="MULT9X9 MULT18X18",
        ),
        routed={"lut": ("LUT4", "ALU"), "ff": ("DFF",), "bram": ("BSRAM",), "dsp": ("MULT18X18",)},
        models=("gowin/cells_sim.v",),
    ),
}


def synthesised(recipe: Recipe, stat: dict[str, Any]) -> dict[str, int]:
    """Resources in the statistics that Yosys wrote (`stat -json`)."""
    used = dict.fromkeys(RESOURCES, 0)
    for cell, count in stat["design"]["num_cells_by_type"].items():
        if cell in recipe.cells:
            resource, each = recipe.cells[cell]
            used[resource] += each * int(count)
    return used
