"""The report of a build. Every figure is read from the tools' files on the routed design; a missing one is an error."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from spikeveil.host.bitstream import tools
from spikeveil.host.bitstream.build import Build
from spikeveil.host.bitstream.errors import BuildError
from spikeveil.host.bitstream.tool_flows import used_resources
from spikeveil.host.bitstream.workload import Workload, timing
from spikeveil.host.sealed_folders import SEAL

VERSION = 1
PARTS = ("core", "source", "flippers", "guard", "link", "board")
#: (part, pattern of its cells' hierarchical names); the first match decides
PART_NAMES: tuple[tuple[str, str], ...] = (
    ("source", r"(^|\.)network\.(words_\d+[._]|layer_\d+\.words__)"),
    ("flippers", r"(^|\.)network\.layer_\d+\.(flipper|limiter)[._]"),
    ("core", r"(^|\.)network[._]"),
    ("guard", r"(^|\.)core[._]"),
    ("link", r"^device[._]"),
)
LUTS = ("ICESTORM_LC", "TRELLIS_COMB", "LUT4", "ALU")
BLOCK_RAMS = re.compile(r"ICESTORM_RAM$|DP16KD$|SDP[BX]|SPX?\d*$|DPX?|pROM")
CARRIES = ("FCI", "FCO", "CIN", "COUT")
INSERTED = "$nextpnr"  # prefix of the cells that nextpnr adds
FLIP_FLOPS = re.compile(r"^(SB_)?DFF|^TRELLIS_FF$")


def make_report(build: Build, seed: int, workload: Workload) -> dict[str, Any]:
    """The report of one placed and packed seed, as JSON data. BuildError where a figure is missing."""
    placed = build.folder / f"place-{seed}"
    written = _read(placed / "report.json")
    module = _read(placed / "routed.json")["modules"]["top"]
    plan, board = build.plan, build.board
    bitstream = build.folder / f"pack-{seed}" / f"top.{build.tool_flow.packed}"
    clocks = _clocks(written, board.clock_hz)
    return {
        "report": VERSION,
        "board": board.name,
        "chip": board.chip.name,
        "fingerprint": plan.spec.fingerprint,
        "lanes": plan.lanes,
        "source": plan.source,
        "schedule": plan.schedule,
        "loadable": plan.loadable,
        "build": build.folder.name,
        "seed": seed,
        "tools": [tools.version(tool) for tool in tools.of_family(board.chip.family)],
        "bitstream": {"file": bitstream.name, "bytes": bitstream.stat().st_size, "sha256": _sha256(bitstream)},
        "resources": _resources(build, written, module),
        "synthesised": _read(build.folder / "synth" / "stat.json")["design"]["num_cells_by_type"],
        "clock_hz": board.clock_hz,
        "baud": board.baud,
        "clocks": clocks,
        "meets_timing": all(clock["met"] for clock in clocks),
        "critical_path": _critical_path(written),
        "parts": parts(module["cells"]),
        "timing": timing(plan, board.clock_hz, workload),
        "seconds": {path.parent.name: _read(path)["facts"]["seconds"] for path in _stages(build, seed)},
    }


def slowest_mhz(build: Build, seed: int) -> float:
    """Fmax in MHz of the slowest clock of a placed seed."""
    written = _read(build.folder / f"place-{seed}" / "report.json")
    return min(float(clock["fmax_mhz"]) for clock in _clocks(written, build.board.clock_hz))


def packed_parts(build: Build) -> dict[str, dict[str, int]]:
    """`parts` of the packed netlist; placing changes none of them. Stage `count` must be complete."""
    return parts(_read(build.folder / "count" / "packed.json")["modules"]["top"]["cells"])


def _stages(build: Build, seed: int) -> list[Path]:
    return [build.folder / name / SEAL for name in ("design", "synth", "count", f"place-{seed}", f"pack-{seed}")]


def _read(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise BuildError(f"the build lacks {path}: {error}") from error
    return content


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _resources(build: Build, written: dict[str, Any], module: dict[str, Any]) -> dict[str, dict[str, int]]:
    """Resource -> used and available. nextpnr does not count iCE40's flip-flops (in its logic cells): counted here."""
    chip, flip_flops = build.board.chip, sum(has_flip_flop(cell) for cell in module["cells"].values())
    try:
        counts = used_resources(chip, written["utilization"], flip_flops)
    except KeyError as error:
        raise BuildError(f"nextpnr's report lacks {error}") from error
    return {name: {"used": count, "available": chip.available(name)} for name, count in counts.items()}


