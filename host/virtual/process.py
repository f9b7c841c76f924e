"""Runs virtual boards: as a process behind a pseudo-terminal, or through a script of bytes."""

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

from spikeveil.host import children
from spikeveil.host.cosim.errors import SimulatorError
from spikeveil.host.scratch import memory_file, scratch_folder
from spikeveil.host.virtual.build import BoardSpec, build_program

POWER_CYCLE = None  # in a script, instead of a chunk


@dataclass(frozen=True)
class Figures:
    """Counters of a board since its start.

    | field | meaning |
    |---|---|
    | `cycles` | clock cycles simulated |
    | `seconds` | wall time of simulating them |
    | `last_transfer` | the cycle in which a byte was last transferred |
    | `bytes_in`, `bytes_out` | bytes that the device received and sent |
    | `framing_errors` | bytes sent without a stop bit |
    | `leds` | state of the LEDs, one bit each |
    """

    cycles: int
    seconds: float
    last_transfer: int
    bytes_in: int
    bytes_out: int
    framing_errors: int
    leds: int

    @classmethod
    def parse(cls, line: str) -> "Figures":
        """Parse the line that the program prints."""
        word, cycles, seconds, *counters = line.split()
        if word != "figures":
            raise SimulatorError(f"the virtual board answered {line!r} to the request for its figures")
        return cls(int(cycles), float(seconds), *(int(field) for field in counters))

    @property
    def rate(self) -> float:
        """Simulated clock cycles a second."""
        return self.cycles / self.seconds if self.seconds else 0.0


class VirtualBoard:
    """A virtual board as a process, from construction to `close`; a context manager.

    | argument | meaning |
    |---|---|
    | `board` | its specification |
    | `link` | where given, a symbolic link to the pseudo-terminal |
    | `folder` | folder of the program instead of the cache |

    `port` is the pseudo-terminal that a serial client opens. The device is powered on at the start. The simulation is
    suspended while the device is idle.
    """

    def __init__(self, board: BoardSpec, *, link: Path | None = None, folder: Path | None = None) -> None:
        self.board, self.link = board, link
        if link is not None and link.exists() and not link.is_symlink():
            raise ValueError(f"link must be a new name or a symbolic link, and {link} is a file")
        program = build_program(board, folder)
        arguments = [str(program), "line", str(board.idle_cycles), str(board.clock), str(board.baud)]
        arguments += [] if link is None else [str(link.absolute())]  # removed by the board where this process is killed
        self._process = subprocess.Popen(  # in a new session, so that Ctrl-C reaches this process only
            arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, start_new_session=True
        )
        self.port = self._read_port()

    def __enter__(self) -> "VirtualBoard":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def figures(self) -> Figures:
        """The board's counters."""
        return Figures.parse(self._ask("s"))

    def power_cycle(self) -> None:
        """Restart the device: its state and all bytes in transit are lost, the port stays."""
        self._ask("p")

    def replug(self) -> str:
        """Unplug and plug in the serial port: the old one is gone, the new one is returned; the device stays on."""
        self._send("u")
        self.port = self._read_port()
        return self.port

    def close(self) -> None:
        """End the process and remove the link; may be called repeatedly."""
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

    def _read_port(self) -> str:
        word, _, port = self._answer().partition(" ")
        if word != "port":
            raise SimulatorError(f"the virtual board answered {word!r} instead of its port")
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
    """Send chunks of bytes to a device from power-on; its output after each chunk, and the counters at the end.

    | argument | meaning |
    |---|---|
    | `chunks` | each is sent once the device is idle; `POWER_CYCLE` (None) restarts the device |
    | `baud` | baud rate of the host's side, by default the board's |
    | `folder` | folder of the program instead of the cache |

    SimulatorError where the device does not accept a byte.
    """
    program = build_program(board, folder)
    content = bytearray()
    for chunk in chunks:
        content += struct.pack("<I", 0xFFFFFFFF if chunk is None else len(chunk)) + (chunk or b"")
    with memory_file(bytes(content)) as script, scratch_folder(Path(tempfile.gettempdir()), "spikeveil-") as work:
        answers = work / "answers"
        numbers = (str(board.idle_cycles), str(board.clock), str(baud or board.baud))
        command = [str(program), "script", *numbers, str(script), str(answers)]
        done = children.run(command, capture_output=True, text=True)
        if done.returncode:
            raise SimulatorError(f"the virtual board ended with exit code {done.returncode}: {done.stderr.strip()}")
        return list(_chunks(answers.read_bytes())), Figures.parse(done.stdout)


def _chunks(content: bytes) -> Iterator[bytes]:
    start = 0
    while start < len(content):
        (size,) = struct.unpack_from("<I", content, start)
        yield content[start + 4 : start + 4 + size]
        start += 4 + size
