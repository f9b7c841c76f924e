"""A component in Verilator, driven through cocotb: its bench in Verilog, its program, and one run of it."""

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from amaranth.lib.wiring import In

from spikeveil.host.cosim.errors import SimulatorError
from spikeveil.host.cosim.verilator_build import Program
from spikeveil.host.verilog_text import to_verilog

_LOG_LINES = 15  # of the simulator's log that an error shows


def wrapper(ports: list[tuple[str, int, bool]]) -> str:
    """A bench that generates the clock and shows cocotb the ports of `top`: (name, bits, whether it is an input)."""
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


def bench_sources(component: Any) -> dict[str, str]:
    """The Verilog of a component and its bench: file name to text. A port of an interface is named `PATH__PORT`."""
    ports = [
        ("__".join(map(str, path)), len(getattr(port, "as_value", lambda port=port: port)()), member.flow is In)
        for path, member, port in component.signature.flatten(component)
    ]
    return {"bench.v": wrapper(ports), "top.v": to_verilog(component)}


def program(design: tuple[str, ...], sources: Callable[[], dict[str, str]], *, waves: bool = False) -> Program:
    """The program of a bench; `design` and `sources` as in `Program`."""
    from cocotb_tools import config

    libraries = config.libs_dir
    return Program(
        kind="bench",
        design=(*design, wrapper([])),
        sources=sources,
        top="bench",
        main=config.share_dir / "lib" / "verilator" / "verilator.cpp",
        options=(
            *("--vpi", "--timing"),
            *("-LDFLAGS", f"-Wl,-rpath,{libraries} -L{libraries} -lcocotbvpi_verilator"),
        ),
        keep_main=True,
        waves=waves,
    )


def simulate(
    program_folder: Path, work: Path, module: str, plusargs: Mapping[str, object], waves: Path | None = None
) -> None:
    """Run the cocotb tests of `module` once on the program in `program_folder`.

    `plusargs`: what the tests read from `cocotb.plusargs`. `work`: an empty folder for the log and the results.
    `waves`: the VCD file to write. SimulatorError, with the end of the log, where not every test passed.
    """
    from cocotb_tools.runner import get_runner

    log, results = work / "log", work / "results.xml"
    try:
        get_runner("verilator").test(
            test_module=module,
            hdl_toplevel="bench",
            hdl_toplevel_lang="verilog",
            build_dir=program_folder,
            test_dir=work,
            results_xml=str(results),
            test_args=["--trace", "--trace-file", str(waves.absolute())] if waves else [],
            plusargs=[f"+{name}={value}" for name, value in plusargs.items()],
            extra_env={"PYGPI_PYTHON_BIN": sys.executable},
            log_file=str(log),
        )
        content = results.read_bytes() if results.exists() else b""
        success = b"<testcase" in content and b"<failure" not in content
    except (RuntimeError, SystemExit, subprocess.CalledProcessError):
        success = False
    if not success:
        tail = "\n".join(log.read_text().strip().splitlines()[-_LOG_LINES:]) if log.exists() else "no log was written"
        raise SimulatorError(f"the simulation did not finish:\n{tail}")
