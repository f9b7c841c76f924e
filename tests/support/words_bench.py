"""Runs inside the simulator: starts the word sources on one job after another and writes down what they captured."""

import json
from pathlib import Path
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import Timer

PERIOD_NS = 10


async def cycles(count: int) -> None:
    await Timer(count * PERIOD_NS, "ns")


@cocotb.test()
async def play(dut: Any) -> None:
    """Every job of the file named by +jobs; the captures go to the file named by +captures."""
    jobs = json.loads(Path(str(cocotb.plusargs["jobs"])).read_text())
    for name in ("start", "key", "iv", "seed", "stall"):
        getattr(dut, name).value = 0
    dut.rst.value = 1
    Clock(dut.clk, PERIOD_NS, "ns").start(start_high=False)
    await cycles(2)
    dut.rst.value = 0
    captures = []
    for job in jobs:
        for name in ("key", "iv", "seed", "stall"):
            getattr(dut, name).value = int(job[name], 16)
        dut.start.value = 1
        await cycles(1)
        dut.start.value = 0
        await cycles(job["cycles"])
        captures.append({name: f"{int(getattr(dut, name).value):x}" for name in job["read"]})
    Path(str(cocotb.plusargs["captures"])).write_text(json.dumps(captures))
