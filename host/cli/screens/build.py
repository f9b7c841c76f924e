"""The progress of a build on the error stream: numbered steps and their times."""

from types import TracebackType
from typing import Any

from rich.console import Console
from rich.status import Status

from spikeveil.host.bitstream.steps import Step


class Screen:
    """Hears of a build's steps (see `steps.Listener`): one line a finished step, and a spinner meanwhile."""

    def __init__(self, console: Console) -> None:
        self._console, self._status = console, Status("", console=console)
        self._number, self._total, self._text = 0, 0, ""

    def __enter__(self) -> "Screen":
        self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._status.stop()

    def begin(self, number: int, total: int, text: str) -> None:
        """A step begins."""
        self._number, self._total, self._text = number, total, text
        self._status.update(f"{number}/{total} {text}")
        if not self._console.is_terminal:
            self._console.print(f"{number}/{total} {text} ...")

    def end(self, step: Step) -> None:
        """A step is done."""
        took = f"found in the cache, {step.seconds:.1f} s saved" if step.cached else f"{step.seconds:.1f} s"
        self._console.print(f"{self._number}/{self._total} {self._text}: {took}")

    def say(self, text: str) -> None:
        """A line of its own."""
        self._console.print(text)


def summary(report: dict[str, Any]) -> dict[str, Any]:
    """What a sweep tells of each seed."""
    return {key: report[key] for key in ("seed", "clocks", "meets_timing")}
