"""Steps of a build, and the interface that reports them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Step:
    """A finished step.

    | field | meaning |
    |---|---|
    | `name` | name of the step |
    | `folder` | the folder of its files |
    | `seconds` | wall time of the run that made them |
    | `cached` | whether the folder existed already |
    """

    name: str
    folder: Path
    seconds: float
    cached: bool


class Listener(Protocol):
    """Receives the progress of a build."""

    def begin(self, number: int, total: int, text: str) -> None:
        """Step `number` of `total` begins; `text` describes it."""

    def end(self, step: Step) -> None:
        """The step has ended."""


class SilentListener:
    """A listener that shows nothing."""

    def begin(self, number: int, total: int, text: str) -> None: ...

    def end(self, step: Step) -> None: ...


SILENT = SilentListener()
