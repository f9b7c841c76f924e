"""Builds virtual boards: `hdl.device.top.Top`, compiled by Verilator into the C++ program of `board.cpp`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from spikeveil.hdl.device.frames import RING_BITS
from spikeveil.hdl.device.top import Top
from spikeveil.hdl.engine.plan import Plan
from spikeveil.host.cosim import verilator_build
from spikeveil.host.verilog_text import to_verilog
from spikeveil.host.virtual.byte_port import BytePort
from spikeveil.pysim.device.wire import MAX_CLOCK_HZ
from spikeveil.pysim.model import checks

MAIN = Path(__file__).with_name("board.cpp")
BYTE_PORT = Path(__file__).with_name("byte_port.py")
PROGRAM = "board"
BITS_A_BYTE = 10  # of a UART: start bit, eight data bits, stop bit
MIN_DIVISOR = 4  # clock cycles a bit of the gateware's UART

#: cycles in which a full input ring is read, at three cycles a byte, and answered; a UART needs longer for its bits
FRAME_CYCLES = {"bytes": 2 * 3 << RING_BITS, "uart": 8192}

ALLOWED_WARNINGS = ("-Wno-CASEINCOMPLETE",)  # Amaranth assigns a default before each case statement

Pins = Literal["uart", "bytes"]


@dataclass(frozen=True)
class BoardSpec:
    """Specification of a virtual board.

    | field | meaning |
    |---|---|
    | `plan` | the plan of its gateware |
    | `clock` | its clock in Hz |
    | `baud` | baud rate of its UART |
    | `pins` | `uart`, or `bytes`: a port that transfers a byte each way in every cycle; `baud` is then unused |

    ValueError where a bit of the UART would be shorter than four clock cycles, or a number is out of range.
    """

    plan: Plan
    clock: int = 12_000_000
    baud: int = 3_000_000
    pins: Pins = "uart"

    def __post_init__(self) -> None:
        checks.integer("clock", self.clock, 1, MAX_CLOCK_HZ)
        checks.choice("pins", self.pins, ("uart", "bytes"))
        checks.integer("baud", self.baud, 1, MAX_CLOCK_HZ if self.pins == "bytes" else self.clock // MIN_DIVISOR)

    @property
    def idle_cycles(self) -> int:
        """Clock cycles without a byte on the line after which the device is idle: it sends nothing more by itself.

        An upper bound on the latency of a step, plus the time to read, check and answer a ring of frames.
        """
        plan, last = self.plan, self.plan.spec.layers[-1]
        bits = last.neurons * (last.state_bits if last.readout else 1)
        latency = (plan.slots + 2) * max(plan.cadence, plan.worst_case)
        return latency + 2 * plan.spec.inputs + 2 * bits + FRAME_CYCLES[self.pins]

    def program(self) -> verilator_build.Program:
        """What Verilator compiles, and what its digest covers."""
        line = () if self.pins == "bytes" else (str(self.clock), str(self.baud))
        return verilator_build.Program(
            kind=PROGRAM,
            design=(verilator_build.description(self.plan), self.pins, *line, BYTE_PORT.read_text()),
            sources=lambda: verilog(self),
            top="top",
            main=MAIN,
            options=(*ALLOWED_WARNINGS, *(("-CFLAGS", "-DBYTE_PORT") if self.pins == "bytes" else ())),
        )


def verilog(board: BoardSpec) -> dict[str, str]:
    """File name -> Verilog of the top level."""
    top = Top(board.plan, clock_hz=board.clock, baud=board.baud, port=board.pins)
    outermost = BytePort(top) if board.pins == "bytes" else top
    return {"top.v": to_verilog(outermost)}


def build_program(board: BoardSpec, folder: Path | None = None) -> Path:
    """The path of the board's program, from the cache (or `folder`) or built now. SimulatorError where that fails."""
    return verilator_build.build(board.program(), folder) / PROGRAM
