"""What `spikeveil board` prints."""

from typing import Any

from spikeveil.host.virtual.process import Counters, VirtualBoard

LEDS = ("lease open", "traffic", "fault")


def board_report(device: VirtualBoard) -> dict[str, Any]:
    """The port and what is behind it, ready for JSON."""
    spec, plan = device.board, device.board.plan
    return {
        "port": str(device.link or device.port),
        "terminal": device.port,
        "fingerprint": plan.spec.fingerprint,
        "source": plan.source,
        "schedule": plan.schedule,
        "lanes": plan.lanes,
        "clock": spec.clock,
        "baud": None if spec.pins == "bytes" else spec.baud,
    }


def board_text(device: VirtualBoard) -> str:
    """The port on a line of its own, for scripts, and what is behind it."""
    spec, plan = device.board, device.board.plan
    line = "a byte-wide port" if spec.pins == "bytes" else f"{spec.baud} baud"
    return (
        f"port {device.link or device.port}\n"
        f"{line}, clock {spec.clock:,} Hz, {plan.lanes} lanes, source {plan.source}, schedule {plan.schedule}; "
        "Ctrl-C ends it"
    )


def counters_text(counters: Counters, rate: float) -> str:
    """One line with cycles, bytes and LEDs."""
    lit = ", ".join(name for index, name in enumerate(LEDS) if counters.leds >> index & 1)
    speed = f"{rate:,.0f} a second" if rate else "idle"
    errors = f", {counters.framing_errors} of them with a framing error" if counters.framing_errors else ""
    return (
        f"{counters.cycles:,} clock cycles, {speed}; {counters.bytes_in:,} bytes in, {counters.bytes_out:,} out{errors}"
        f"; LEDs: {lit or 'none'}"
    )
