"""What privacy costs in cells: source, flippers and guard beside the same core, for both sources and several lanes.

Each design is synthesised and packed (`host.bitstream`, kept in its cache), not placed; its cells are counted by part.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from rich.console import Console

from spikeveil.boards.catalogue import find
from spikeveil.hdl.engine.plan import SCHEDULES, Plan, Schedule
from spikeveil.hdl.engine.source import SOURCES, SourceKind
from spikeveil.host.bitstream.build import Build
from spikeveil.host.bitstream.report import packed_parts
from spikeveil.host.cli.screens.tables import figures_table
from spikeveil.host.networks.catalogue import load as load_network
from spikeveil.pysim.model.spec import NetworkSpec

PRIVATE = ("source", "flippers", "guard")


def measure(spec: NetworkSpec, board: str, source: SourceKind, lanes: int, schedule: Schedule) -> dict[str, Any]:
    """LUTs of each part of one build, and what privacy adds to the core, as a share."""
    fast = schedule == "fast"
    build = Build.of(Plan(spec, lanes=lanes, source=source, schedule=schedule, unsafe=fast), find(board))
    build.synthesise()
    luts = {name: counts["lut"] for name, counts in packed_parts(build).items()}
    added = sum(luts[name] for name in PRIVATE)
    return {"source_kind": source, "lanes": lanes, "luts": luts, "added": added, "share": added / luts["core"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("network", nargs="?", default="digits", help="a network file, or digits")
    parser.add_argument("--board", default="ulx3s-85f")
    parser.add_argument("--lanes", type=int, nargs="+", default=[4, 16, 32])
    parser.add_argument(
        "--schedule",
        choices=SCHEDULES,
        default="private",
        help="fast: a neuron unit for every lane, where the private schedule has the fewest that keep its cadence",
    )
    parser.add_argument("--json", type=Path, help="write the rows here too")
    options = parser.parse_args()
    spec = load_network(options.network)
    shown = figures_table(
        f"{options.network} on {options.board}, {options.schedule} schedule, LUTs",
        "source",
        "lanes",
        "core",
        *PRIVATE,
        "added",
        "share",
    )
    rows = []
    for source in SOURCES:
        for lanes in options.lanes:
            row = measure(spec, options.board, source, lanes, options.schedule)
            rows.append(row)
            luts = row["luts"]
            figures = (lanes, luts["core"], *(luts[name] for name in PRIVATE), row["added"], f"{row['share']:.0%}")
            shown.add_row(source, *map(str, figures))
    Console().print(shown)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