def has_flip_flop(cell: dict[str, Any]) -> bool:
    """Whether a routed cell contains a flip-flop."""
    if cell["type"] == "ICESTORM_LC":
        return int(cell["parameters"].get("DFF_ENABLE", "0"), 2) == 1
    return bool(FLIP_FLOPS.match(cell["type"]))


def _clocks(written: dict[str, Any], clock_hz: int) -> list[dict[str, Any]]:
    clocks = [
        {
            "net": net.removeprefix("$glbnet$"),
            "fmax_mhz": round(figure["achieved"], 2),
            "asked_mhz": clock_hz / 1e6,
            "met": figure["achieved"] * 1e6 >= clock_hz,
        }
        for net, figure in written["fmax"].items()
    ]
    if not clocks:
        raise BuildError("nextpnr's report names no clock: fmax is missing")
    return clocks


def _critical_path(written: dict[str, Any]) -> dict[str, Any]:
    """The longest path between two registers, element by element, with source lines where the tools have them."""
    internal = [path for path in written["critical_paths"] if "posedge" in path["from"] and "posedge" in path["to"]]
    if not internal:
        raise BuildError("nextpnr's report has no critical path")
    longest = max(internal, key=lambda path: sum(part["delay"] for part in path["path"]))["path"]
    return {
        "nanoseconds": round(sum(part["delay"] for part in longest), 3),
        "elements": [
            {
                "kind": part["type"],
                "nanoseconds": round(part["delay"], 3),
                "cell": part["to"]["cell"],
                "net": part.get("net"),
                "sources": [source for source in part.get("sources", []) if not source.startswith("/share")],
            }
            for part in longest
        ],
    }


def part_of(name: str) -> str:
    """The part of the design that a cell belongs to, by its hierarchical name."""
    return next((part for part, pattern in PART_NAMES if re.search(pattern, name)), "board")


def parts(cells: dict[str, Any]) -> dict[str, dict[str, int]]:
    """Part -> LUTs (iCE40: logic cells), flip-flops and block RAMs of the routed design; the sum is all of it."""
    result = {part: {"lut": 0, "ff": 0, "bram": 0} for part in PARTS}
    chains = _chains(cells)
    for name, cell in cells.items():
        counts = result[part_of(chains.get(name, name))]
        counts["lut"] += cell["type"] in LUTS
        counts["ff"] += has_flip_flop(cell)
        counts["bram"] += bool(BLOCK_RAMS.match(cell["type"]))
    return result


def _chains(cells: dict[str, Any]) -> dict[str, str]:
    """Carry cell that nextpnr inserted -> a cell of the design in the same carry chain."""
    cells_at: dict[int, list[str]] = {}
    for name, cell in cells.items():
        for port in CARRIES:
            for bit in cell["connections"].get(port, []):
                cells_at.setdefault(bit, []).append(name)
    owner: dict[str, str] = {}
    work = [name for names in cells_at.values() for name in names if not name.startswith(INSERTED)]
    for name in work:
        for port in CARRIES:
            bits = cells[name]["connections"].get(port, [])
            for neighbour in [cell for bit in bits for cell in cells_at[bit]]:
                if neighbour.startswith(INSERTED) and neighbour not in owner:
                    owner[neighbour] = owner.get(name, name)
                    work.append(neighbour)
    return owner
