"""Stages of a build, and the interface that reports them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Stage:
    """A finished stage.

    | field | meaning |
    |---|---|
    | `name` | name of the stage |
    | `folder` | the folder of its files |
    | `seconds` | wall time in which the files were made |
    | `cached` | whether the folder existed already |
    """

    name: str
    folder: Path
    seconds: float
    cached: bool


class Listener(Protocol):
    """Receives the progress of a build."""

    def begin(self, number: int, total: int, text: str) -> None:
        """Stage `number` of `total` begins; `text` describes it."""

    def end(self, stage: Stage) -> None:
        """The stage has ended."""


class SilentListener:
    """A listener that shows nothing."""

    def begin(self, number: int, total: int, text: str) -> None: ...

    def end(self, stage: Stage) -> None: ...


SILENT = SilentListener()
