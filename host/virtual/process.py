"""Runs virtual boards: interactively behind a pseudo-terminal, or in one go with a script of input bytes."""

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

POWER_CYCLE = None  # item of a script that restarts the device


@dataclass(frozen=True)
class Counters:
    """Counters of a virtual board since its start.

    | field | meaning |
    |---|---|
    | `cycles` | simulated clock cycles |
    | `seconds` | wall time of their simulation |
    | `last_transfer` | cycle of the last byte transfer |
    | `bytes_in`, `bytes_out` | bytes that the device received and sent |
    | `framing_errors` | bytes that the device sent without a stop bit |
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
    def parse(cls, line: str) -> "Counters":
        """Parse the line that the program prints."""
        word, cycles, seconds, *counters = line.split()
        if word != "counters":
            raise SimulatorError(f"the virtual board answered {line!r} to the request for its counters")
        return cls(int(cycles), float(seconds), *(int(field) for field in counters))

    @property
    def rate(self) -> float:
        """Simulated clock cycles per second of wall time."""
        return self.cycles / self.seconds if self.seconds else 0.0


class VirtualBoard:
    """A virtual board that runs as a process from construction to `close`. A context manager.

    | argument | meaning |
    |---|---|
    | `board` | plan, clock, baud rate and pins |
    | `link` | symbolic link to create to the pseudo-terminal; None: no link |
    | `folder` | folder for the program instead of the cache |

    `port` is the path of the pseudo-terminal that a serial client opens. The device is powered on at construction. The
    simulation is suspended while the device is idle.
    """

    def __init__(self, board: BoardSpec, *, link: Path | None = None, folder: Path | None = None) -> None:
        self.board, self.link = board, link
        if link is not None and link.exists() and not link.is_symlink():
            raise ValueError(f"link must be a new name or a symbolic link, and {link} is a file")
        program = build_program(board, folder)
        arguments = [str(program), "line", str(board.idle_cycles), str(board.clock), str(board.baud)]
        arguments += [] if link is None else [str(link.absolute())]  # the board removes it if this process is killed
        self._process = subprocess.Popen(  # in a new session, so that Ctrl-C does not reach it
            arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, start_new_session=True
        )
        self.port = self._read_port()

    def __enter__(self) -> "VirtualBoard":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def counters(self) -> Counters:
        """Read the board's counters."""
        return Counters.parse(self._ask("s"))

    def power_cycle(self) -> None:
        """Restart the device: its state and all bytes in transit are lost; the port stays the same."""
        self._ask("p")

    def replug(self) -> str:
        """Unplug and replug the serial cable: returns the new port, which replaces the old; the device stays on."""
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
) -> tuple[list[bytes], Counters]:
    """Send chunks of bytes to a device after power-on; returns its output after each chunk, and the final counters.

    | argument | meaning |
    |---|---|
    | `chunks` | bytes, sent once the device is idle, or `POWER_CYCLE` (None), which restarts the device |
    | `baud` | baud rate of the host; None: the board's |
    | `folder` | folder for the program instead of the cache |

    SimulatorError if the device does not accept a byte.
    """
    program = build_program(board, folder)
    content = bytearray()
    for chunk in chunks:
        content += struct.pack("<I", 0xFFFFFFFF if chunk is None else len(chunk)) + (chunk or b"")
    with memory_file(bytes(content)) as script, scratch_folder(Path(tempfile.gettempdir()), "spikeveil-") as work:
        answers = work / "answers"
        timing = (str(board.idle_cycles), str(board.clock), str(baud or board.baud))
        command = [str(program), "script", *timing, str(script), str(answers)]
        process = children.run(command, capture_output=True, text=True)
        if process.returncode:
            raise SimulatorError(
                f"the virtual board ended with exit code {process.returncode}: {process.stderr.strip()}"
            )
        return list(_chunks(answers.read_bytes())), Counters.parse(process.stdout)


def _chunks(content: bytes) -> Iterator[bytes]:
    start = 0
    while start < len(content):
        (size,) = struct.unpack_from("<I", content, start)
        yield content[start + 4 : start + 4 + size]
        start += 4 + size
