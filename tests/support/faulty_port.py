"""Ports with seeded faults between host and device: bytes lost, repeated, changed; ports that vanish."""

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from support.exchanges import TwinLine

from spikeveil.host.device.errors import PortLost
from spikeveil.host.device.port import OpenPort, Port
from spikeveil.pysim.device.top import DeviceModel

KINDS = ("drop", "repeat", "flip", "swap", "noise", "cut")
SECONDS_A_BYTE = 1e-5


@dataclass
class Faults:
    """Damages a byte stream: one fault in `mean` bytes on average, none where `mean` is 0; `counts` by kind."""

    dice: Random
    mean: float
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._bytes_until_fault = self._draw_interval()
        self._bytes_to_drop = 0  # of a cut
        self._swapped = b""  # sent after the next byte

    def _draw_interval(self) -> int:
        return int(self.dice.expovariate(1 / self.mean)) if self.mean else 1 << 60

    def apply(self, data: bytes) -> bytes:
        """The bytes that arrive when `data` is sent."""
        arriving = bytearray()
        for byte in data:
            arriving += self._byte(bytes([byte]))
        return bytes(arriving)

    def _byte(self, byte: bytes) -> bytes:
        if self._bytes_to_drop:
            self._bytes_to_drop -= 1
            return b""
        swapped, self._swapped = self._swapped, b""
        if self._bytes_until_fault > 0:
            self._bytes_until_fault -= 1
            return byte + swapped
        self._bytes_until_fault = self._draw_interval()
        kind = self.dice.choice(KINDS)
        self.counts[kind] += 1
        return self._damage(kind, byte) + swapped

    def _damage(self, kind: str, byte: bytes) -> bytes:
        if kind == "repeat":
            return byte * self.dice.randint(2, 3)
        if kind == "flip":
            return bytes([byte[0] ^ 1 << self.dice.randrange(8)])
        if kind == "noise":
            return byte + self.dice.randbytes(self.dice.randint(1, 60))
        if kind == "swap":
            self._swapped = byte
        if kind == "cut":
            self._bytes_to_drop = self.dice.choice((2, 10, 60))
        return b""


class TwinPort:
    """The twin at a port whose clock advances only while the host waits or bytes are transferred."""

    def __init__(self, device: DeviceModel) -> None:
        self.name, self.twin = "twin", TwinLine(device)
        self.time = 0.0

    def open(self) -> "OpenTwinPort":
        """Open the port."""
        return OpenTwinPort(self)

    def now(self) -> float:
        """Seconds of the port's clock."""
        return self.time

    def power_cycle(self) -> None:
        """Restart the twin."""
        self.twin.send(None)

    def wait(self, seconds: float) -> None:
        """Advance the clock."""
        self.time += seconds


class OpenTwinPort:
    """An open port to the twin."""

    def __init__(self, port: TwinPort) -> None:
        self._port, self._arrived = port, deque[bytes]()

    def write(self, data: bytes) -> None:
        """Send; the answer arrives at once."""
        self._port.time += len(data) * SECONDS_A_BYTE
        answer = self._port.twin.send(data)
        self._arrived.extend(answer[at : at + 100] for at in range(0, len(answer), 100))

    def read(self, timeout: float) -> bytes:
        """At most 100 bytes of what has arrived."""
        if not self._arrived:
            self._port.time += timeout
            return b""
        piece = self._arrived.popleft()
        self._port.time += len(piece) * SECONDS_A_BYTE
        return piece

    def close(self) -> None:
        """Nothing to close."""


@dataclass
class FaultyPort:
    """`port` with faults in both directions; `tap(direction, data)` gets the bytes as host and device sent them.

    On average after `lost_after` reads or writes the port vanishes (PortLost) and comes back; half of the times the
    device is restarted with `power_cycle`. `events` counts both.
    """

    port: Port
    dice: Random
    mean: float
    lost_after: float = 0
    power_cycle: Callable[[], None] = lambda: None
    tap: "Callable[[str, bytes], None]" = lambda direction, data: None
    events: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.name = self.port.name
        self.up = Faults(self.dice, self.mean)
        self.down = Faults(self.dice, self.mean)

    @property
    def fault_counts(self) -> Counter[str]:
        """Faults of both directions, by kind."""
        return self.up.counts + self.down.counts

    def open(self) -> "OpenFaultyPort":
        """Open the port."""
        return OpenFaultyPort(self, self.port.open())

    def now(self) -> float:
        """The clock of `port`."""
        return self.port.now()

    def wait(self, seconds: float) -> None:
        """Wait on the clock of `port`."""
        self.port.wait(seconds)

    def maybe_vanish(self) -> None:
        """Raise PortLost at random."""
        if self.lost_after and self.dice.random() < 1 / self.lost_after:
            self.events["unplugged"] += 1
            if self.dice.random() < 0.5:
                self.events["power cycle"] += 1
                self.power_cycle()
            raise PortLost(f"port {self.name} is gone")


class OpenFaultyPort:
    """An open port with faults."""

    def __init__(self, port: FaultyPort, open_port: OpenPort) -> None:
        self._port, self._open_port = port, open_port

    def write(self, data: bytes) -> None:
        """Send `data` with faults."""
        self._port.maybe_vanish()
        self._port.tap("up", data)
        self._open_port.write(self._port.up.apply(data))

    def read(self, timeout: float) -> bytes:
        """Receive with faults."""
        self._port.maybe_vanish()
        data = self._open_port.read(timeout)
        self._port.tap("down", data)
        return self._port.down.apply(data)

    def close(self) -> None:
        """Close the port."""
        self._open_port.close()
