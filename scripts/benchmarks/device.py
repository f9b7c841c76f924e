"""The virtual board with the digits network: inferences a second through the host's driver, and a UART's use.

Everything is in it: ledger, driver, pseudo-terminal, gateware. The share is the payload of the busier direction (the
bytes of input steps) in the bytes that its line could have carried, in simulated clock cycles, from before the first
lease to the last byte; a board that waits for its host lets the clock run on.
"""

import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from benchmarks import Row
from spikeveil.hdl.engine.plan import Plan
from spikeveil.host.device.driver import Device
from spikeveil.host.networks.digits_example import held_out, load_network
from spikeveil.host.privacy.ledger import Ledger
from spikeveil.host.virtual.build import BITS_A_BYTE, BoardSpec
from spikeveil.host.virtual.process import Counters, VirtualBoard

INFERENCES_REQUIRED, SHARE_REQUIRED = 20, 0.8
FAST_IMAGES, UART_IMAGES = 360, 120
CLOCK, BAUD = 12_000_000, 1_000_000


@dataclass(frozen=True)
class Run:
    """Some images through a board: wall seconds, and its counters before and after."""

    images: int
    seconds: float
    before: Counters
    after: Counters


def run(board: BoardSpec, images: int) -> Run:
    """The first test images, under leases of 64."""
    spikes = held_out()[0][:images]
    with (
        tempfile.TemporaryDirectory() as name,
        VirtualBoard(board) as running,
        Ledger(Path(name) / "ledger", state_directory=Path(name) / "state") as ledger,
        Device.open(running.port, baud=board.baud) as device,
    ):
        ledger.create_budget("digits", "record", 10**9, Fraction(1, 2))
        device.load(board.plan.spec)
        before, start = running.counters(), time.perf_counter()
        device.run(spikes, ledger=ledger, data_set="digits")
        return Run(images, time.perf_counter() - start, before, running.counters())


def rows() -> Iterator[Row]:
    """The byte port's rate, then the UART's share."""
    plan = Plan(load_network())
    fast = run(BoardSpec(plan, CLOCK, pins="bytes"), FAST_IMAGES)
    rate = fast.images / fast.seconds
    name = "virtual board, digits, 16 lanes, byte port"
    yield Row(name, "inferences/s", rate, INFERENCES_REQUIRED, "required", rate / INFERENCES_REQUIRED, 1.0)
    hertz = (fast.after.cycles - fast.before.cycles) / (fast.after.seconds - fast.before.seconds)
    yield Row(name, "cycles/s", hertz, CLOCK, "its own clock", hertz / CLOCK)
    uart = run(BoardSpec(plan, CLOCK, BAUD), UART_IMAGES)
    payload = uart.images * held_out()[0].shape[1] * -(-plan.spec.inputs // 8)
    could = (uart.after.last_transfer - uart.before.cycles) * BAUD / CLOCK / BITS_A_BYTE
    name = f"payload of a busy UART, digits, {BAUD:,} baud"
    yield Row(name, "share", payload / could, 1.0, "line rate", payload / could, SHARE_REQUIRED)
