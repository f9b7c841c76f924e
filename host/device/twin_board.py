"""The device's twin behind a pseudo-terminal, so that the driver's own serial code is what talks to it."""

import os
import select
import sys
import threading
import tty
from contextlib import suppress
from pathlib import Path

from spikeveil.host.device import frames
from spikeveil.host.networks import catalogue
from spikeveil.pysim.device.top import Device

CHUNK = 4096


class Wire:
    """Bytes to the twin and back: frames decoded, answers encoded. One 0x00 goes before the first answer."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self._frames = frames.Receiver()

    def feed(self, piece: bytes) -> bytes:
        """What the twin sends for the bytes that reach it."""
        before, answers = self._frames.damaged, bytearray()
        bodies = self._frames.feed(piece)
        self.device.damaged(self._frames.damaged - before)
        for body in bodies:
            for answer in self.device.receive(body):
                answers += frames.encode(answer)
        return bytes(answers)

    def power_cycle(self) -> None:
        """Forget everything, a frame that is under way included."""
        self.device.power_cycle()
        self._frames = frames.Receiver()


class TwinBoard:
    """A twin at the port `path`, a symbolic link to a pseudo-terminal; a thread serves it from `start` to `stop`.

    `unplug` takes the port away and `plug` brings it back, with the twin as it was; `power_cycle` restarts the twin.
    A context manager: the port is there inside.
    """

    def __init__(self, device: Device, path: Path) -> None:
        self.wire, self.path = Wire(device), Path(path)
        self._lock = threading.Lock()
        self._master: int | None = None
        self._slave: int | None = None
        self._wake: tuple[int, int] | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> "TwinBoard":
        self.plug()
        return self

    def __exit__(self, *_: object) -> None:
        self.unplug()

    def plug(self) -> None:
        """Make the port and serve it."""
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self._wake = os.pipe()
        draft = self.path.with_name(f".{self.path.name}.new")
        draft.unlink(missing_ok=True)
        draft.symlink_to(os.ttyname(self._slave))
        draft.replace(self.path)
        self._thread = threading.Thread(target=self._serve, args=(self._master, self._wake[0]), daemon=True)
        self._thread.start()

    def unplug(self) -> None:
        """Take the port away; what was under way on it is lost, and the twin keeps what it has."""
        if self._thread is None or self._wake is None:
            return
        os.write(self._wake[1], b"x")
        self._thread.join()
        self.path.unlink(missing_ok=True)
        for handle in (self._master, self._slave, *self._wake):
            if handle is not None:
                os.close(handle)
        self._thread = self._wake = self._master = self._slave = None

    def power_cycle(self) -> None:
        """Take the twin's power and give it back; the port stays."""
        with self._lock:
            self.wire.power_cycle()

    def _serve(self, master: int, wake: int) -> None:
        """Never waits for the other side to read: what it does not take is kept, so neither side can block both."""
        pending = bytearray()
        while True:
            readable, writable, _ = select.select([master, wake], [master] if pending else [], [])
            if wake in readable:
                return
            if master in readable:
                with suppress(OSError), self._lock:  # nobody has the port open
                    pending += self.wire.feed(os.read(master, CHUNK))
            if writable:
                with suppress(BlockingIOError):
                    del pending[: os.write(master, pending)]


def main() -> None:
    """`python -m spikeveil.host.device.twin_board NETWORK PORT`: the twin of a baked device, until the input ends."""
    name, path = sys.argv[1:]
    with TwinBoard(Device(catalogue.load(name)), Path(path)) as board:
        print(board.path, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
