"""The network, the plan, and the files that stand-ins for the FPGA tools write."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from spikeveil.hdl.engine.plan import Plan
from spikeveil.pysim.model.flipper import FlipSpec
from spikeveil.pysim.model.spec import LayerSpec, NetworkSpec

SPEC = NetworkSpec([LayerSpec(np.ones((6, 8), int), threshold=3, weight_bits=3, flip=FlipSpec.for_epsilon(1.0))])
PLAN = Plan(SPEC, lanes=4)
CELLS = {
    "device.device.core.network.layer_0.neurons.u_LC": ("ICESTORM_LC", "1"),
    "device.device.core.network.layer_0.flipper.m_LC": ("ICESTORM_LC", "0"),
    "device.device.core.network.layer_0.words__payload_LC": ("ICESTORM_LC", "0"),
    "device.device.core.network.words_0.trivium.a_LC": ("ICESTORM_LC", "1"),
    "device.device.core.guard.quota_LC": ("ICESTORM_LC", "1"),
    "device.device.rx.shift_LC": ("ICESTORM_LC", "1"),
    "ready_LC": ("ICESTORM_LC", "1"),
    "device.device.outbox.ring_RAM": ("ICESTORM_RAM", "0"),
}


def element(kind: str, nanoseconds: float, cell: str, *sources: str) -> dict[str, Any]:
    """A piece of a path as nextpnr writes it."""
    return {"type": kind, "delay": nanoseconds, "to": {"cell": cell}, "sources": list(sources)}


PATHS = [
    {"from": "<async>", "to": "posedge clk", "path": [element("routing", 99.0, "pin")]},
    {
        "from": "posedge clk",
        "to": "posedge clk",
        "path": [
            element("clk-to-q", 0.5, "guard.quota_SB_DFF_Q_3_DFFLC"),
            element("routing", 2.0, "guard.quota_SB_LUT4_I0_O_LC", "hdl/device/guard.py:80", "/share/x.v:1"),
            element("setup", 0.25, "guard.open_SB_DFF_Q_DFFLC"),
        ],
    },
]
UTILIZATION = {"ICESTORM_LC": 1234, "ICESTORM_RAM": 9}


def outputs(**changes: Any) -> dict[str, str]:
    """Files that the stand-ins write."""
    cells = {
        name: {"type": kind, "parameters": {"DFF_ENABLE": flip_flop}, "connections": {}}
        for name, (kind, flip_flop) in CELLS.items()
    }
    written = {
        "utilization": {name: {"used": used, "available": 10**4} for name, used in UTILIZATION.items()},
        "fmax": {"clk": {"achieved": 64.25, "constraint": 60}},
        "critical_paths": PATHS,
    }
    return {
        "top.json": json.dumps({"modules": {"top": {"cells": {}, "ports": {}}}}),
        "stat.json": json.dumps({"design": {"num_cells_by_type": {"SB_LUT4": 1000, "SB_DFFE": 70, "SB_DFF": 7}}}),
        "report.json": json.dumps({**written, **changes}),
        "routed.json": json.dumps({"modules": {"top": {"cells": cells}}}),
        "packed.json": json.dumps({"modules": {"top": {"cells": cells}}}),
        "top.asc": "placed",
        "top.bin": "bits",
    }


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / "files" / name).write_text(text)


def runs(folder: Path) -> list[str]:
    """The tools that have been run."""
    return (folder / "runs").read_text().split() if (folder / "runs").exists() else []
