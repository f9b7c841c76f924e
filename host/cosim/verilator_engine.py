"""The player in Verilator, driven through cocotb: built once a design, then run on any number of jobs."""

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
_POLL_SECONDS = 0.2  # between two looks at how many records are done


def build(plan: Plan, most_steps: int, *, waves: bool = False, folder: Path | None = None) -> Path:
    """The folder of a simulator for records of up to `most_steps` steps, built now or found in the cache.

    `waves`: the simulator can write a trace. `folder`: another folder than the cache.
    """
    program = cocotb_program.program(
        (verilator_build.description(plan), str(most_steps)),
        lambda: cocotb_program.bench_sources(Player(plan, most_steps=most_steps)),
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
    | `lease` | `LeasePorts` | what the network is opened with |
    | `stall_i` | 64 bits | cycles, in turn, in which no input row is offered |
    | `stall_o` | 64 bits | cycles, in turn, in which no output row is taken |
    | `waves` | path or None | the trace (VCD) to write |
    | `traced` | bool | use the build that can write a trace, without writing one |
    | `folder` | path or None | where simulators are built, where it is not the cache |
    | `progress` | function | called with the number of records that are done |

    SimulatorError where the build or the run fails.
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
    """Call `progress` with the number of records in `work` whenever it may have changed."""
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
