"""A line between host and device on which things go wrong, in the order of a seed."""

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from support.exchanges import TwinLine

from spikeveil.host.device.errors import LineLost
from spikeveil.host.device.line import Line, Port
from spikeveil.pysim.device.top import Device

KINDS = ("drop", "repeat", "flip", "swap", "noise", "cut")
SECONDS_A_BYTE = 1e-5


@dataclass
class Faults:
    """Does something to a byte now and then: on average after `mean` bytes. `done` counts what, by kind."""

    dice: Random
    mean: float
    done: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._next = self._pause()
        self._lost = 0  # bytes that a cut still swallows
        self._held = b""  # a byte that swaps with the next

    def _pause(self) -> int:
        return int(self.dice.expovariate(1 / self.mean)) if self.mean else 1 << 60

    def through(self, data: bytes) -> bytes:
        """What comes out at the other end."""
        out = bytearray()
        for byte in data:
            out += self._byte(bytes([byte]))
        return bytes(out)

    def _byte(self, byte: bytes) -> bytes:
        if self._lost:
            self._lost -= 1
            return b""
        held, self._held = self._held, b""
        if self._next > 0:
            self._next -= 1
            return byte + held
        self._next = self._pause()
        kind = self.dice.choice(KINDS)
        self.done[kind] += 1
        return self._spoilt(kind, byte) + held

    def _spoilt(self, kind: str, byte: bytes) -> bytes:
        if kind == "repeat":
            return byte * self.dice.randint(2, 3)
        if kind == "flip":
            return bytes([byte[0] ^ 1 << self.dice.randrange(8)])
        if kind == "noise":
            return byte + self.dice.randbytes(self.dice.randint(1, 60))
        if kind == "swap":
            self._held = byte
        if kind == "cut":
            self._lost = self.dice.choice((2, 10, 60))
        return b""


class TwinPort:
    """The twin at a port whose clock goes on only while somebody waits or bytes move."""

    def __init__(self, device: Device) -> None:
        self.name, self.twin = "twin", TwinLine(device)
        self.time = 0.0

    def open(self) -> "TwinPortLine":
        """A line to it."""
        return TwinPortLine(self)

    def now(self) -> float:
        """Seconds."""
        return self.time

    def power_cycle(self) -> None:
        """Off and on."""
        self.twin.send(None)

    def wait(self, seconds: float) -> None:
        """Let them pass."""
        self.time += seconds


class TwinPortLine:
    """An open line to the twin."""

    def __init__(self, port: TwinPort) -> None:
        self._port, self._arrived = port, deque[bytes]()

    def write(self, data: bytes) -> None:
        """Send; the answer is there at once."""
        self._port.time += len(data) * SECONDS_A_BYTE
        answer = self._port.twin.send(data)
        self._arrived.extend(answer[at : at + 100] for at in range(0, len(answer), 100))

    def read(self, timeout: float) -> bytes:
        """What has arrived, 100 bytes at the most."""
        if not self._arrived:
            self._port.time += timeout
            return b""
        piece = self._arrived.popleft()
        self._port.time += len(piece) * SECONDS_A_BYTE
        return piece

    def close(self) -> None:
        """Nothing to let go of."""


@dataclass
class FaultyPort:
    """`port` with faults on its line, both ways; `tap` hears what device and host truly send.

    Every `lost_after` reads or writes, on average, the port vanishes and comes back, and the device is switched off and
    on with `power_cycle` half of the times; `events` counts both.
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
        self.up, self.down = (Faults(self.dice, self.mean) for _ in range(2))

    @property
    def done(self) -> Counter[str]:
        """The faults of both directions, by kind."""
        return self.up.done + self.down.done

    def open(self) -> "FaultyLine":
        """A line."""
        return FaultyLine(self, self.port.open())

    def now(self) -> float:
        """The port's."""
        return self.port.now()

    def wait(self, seconds: float) -> None:
        """The port's."""
        self.port.wait(seconds)

    def perhaps_vanish(self) -> None:
        """LineLost, now and then."""
        if self.lost_after and self.dice.random() < 1 / self.lost_after:
            self.events["unplugged"] += 1
            if self.dice.random() < 0.5:
                self.events["power cycle"] += 1
                self.power_cycle()
            raise LineLost(f"port {self.name} is gone")


class FaultyLine:
    """An open line with faults."""

    def __init__(self, port: FaultyPort, line: Line) -> None:
        self._port, self._line = port, line

    def write(self, data: bytes) -> None:
        """Send, perhaps not quite this."""
        self._port.perhaps_vanish()
        self._port.tap("up", data)
        self._line.write(self._port.up.through(data))

    def read(self, timeout: float) -> bytes:
        """What arrives, perhaps not quite what was sent."""
        self._port.perhaps_vanish()
        data = self._line.read(timeout)
        self._port.tap("down", data)
        return self._port.down.through(data)

    def close(self) -> None:
        """Close."""
        self._line.close()
