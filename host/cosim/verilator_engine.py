"""Runs the player in Verilator under cocotb. A simulator is built once per design and then runs any number of jobs."""

import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spikeveil.hdl.engine.plan import INPUT_LANES, Plan
from spikeveil.hdl.engine.player import Player, row_bits
from spikeveil.host.cosim import cocotb_program, verilator_build
from spikeveil.host.cosim.errors import SimulatorError
from spikeveil.host.cosim.job import LeasePorts, SimulationResult, response, stimulus
from spikeveil.host.scratch import memory_file, scratch_folder

_BENCH = "spikeveil.host.cosim.verilator_bench"
_POLL_SECONDS = 0.2  # interval at which finished records are counted


def build(plan: Plan, max_steps: int, *, waves: bool = False, folder: Path | None = None) -> Path:
    """Build a simulator for records of up to `max_steps` steps, unless the cache has it; returns its folder.

    `waves`: build it so that it can write a trace. `folder`: a folder to use instead of the cache.
    """
    program = cocotb_program.program(
        (verilator_build.description(plan), str(max_steps)),
        lambda: cocotb_program.bench_sources(Player(plan, max_steps=max_steps)),
        waves=waves,
    )
    return verilator_build.build(program, folder)


def run(
    plan: Plan,
    spikes: NDArray[np.bool_],
    lease: LeasePorts,
    *,
    stall_i: int = 0,
    stall_o: int = 0,
    waves: Path | None = None,
    traced: bool = False,
    folder: Path | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> SimulationResult:
    """Run records of spikes under one lease.

    | argument | type | meaning |
    |---|---|---|
    | `spikes` | (records, steps, inputs) | input spikes, bool |
    | `lease` | `LeasePorts` | lease number, first record and secret |
    | `stall_i` | 64 bits | pattern, repeated every 64 cycles: no input row is offered in cycles whose bit is 1 |
    | `stall_o` | 64 bits | the same for output rows: none is accepted |
    | `waves` | path or None | VCD file to write |
    | `traced` | bool | use a simulator that can write a trace, even if `waves` is None |
    | `folder` | path or None | folder for simulators instead of the cache |
    | `progress` | function | called with the number of finished records |

    SimulatorError if the build or the run fails.
    """
    records, steps, _ = spikes.shape
    program_folder = build(plan, steps, waves=traced or waves is not None, folder=folder)
    settings = {"steps": steps, "stall_i": stall_i, "stall_o": stall_o}
    with (
        memory_file(_ports(plan, lease, settings)) as ports,  # with the key, so on no disk; nor is the input
        memory_file(_stimulus(plan, spikes)) as stimuli,
        scratch_folder(Path(tempfile.gettempdir()), "spikeveil-") as work,
    ):
        job = {"job": work, "ports": ports, "stimulus": stimuli, "records": records, "parent": os.getpid()}
        with _progress_of(work, progress):
            cocotb_program.simulate(program_folder, work, _BENCH, job, waves)
        if not (work / "summary").exists():
            raise SimulatorError("the simulation did not finish: it wrote no summary")
        progress(records)
        return _read_result(work, plan, steps)


def _ports(plan: Plan, lease: LeasePorts, settings: dict[str, int]) -> bytes:
    ports = {key: value for key, value in lease.ports().items() if key in plan.lease_ports} | settings
    return "".join(f"{key} {value:x}\n" for key, value in ports.items()).encode()


def _stimulus(plan: Plan, spikes: NDArray[np.bool_]) -> bytes:
    size = -(-spikes.shape[1] * plan.i_rows * INPUT_LANES // 8)
    return b"".join(value.to_bytes(size, "little") for value in stimulus(spikes))


def _read_result(work: Path, plan: Plan, steps: int) -> SimulationResult:
    summary = dict(line.split() for line in (work / "summary").read_text().splitlines())
    stamps = np.loadtxt(work / "stamps", np.int64, ndmin=1)
    raw = (work / "responses").read_bytes()
    width = -(-steps * plan.o_rows * row_bits(plan) // 8)
    values = [int.from_bytes(raw[start : start + width], "little") for start in range(0, len(raw), width)]
    released = response(values, plan, steps, steps)
    return SimulationResult(released, stamps, int(summary["cycles"]), float(summary["seconds"]))


@contextmanager
def _progress_of(work: Path, progress: Callable[[int], None]) -> Iterator[None]:
    """While the block runs, call `progress` at intervals with the number of records finished in `work`."""
    done = threading.Event()

    def watch() -> None:
        while not done.wait(_POLL_SECONDS):
            if (work / "stamps").exists():
                progress((work / "stamps").read_bytes().count(b"\n"))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
