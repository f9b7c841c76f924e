"""A build whose bitstream and report are copied into a folder."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from spikeveil.boards.board import Board
from spikeveil.hdl.engine.plan import Plan
from spikeveil.host.bitstream.build import Build
from spikeveil.host.bitstream.errors import BuildError
from spikeveil.host.bitstream.lane_search import search_lanes
from spikeveil.host.bitstream.report import make_report
from spikeveil.host.bitstream.stages import SILENT, Listener
from spikeveil.host.bitstream.workload import Workload
from spikeveil.pysim.model.files import write_atomically


def build_to(
    plan: Plan,
    board: Board,
    folder: Path,
    steps: int,
    *,
    lanes: int | None = None,
    seed: int = 1,
    listener: Listener = SILENT,
) -> tuple[Path, dict[str, Any]]:
    """Build a plan, with `lanes` or the most that fit, and copy it into `folder`: the bitstream's path, and the report.

    `steps`: of an inference, for the timing in the report. BuildError where it does not fit or misses its clock.
    """
    if lanes is None:
        neurons = max(layer.neurons for layer in plan.spec.layers)
        build = search_lanes(lambda count: replace(plan, lanes=count), neurons, board, seed, listener)
    else:
        build = Build.of(plan, board)
        build.synthesise(listener, total=5)
        build.place(seed, listener)
    report = make_report(build, seed, Workload(steps, 0.25))
    path = copy_build(build, report, folder)
    require_timing(report)
    return path, report


def copy_build(build: Build, report: dict[str, Any], folder: Path) -> Path:
    """Copy the bitstream of the report's seed, and the report as report.json, into `folder`; the bitstream's path."""
    folder.mkdir(parents=True, exist_ok=True)
    suffix = build.tool_flow.packed
    name = f"{report['board']}.{suffix}"
    write_atomically(folder / name, (build.folder / f"pack-{report['seed']}" / f"top.{suffix}").read_bytes())
    record = {**report, "bitstream": {**report["bitstream"], "file": name}}
    write_atomically(folder / "report.json", (json.dumps(record, indent=2) + "\n").encode())
    return folder / name


def require_timing(report: dict[str, Any]) -> None:
    """BuildError where a clock of the report is missed."""
    if not report["meets_timing"]:
        slowest = min(clock["fmax_mhz"] for clock in report["clocks"])
        raise BuildError(
            f"the design reaches {slowest:.1f} MHz and board {report['board']} runs at {report['clock_hz'] / 1e6:g}: "
            "ask for fewer lanes, another seed or a slower --clock"
        )
