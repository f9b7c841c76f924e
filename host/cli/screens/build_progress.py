"""Progress of a build on the error stream: numbered stages and their times."""

from types import TracebackType

from rich.console import Console
from rich.status import Status

from spikeveil.host.bitstream.stages import Stage


class BuildProgress:
    """Prints a line for each finished stage of a build, and a spinner meanwhile; a `bitstream.stages.Listener`."""

    def __init__(self, console: Console) -> None:
        self._console, self._status = console, Status("", console=console)
        self._number, self._total, self._text = 0, 0, ""

    def __enter__(self) -> "BuildProgress":
        self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._status.stop()

    def begin(self, number: int, total: int, text: str) -> None:
        """Stage `number` of `total` begins."""
        self._number, self._total, self._text = number, total, text
        self._status.update(f"{number}/{total} {text}")
        if not self._console.is_terminal:
            self._console.print(f"{number}/{total} {text} ...")

    def end(self, stage: Stage) -> None:
        """The stage has ended."""
        duration = f"found in the cache, {stage.seconds:.1f} s saved" if stage.cached else f"{stage.seconds:.1f} s"
        self._console.print(f"{self._number}/{self._total} {self._text}: {duration}")

    def say(self, text: str) -> None:
        """Print a line."""
        self._console.print(text)
