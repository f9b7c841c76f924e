"""What `spikeveil train` prints: a header, a progress bar, and the result with its claim."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from spikeveil.host.cli.screens.tables import facts_table

FILES = {
    "network.npz": "the weights after the last step",
    "config.toml": "the complete configuration, with versions",
    "log.json": "an entry for each epoch",
    "plots.png": "loss, accuracy, epsilon",
    "result.json": "the figures, with the claim",
}


def print_start(console: Console, run: dict[str, Any]) -> None:
    """Print the network, the privacy cost of the planned steps, and the step at which a resumed run starts."""
    shape = " -> ".join("x".join(map(str, shape)) for shape in run["shapes"])
    console.print(f"{run['name']}: {shape} -> {run['classes']} classes, {run['time_steps']} time steps")
    cost = run["dp_sgd"]
    if cost is None:
        console.print("[bold]NOT private[/]: ordinary training; the weights may reveal any training example.")
    else:
        console.print(
            f"DP-SGD, noise multiplier {cost['noise_multiplier']:g}, Poisson batches of expected size "
            f"{run['batch_size']}: {run['steps']} steps will cost epsilon {cost['pld']:.4f} (PLD, bound), "
            f"{cost['rdp']:.4f} (RDP, bound), ~{cost['clt']:.4f} (CLT, approximate; mu {cost['mu']:.4f}) "
            f"at delta {cost['delta']:g}."
        )
        if run["steps"] < run["configured_steps"]:
            console.print(f"The epsilon limit allows {run['steps']} of the {run['configured_steps']} configured steps.")
    if run["spent"]:
        wasted = run["spent"] - run["updates"]
        note = f"; the results of {wasted} of them were lost in a crash, but they stay charged" if wasted else ""
        console.print(f"Resumed: {run['spent']} of {run['steps']} steps are spent{note}.")


class TrainingBar:
    """A progress bar with the steps and the epsilon so far, and a line above it for each evaluation.

    `epsilon_text` computes the epsilon after a number of steps. It is called so rarely that it takes at most a fiftieth
    of the time.
    """

    def __init__(self, console: Console, steps: int, spent: int, epsilon_text: Callable[[int], str]) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(20), MofNCompleteColumn())
        times = (TextColumn("{task.fields[cost]}"), TimeElapsedColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, *times, console=console, refresh_per_second=2)
        self._task = self._bar.add_task("training", total=steps, completed=spent, cost="")
        self._epsilon_text, self._next_update = epsilon_text, 0.0

    def __enter__(self) -> "TrainingBar":
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def on_step(self, progress: Any) -> None:
        """Show the steps spent and, if its next update is due, the epsilon."""
        self._bar.update(self._task, completed=progress.spent)
        start = time.monotonic()
        if start >= self._next_update:
            self._bar.update(self._task, cost=self._epsilon_text(progress.spent))
            self._next_update = start + max(1.0, 50 * (time.monotonic() - start))

    def on_evaluation(self, evaluation: dict[str, Any]) -> None:
        """Print an evaluation above the bar."""
        self._bar.console.print(_evaluation_text(evaluation))


def _evaluation_text(report: dict[str, Any]) -> str:
    """One line that describes an evaluation."""
    text = f"epoch {report['epochs']:5.1f}  {report['seconds']:5.0f} s  test {100 * report['test_accuracy']:.2f} %"
    if "privacy" in report:
        cost = report["privacy"]
        text += (
            f"  epsilon {cost['epsilon_pld']:.3f} PLD {cost['epsilon_rdp']:.3f} RDP "
            f"~{cost['epsilon_clt_approximation']:.3f} CLT (approx.)"
        )
    return text


def print_result(console: Console, report: dict[str, Any], out: Path) -> None:
    """Print the result and its claim."""
    accuracy = report["last_evaluation"]["test_accuracy"]
    console.print(
        f"[bold]{report['name']}: {100 * accuracy:.2f} % of the test records correct[/] with the weights of the last "
        f"step, {report['seconds']:.0f} s of training ({report['seconds_per_epoch']:.1f} s per epoch)."
    )
    if "claim" in report:
        claim = report["claim"]
        facts = {name: claim[name] for name in ("unit", "epsilon, delta", "randomness", "spent", "protects")}
        facts["does not cover"] = claim["does_not_cover"]
        console.print(facts_table(facts.items(), "Claim for the weights"))
    for name, description in FILES.items():
        console.print(f"{out / name}: {description}", soft_wrap=True)
