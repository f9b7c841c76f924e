"""Ports to a device: the `Port` and `OpenPort` protocols, and serial ports."""

import errno
import time
from contextlib import suppress
from typing import Any, Protocol

from spikeveil.host.device.errors import PortBusy, PortLost
from spikeveil.pysim.model import checks

DEFAULT_BAUD = 1_000_000
MAX_BAUD = 4_000_000
READ_TIMEOUT = 0.01  # seconds: the longest that a read overstays its time-out
BUSY = (errno.EBUSY, errno.EAGAIN, errno.EWOULDBLOCK)


class OpenPort(Protocol):
    """Bytes to and from a device. Each method but `close` raises PortLost where the port is gone."""

    def write(self, data: bytes) -> None:
        """Send `data`."""

    def read(self, timeout: float) -> bytes:
        """The bytes that have arrived, as soon as there are any; none after `timeout` seconds."""

    def close(self) -> None:
        """Close the port; never raises."""


class Port(Protocol):
    """A port that can be opened repeatedly, and the clock for all time-outs on it."""

    @property
    def name(self) -> str:
        """The port's name, for messages."""

    def open(self) -> OpenPort:
        """Open the port. PortLost where it does not exist, PortBusy where another program has it open."""

    def now(self) -> float:
        """Seconds of a monotonic clock."""

    def wait(self, seconds: float) -> None:
        """Block for `seconds`."""


class SerialPort:
    """The serial port `name` at `baud` bits a second, 8N1, locked against other programs while it is open."""

    def __init__(self, name: str, baud: int = DEFAULT_BAUD, write_timeout: float = 5.0) -> None:
        self.name = name
        self.baud = checks.integer("baud rate", baud, 1, MAX_BAUD)
        self.write_timeout = write_timeout

    def open(self) -> "OpenSerialPort":
        """Open the port."""
        import serial

        try:
            device = serial.Serial(
                self.name, self.baud, timeout=READ_TIMEOUT, write_timeout=self.write_timeout, exclusive=True
            )
        except (OSError, ValueError) as error:
            raise _cannot_open(self.name, error) from None
        return OpenSerialPort(self.name, device)

    def now(self) -> float:
        """Seconds of the system's monotonic clock."""
        return time.monotonic()

    def wait(self, seconds: float) -> None:
        """Sleep for `seconds`."""
        time.sleep(seconds)


class OpenSerialPort:
    """An open serial port; `device` is pyserial's."""

    def __init__(self, name: str, device: Any) -> None:
        self._name = name
        self._device = device

    def write(self, data: bytes) -> None:
        """Send all of `data`."""
        try:
            self._device.write(data)
        except (OSError, TypeError) as error:  # TypeError: pyserial, where the port was closed beneath it
            raise self._lost_port() from error

    def read(self, timeout: float) -> bytes:
        """The bytes that have arrived; none after `timeout` seconds, or `READ_TIMEOUT` later at most."""
        deadline = time.monotonic() + timeout
        try:
            while not (first := self._device.read(1)) and time.monotonic() < deadline:
                pass
            available = self._device.in_waiting if first else 0
            return bytes(first + self._device.read(available)) if available else bytes(first)
        except (OSError, TypeError) as error:
            raise self._lost_port() from error

    def close(self) -> None:
        """Unlock and close the port."""
        with suppress(OSError):
            self._device.close()

    def _lost_port(self) -> PortLost:
        return PortLost(f"port {self._name} is gone")


def _cannot_open(name: str, error: Exception) -> PortLost | PortBusy:
    number = getattr(error, "errno", None)
    if number in BUSY:
        return PortBusy(f"port {name} is held by another program")
    if number == errno.ENOENT:
        return PortLost(f"there is no port {name}")
    reason = "permission denied" if number == errno.EACCES else str(error)
    return PortLost(f"port {name} could not be opened: {reason}")
