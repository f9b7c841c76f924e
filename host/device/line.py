"""The way to a device: a port that can be opened again, and the line of bytes that opening gives. All time is its."""

import errno
import time
from contextlib import suppress
from typing import Any, Protocol

from spikeveil.host.device.errors import LineBusy, LineLost
from spikeveil.pysim.model import checks

DEFAULT_BAUD = 1_000_000
MAX_BAUD = 4_000_000
POLL = 0.01  # seconds: the longest that a read overstays its time-out
BUSY = (errno.EBUSY, errno.EAGAIN, errno.EWOULDBLOCK)


class Line(Protocol):
    """An open way to a device. Each method raises LineLost where it is gone."""

    def write(self, data: bytes) -> None:
        """Send `data`."""

    def read(self, timeout: float) -> bytes:
        """Some bytes, as soon as there are any; none after `timeout` seconds."""

    def close(self) -> None:
        """Let go of it; never raises."""


class Port(Protocol):
    """Where a device is, and the clock by which it is waited for."""

    @property
    def name(self) -> str:
        """Its name, for sentences."""

    def open(self) -> Line:
        """A line to it. LineLost where it is not there, LineBusy where another program has it."""

    def now(self) -> float:
        """Seconds of a clock that never goes back."""

    def wait(self, seconds: float) -> None:
        """Let `seconds` pass."""


class SerialPort:
    """The serial port `name` at `baud` bits a second, 8N1, locked against other programs while it is open."""

    def __init__(self, name: str, baud: int = DEFAULT_BAUD, write_timeout: float = 5.0) -> None:
        self.name = name
        self.baud = checks.integer("baud rate", baud, 1, MAX_BAUD)
        self.write_timeout = write_timeout

    def open(self) -> "SerialLine":
        """The port, opened."""
        import serial

        try:
            device = serial.Serial(self.name, self.baud, timeout=POLL, write_timeout=self.write_timeout, exclusive=True)
        except (OSError, ValueError) as error:
            raise _cannot_open(self.name, error) from None
        return SerialLine(self.name, device)

    def now(self) -> float:
        """Seconds of the system's clock."""
        return time.monotonic()

    def wait(self, seconds: float) -> None:
        """Sleep."""
        time.sleep(seconds)


class SerialLine:
    """An open serial port."""

    def __init__(self, name: str, device: Any) -> None:
        self._name, self._device = name, device

    def write(self, data: bytes) -> None:
        """Send `data`, whole."""
        try:
            self._device.write(data)
        except (OSError, TypeError) as error:  # TypeError: pyserial, where the port was closed beneath it
            raise self._lost() from error

    def read(self, timeout: float) -> bytes:
        """Some bytes, or none after `timeout` seconds and `POLL` at most."""
        until = time.monotonic() + timeout
        try:
            while not (first := self._device.read(1)) and time.monotonic() < until:
                pass
            more = self._device.in_waiting if first else 0
            return bytes(first + self._device.read(more)) if more else bytes(first)
        except (OSError, TypeError) as error:
            raise self._lost() from error

    def close(self) -> None:
        """Unlock and close the port."""
        with suppress(OSError):
            self._device.close()

    def _lost(self) -> LineLost:
        return LineLost(f"port {self._name} is gone")


def _cannot_open(name: str, error: Exception) -> LineLost | LineBusy:
    number = getattr(error, "errno", None)
    if number in BUSY:
        return LineBusy(f"port {name} is held by another program")
    if number == errno.ENOENT:
        return LineLost(f"there is no port {name}")
    reason = "permission denied" if number == errno.EACCES else str(error)
    return LineLost(f"port {name} could not be opened: {reason}")
