"""The device's model behind a pseudo-terminal, for the driver and other serial clients."""

import os
import select
import signal
import sys
import threading
import tty
from contextlib import suppress
from pathlib import Path

from spikeveil.host.device import frames
from spikeveil.host.networks import catalogue
from spikeveil.pysim.device.top import DeviceModel

READ_BYTES = 4096
END_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class TwinEndpoint:
    """Connects the model to a byte stream: decodes frames, encodes answers, with a 0x00 before the first answer."""

    def __init__(self, device: DeviceModel) -> None:
        self.device = device
        self._frames = frames.Receiver()

    def feed(self, piece: bytes) -> bytes:
        """Give the model bytes; the bytes that it sends in answer."""
        damaged_before, answers = self._frames.damaged, bytearray()
        bodies = self._frames.feed(piece)
        self.device.count_damaged(self._frames.damaged - damaged_before)
        for body in bodies:
            for answer in self.device.receive(body):
                answers += frames.encode(answer)
        return bytes(answers)

    def power_cycle(self) -> None:
        """Restart the model; a frame that has arrived in part is lost."""
        self.device.power_cycle()
        self._frames = frames.Receiver()


class TwinBoard:
    """The model at the port `path`, a symbolic link to a pseudo-terminal that a thread serves.

    As a context manager it is plugged in inside. `unplug` and `plug` remove and restore the port and keep the model's
    state; `power_cycle` restarts the model and keeps the port.
    """

    def __init__(self, device: DeviceModel, path: Path) -> None:
        self.endpoint, self.path = TwinEndpoint(device), Path(path)
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
        """Create the port and serve it."""
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
        """Remove the port. Bytes in transit are lost; the model keeps its state."""
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
        """Restart the model; the port stays."""
        with self._lock:
            self.endpoint.power_cycle()

    def _serve(self, master: int, wake: int) -> None:
        """Move bytes until `wake` is readable. Unsent answers are queued, so neither side can block the other."""
        pending = bytearray()
        while True:
            readable, writable, _ = select.select([master, wake], [master] if pending else [], [])
            if wake in readable:
                return
            if master in readable:
                with suppress(OSError), self._lock:  # no client has the port open
                    pending += self.endpoint.feed(os.read(master, READ_BYTES))
            if writable:
                with suppress(BlockingIOError):
                    del pending[: os.write(master, pending)]


def main() -> None:
    """`python -m spikeveil.host.device.twin_board NETWORK PORT`: serve a baked device until Ctrl-C or SIGTERM."""
    name, path = sys.argv[1:]
    signal.pthread_sigmask(signal.SIG_BLOCK, END_SIGNALS)  # inherited by the board's thread
    with TwinBoard(DeviceModel(catalogue.load(name)), Path(path)) as board:
        print(board.path, flush=True)
        signal.sigwait(END_SIGNALS)


if __name__ == "__main__":
    main()
