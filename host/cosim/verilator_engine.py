"""The player in Verilator, driven through cocotb: built once a design, then run on any number of jobs."""

import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spikeveil.hdl.engine.plan import INPUT_LANES, Plan
from spikeveil.hdl.engine.player import Player, row_bits
from spikeveil.host.cosim import verilator_build
from spikeveil.host.cosim.errors import SimulatorError as SimulatorError
from spikeveil.host.cosim.job import LeasePorts, SimulationResult, response, stimulus
from spikeveil.host.cosim.verilator_build import cache_folder as cache_folder
from spikeveil.host.cosim.verilator_build import verilator_root as verilator_root

MODULE = "spikeveil.host.cosim.verilator_bench"


def wrapper(ports: list[tuple[str, int, bool]]) -> str:
    """A bench that makes the clock itself and shows cocotb the player's ports: (name, bits, whether it is an input)."""
    lines = [
        "`timescale 1ns/1ns",
        "module bench;",
        "  reg clk /*verilator public_flat_rw*/ = 0;",
        "  always #1 clk = ~clk;",
    ]
    for name, bits, is_input in ports:
        kind = "reg" if is_input else "wire"
        value = " = 0" if is_input else ""
        access = "public_flat_rw" if is_input else "public_flat_rd"
        lines.append(f"  {kind} [{bits - 1}:0] {name} /*verilator {access}*/{value};")
    connections = ", ".join(f".{name}({name})" for name, _, _ in ports)
    lines += [f"  top top(.clk(clk), .rst(1'b0), {connections});", "endmodule", ""]
    return "\n".join(lines)


def sources(plan: Plan, most_steps: int) -> dict[str, str]:
    """The Verilog of the bench: file name to text."""
    from amaranth.back import verilog
    from amaranth.lib.wiring import In

    player = Player(plan, most_steps=most_steps)
    ports = [(name, len(getattr(player, name)), member.flow is In) for name, member in player.signature.members.items()]
    return {"bench.v": wrapper(ports), "top.v": verilog.convert(player, name="top", strip_internal_attrs=True)}


def build(plan: Plan, most_steps: int, *, waves: bool = False, folder: Path | None = None) -> Path:
    """The folder of a simulator for records of up to `most_steps`, built now or found in the cache (or in `folder`)."""
    from cocotb_tools import config

    libraries = config.libs_dir
    program = verilator_build.Program(
        kind="bench",
        design=(verilator_build.description(plan), str(most_steps), wrapper([])),
        sources=lambda: sources(plan, most_steps),
        top="bench",
        main=config.share_dir / "lib" / "verilator" / "verilator.cpp",
        options=(
            *("--vpi", "--timing"),
            *("-LDFLAGS", f"-Wl,-rpath,{libraries} -L{libraries} -lcocotbvpi_verilator"),
        ),
        keep_main=True,
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
    """Run records of spikes (records, steps, inputs) under one lease; `progress` hears how many records are done.

    With `waves`, the trace (VCD) is written there; `traced` takes the same build, able to trace, without writing one.
    SimulatorError where the build or the run fails.
    """
    records, steps, _ = spikes.shape
    built = build(plan, steps, waves=traced or waves is not None, folder=folder)
    with tempfile.TemporaryDirectory(prefix="spikeveil-") as name:
        work = Path(name)
        size = -(-steps * plan.i_rows * INPUT_LANES // 8)
        ports = {key: value for key, value in lease.ports().items() if key in plan.lease_ports}
        ports |= {"steps": steps, "stall_i": stall_i, "stall_o": stall_o}
        (work / "stimulus").write_bytes(b"".join(value.to_bytes(size, "little") for value in stimulus(spikes)))
        (work / "ports").write_text("".join(f"{key} {value:x}\n" for key, value in ports.items()))
        _simulate(built, work, records, progress, waves)
        summary = dict(line.split() for line in (work / "summary").read_text().splitlines())
        stamps = np.loadtxt(work / "stamps", np.int64, ndmin=1)
        raw = (work / "responses").read_bytes()
    width = -(-steps * plan.o_rows * row_bits(plan) // 8)
    values = [int.from_bytes(raw[at : at + width], "little") for at in range(0, len(raw), width)]
    rows = response(values, plan, steps, steps)
    return SimulationResult(rows, stamps, int(summary["cycles"]), float(summary["seconds"]))


def _simulate(built: Path, work: Path, records: int, progress: Callable[[int], None], waves: Path | None) -> None:
    """One run of the built simulator over the job in `work`."""
    from cocotb_tools.runner import get_runner

    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.2):
            if (work / "stamps").exists():
                progress((work / "stamps").read_bytes().count(b"\n"))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    log = work / "log"
    try:
        results = get_runner("verilator").test(
            test_module=MODULE,
            hdl_toplevel="bench",
            hdl_toplevel_lang="verilog",
            build_dir=built,
            test_dir=work,
            results_xml=str(work / "results.xml"),
            test_args=["--trace", "--trace-file", str(waves.absolute())] if waves else [],
            plusargs=[f"+job={work}", f"+records={records}"],
            extra_env={"PYGPI_PYTHON_BIN": sys.executable},
            log_file=str(log),
        )
        passed = results.exists() and (work / "summary").exists() and b"<failure" not in results.read_bytes()
    except (RuntimeError, SystemExit, subprocess.CalledProcessError):
        passed = False
    finally:
        done.set()
        watcher.join()
    if not passed:
        tail = "\n".join(log.read_text().strip().splitlines()[-15:]) if log.exists() else "no log was written"
        raise SimulatorError(f"the simulation did not finish:\n{tail}")
    progress(records)
