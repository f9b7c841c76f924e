"""Builds the virtual board of a plan: `hdl.device.top.Top` in Verilator with a C++ program of its own around it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from spikeveil.hdl.device.frames import RING_BITS
from spikeveil.hdl.engine.plan import Plan
from spikeveil.host.cosim import verilator_build
from spikeveil.pysim.model import checks

MAIN = Path(__file__).with_name("board.cpp")
BENCH = Path(__file__).with_name("bench.py")
PROGRAM = "board"
MOST = (1 << 32) - 1  # Hz, and bits a second
BITS_A_BYTE = 10  # start, eight data, stop
LEAST_DIVISOR = 4  # clock cycles a bit, of the gateware's UART

FRAME_CYCLES = {"bytes": 2 * 3 << RING_BITS, "uart": 8192}  # a ring read, a byte in three cycles; a UART checks by bits

ALLOWED_WARNINGS = ("-Wno-CASEINCOMPLETE",)  # Amaranth gives every value before it chooses, so a case may be left out

Pins = Literal["uart", "bytes"]


@dataclass(frozen=True)
class BoardSpec:
    """What a virtual board is: the gateware of `plan`, a clock of `clock` Hz, and its line.

    The line is a UART of `baud` bits a second (`pins` = "uart"), or a port that takes a byte and gives one in every
    clock cycle, with the same protocol (`pins` = "bytes"; `baud` says nothing then).

    ValueError where a UART's bit would be shorter than four clock cycles, or a number is out of range.
    """

    plan: Plan
    clock: int = 12_000_000
    baud: int = 3_000_000
    pins: Pins = "uart"

    def __post_init__(self) -> None:
        checks.integer("clock", self.clock, 1, MOST)
        checks.choice("pins", self.pins, ("uart", "bytes"))
        checks.integer("baud", self.baud, 1, MOST if self.pins == "bytes" else self.clock // LEAST_DIVISOR)

    @property
    def quiet(self) -> int:
        """Clock cycles without a byte on the line after which nothing moves by itself any more: a step's way from one
        end to the other, and a ring of frames read, checked and answered, with something to spare.
        """
        plan, last = self.plan, self.plan.spec.layers[-1]
        bits = last.neurons * (last.state_bits if last.readout else 1)
        inside = (plan.slots + 2) * max(plan.cadence, plan.worst_case)
        return inside + 2 * plan.spec.inputs + 2 * bits + FRAME_CYCLES[self.pins]

    def program(self) -> verilator_build.Program:
        """What to build."""
        line = () if self.pins == "bytes" else (str(self.clock), str(self.baud))
        return verilator_build.Program(
            kind=PROGRAM,
            design=(verilator_build.description(self.plan), self.pins, *line, BENCH.read_text()),
            sources=lambda: verilog(self),
            top="top",
            main=MAIN,
            options=(*ALLOWED_WARNINGS, *(("-CFLAGS", "-DBYTE_PORT") if self.pins == "bytes" else ())),
        )


def verilog(board: BoardSpec) -> dict[str, str]:
    """The Verilog of the top level: file name to text."""
    from amaranth.back import verilog as back

    from spikeveil.hdl.device.top import Top
    from spikeveil.host.virtual.bench import ByteBench

    top = Top(board.plan, clock_hz=board.clock, baud=board.baud, port=board.pins)
    outermost = ByteBench(top) if board.pins == "bytes" else top
    return {"top.v": back.convert(outermost, name="top", strip_internal_attrs=True)}


def build_program(board: BoardSpec, folder: Path | None = None) -> Path:
    """The board's program, built now or found in the cache (or in `folder`); SimulatorError where that fails."""
    return verilator_build.build(board.program(), folder) / PROGRAM
