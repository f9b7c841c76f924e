"""Ports to the device's model without a pseudo-terminal, and models behind faulty lines."""

import random
from collections.abc import Callable

from spikeveil.host.device.twin_board import TwinEndpoint
from spikeveil.pysim.device.top import DeviceModel


class FixedAnswer(TwinEndpoint):
    """Answers every piece of data with the same bytes, by default none."""

    answer = b""

    def feed(self, piece: bytes) -> bytes:
        return self.answer if piece.strip(b"\0") else b""


class DirectPort:
    """The model without a serial port; `spoil` maps every piece of bytes in both directions to what arrives.

    Time advances only while no bytes are in transit.
    """

    name = "direct"

    def __init__(self, endpoint: TwinEndpoint, spoil: Callable[[bytes], bytes] = bytes) -> None:
        self.endpoint, self.spoil = endpoint, spoil
        self.time, self.received = 0.0, b""

    def open(self) -> "DirectPort":
        return self

    def now(self) -> float:
        return self.time

    def wait(self, seconds: float) -> None:
        self.time += seconds

    def write(self, data: bytes) -> None:
        self.received += self.spoil(self.endpoint.feed(self.spoil(data)))

    def read(self, timeout: float) -> bytes:
        self.time += 0.001 if self.received else timeout
        piece, self.received = self.received, b""
        return piece

    def close(self) -> None:
        pass


def spoiler(dice: random.Random, chance: float) -> Callable[[bytes], bytes]:
    """Drops, repeats, changes and truncates: a fault at each byte with probability `chance`."""

    def spoil(data: bytes) -> bytes:
        out = bytearray()
        for byte in data:
            if dice.random() >= chance:
                out.append(byte)
                continue
            kind = dice.randrange(4)
            if kind == 3:
                return bytes(out)
            out += (b"", bytes([byte, byte]), bytes([byte ^ 1 << dice.randrange(8)]))[kind]
        return bytes(out)

    return spoil


class SlowPort(DirectPort):
    """Full duplex with `rate` bytes a second in each direction; the model answers after `latency` seconds."""

    def __init__(self, endpoint: TwinEndpoint, rate: float, latency: float) -> None:
        super().__init__(endpoint)
        self.rate, self.latency = rate, latency
        self.arriving: list[tuple[float, int]] = []  # arrival time of each byte from the device
        self.busy = [0.0, 0.0]  # end of transmission to the device, from it

    def write(self, data: bytes) -> None:
        self.busy[0] = max(self.busy[0], self.time) + len(data) / self.rate
        for byte in self.endpoint.feed(data):
            self.busy[1] = max(self.busy[1], self.busy[0] + self.latency) + 1 / self.rate
            self.arriving.append((self.busy[1], byte))

    def read(self, timeout: float) -> bytes:
        if not self.arriving or self.arriving[0][0] > self.time + timeout:
            self.time += timeout
            return b""
        self.time = max(self.time, self.arriving[0][0])
        piece = bytes(byte for arrival, byte in self.arriving if arrival <= self.time)
        del self.arriving[: len(piece)]
        return piece


class SpoiledEndpoint(TwinEndpoint):
    """A model whose line loses, repeats or changes one byte in 500."""

    def __init__(self, device: DeviceModel) -> None:
        super().__init__(device)
        self.spoil = spoiler(random.Random(4), 2e-3)

    def feed(self, piece: bytes) -> bytes:
        return self.spoil(super().feed(self.spoil(piece)))
