"""The cocotb test of the player, run inside the simulator: feeds it records and writes its responses to files."""

import time
from pathlib import Path
from typing import Any

import cocotb
from cocotb.triggers import RisingEdge, Timer, ValueChange, with_timeout

from spikeveil.host.children import end_with_parent

TIMEOUT_CYCLES = 1 << 22  # without a record


@cocotb.test()
async def play(dut: Any) -> None:
    """Run `+records` records of the files `+ports` and `+stimulus`; results go to the folder `+job`.

    The simulator ends with its parent, the process `+parent`.
    """
    end_with_parent(int(str(cocotb.plusargs["parent"])))
    work, records = Path(str(cocotb.plusargs["job"])), int(str(cocotb.plusargs["records"]))
    size = -(-len(dut.stimulus) // 8)
    for line in Path(str(cocotb.plusargs["ports"])).read_text().splitlines():
        name, value = line.split()
        getattr(dut, name).value = int(value, 16)
    dut.open.value = 1
    await RisingEdge(dut.clk)
    await Timer(1, "ns")  # between edges, so that the next edge samples what is written
    dut.open.value = 0
    start = time.perf_counter()
    feeder = cocotb.start_soon(feed(dut, Path(str(cocotb.plusargs["stimulus"])), records, size))
    await collect(dut, work, records)
    await feeder
    seconds = time.perf_counter() - start
    if int(dut.marker_error.value):
        raise AssertionError("a step or record marker left the network in the wrong place")
    cycles = int(dut.cycle.value)
    (work / "summary").write_text(f"cycles {cycles}\nseconds {seconds}\n")


async def feed(dut: Any, path: Path, records: int, size: int) -> None:
    """Hand over each record as soon as the player took the one before it."""
    request = 0
    with path.open("rb") as file:
        for _ in range(records):
            dut.stimulus.value = int.from_bytes(file.read(size), "little")
            request ^= 1
            dut.stimulus_request.value = request
            await ValueChange(dut.stimulus_ack)
            await Timer(1, "ns")


async def collect(dut: Any, work: Path, records: int) -> None:
    """Write the response and the stamp of each record that the player returns."""
    width = -(-len(dut.response) // 8)
    ack = 0
    with (work / "responses").open("wb") as responses, (work / "stamps").open("w", buffering=1) as stamps:
        for _ in range(records):
            await with_timeout(ValueChange(dut.response_request), 2 * TIMEOUT_CYCLES, "ns")
            await Timer(1, "ns")
            responses.write(int(dut.response.value).to_bytes(width, "little"))
            stamps.write(f"{int(dut.response_cycle.value)}\n")
            ack ^= 1
            dut.response_ack.value = ack
