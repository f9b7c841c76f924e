"""A virtual board as a running process: its pseudo-terminal, its power switch and its figures."""

import contextlib
import os
import struct
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

from spikeveil.host.cosim.errors import SimulatorError
from spikeveil.host.virtual.build import BoardSpec, build_program

POWER_CYCLE = None  # in a script, in the place of a chunk


@dataclass(frozen=True)
class Figures:
    """What a board has done since it was started.

    `cycles`: clock cycles simulated. `seconds`: wall time of simulating them. `moved`: the cycle in which a byte moved
    last. `bytes_in`, `bytes_out`: bytes that the device took and sent. `broken`: of those sent, without a stop bit.
    `leds`: their state, as the top level drives them.
    """

    cycles: int
    seconds: float
    moved: int
    bytes_in: int
    bytes_out: int
    broken: int
    leds: int

    @classmethod
    def parse(cls, line: str) -> "Figures":
        """From the program's own words."""
        word, cycles, seconds, *rest = line.split()
        if word != "figures":
            raise SimulatorError(f"the virtual board said {line!r} when asked for its figures")
        return cls(int(cycles), float(seconds), *(int(field) for field in rest))

    @property
    def rate(self) -> float:
        """Simulated clock cycles a second."""
        return self.cycles / self.seconds if self.seconds else 0.0


class VirtualBoard:
    """The process of a board, from its start to `close`; a context manager.

    `port` is the pseudo-terminal that a serial client opens; `link`, where given, is a symbolic link to it. The device
    is powered on at the start. The simulation sleeps while nothing can move.
    """

    def __init__(self, board: BoardSpec, *, link: Path | None = None, folder: Path | None = None) -> None:
        self.board, self.link = board, link
        if link is not None and link.exists() and not link.is_symlink():
            raise ValueError(f"link must be a new name or a symbolic link, and {link} is a file")
        program = build_program(board, folder)
        arguments = [str(program), "line", str(board.quiet), str(board.clock), str(board.baud)]
        self._process = subprocess.Popen(  # a session of its own: Ctrl-C is ours to handle
            arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, start_new_session=True
        )
        self.port = self._plugged()

    def __enter__(self) -> "VirtualBoard":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def figures(self) -> Figures:
        """What it has done so far."""
        return Figures.parse(self._ask("s"))

    def power_cycle(self) -> None:
        """Switch off and on again: the device and everything on the line is forgotten, the port stays."""
        self._ask("p")

    def replug(self) -> str:
        """Pull out the cable and plug it in again: the port is gone, the new one is returned; the device stays on."""
        self._send("u")
        self.port = self._plugged()
        return self.port

    def close(self) -> None:
        """End the process and remove the link; again does nothing."""
        if self._process.poll() is None:
            with contextlib.suppress(BrokenPipeError):
                self._pipe(self._process.stdin).close()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()
        self._pipe(self._process.stdout).close()
        with contextlib.suppress(BrokenPipeError):
            self._pipe(self._process.stdin).close()
        if self.link is not None and self.link.is_symlink() and str(self.link.readlink()) == self.port:
            self.link.unlink()

    def _plugged(self) -> str:
        word, _, port = self._answer().partition(" ")
        if word != "port":
            raise SimulatorError(f"the virtual board said {word!r} and named no port")
        if self.link is not None:
            temporary = self.link.with_name(f".{self.link.name}.{os.getpid()}")
            temporary.symlink_to(port)
            temporary.replace(self.link)
        return port

    def _ask(self, command: str) -> str:
        self._send(command)
        return self._answer()

    def _send(self, command: str) -> None:
        stream = self._pipe(self._process.stdin)
        try:
            stream.write(command)
            stream.flush()
        except BrokenPipeError:
            raise SimulatorError("the virtual board has ended") from None

    def _answer(self) -> str:
        line = self._pipe(self._process.stdout).readline()
        if not line:
            raise SimulatorError(f"the virtual board ended with exit code {self._process.wait()}")
        return line.rstrip("\n")

    @staticmethod
    def _pipe(stream: IO[str] | None) -> IO[str]:
        if stream is None:
            raise RuntimeError("the board's pipes were not opened")
        return stream


def play(
    board: BoardSpec, chunks: Iterable[bytes | None], *, baud: int | None = None, folder: Path | None = None
) -> tuple[list[bytes], Figures]:
    """Send each chunk of bytes, from power-on; what the device sent before nothing moved any more, chunk by chunk.

    A chunk that is `POWER_CYCLE` (None) switches the device off and on. `baud`: of the host's side, by default the
    board's. SimulatorError where the device stops taking bytes.
    """
    program = build_program(board, folder)
    with tempfile.TemporaryDirectory(prefix="spikeveil-") as name:
        script, answers = Path(name) / "script", Path(name) / "answers"
        with script.open("wb") as file:
            for chunk in chunks:
                size = 0xFFFFFFFF if chunk is None else len(chunk)
                file.write(struct.pack("<I", size) + (chunk or b""))
        numbers = (str(board.quiet), str(board.clock), str(baud or board.baud))
        command = [str(program), "script", *numbers, str(script), str(answers)]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            raise SimulatorError(f"the virtual board ended with exit code {done.returncode}: {done.stderr.strip()}")
        return list(_chunks(answers.read_bytes())), Figures.parse(done.stdout)


def _chunks(content: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(content):
        (size,) = struct.unpack_from("<I", content, at)
        yield content[at + 4 : at + 4 + size]
        at += 4 + size
