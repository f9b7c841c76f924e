"""The benchmarks, one module each. `rows()` of a module measures and yields its `Row`s."""

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One comparison: `ours` and `baseline` in `unit`; `ratio` = how many times better ours is; `target` may be
    absent.
    """

    name: str
    unit: str
    ours: float
    baseline: float
    baseline_name: str
    ratio: float
    target: float | None = None


def best_seconds(function: Callable[[], object], repeats: int = 5) -> float:
    """Wall seconds of the fastest of `repeats` calls, after one that warms up."""
    function()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def in_turn(functions: dict[str, Callable[[], object]], rounds: int = 9) -> dict[str, float]:
    """Wall seconds of each function's fastest call; calls are interleaved, so that all run under the same load."""
    best = dict.fromkeys(functions, float("inf"))
    for _ in range(1 + rounds):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            best[name] = min(best[name], time.perf_counter() - start)
    return best
