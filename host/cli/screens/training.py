"""What `spikeveil train` prints: the header, a progress bar, the result with its claim."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from spikeveil.host.cli.screens.tables import facts_table

FILES = {
    "network.npz": "the weights after the last step",
    "config.toml": "everything that was used, with versions",
    "log.json": "an entry for each epoch",
    "plots.png": "loss, accuracy, epsilon",
    "result.json": "the figures, with the claim",
}


def print_start(console: Console, run: dict[str, Any]) -> None:
    """Print what is about to run, and where it starts."""
    shape = " -> ".join("x".join(map(str, shape)) for shape in run["shapes"])
    console.print(f"{run['name']}: {shape} -> {run['classes']} classes, {run['time_steps']} time steps")
    total = run["dp_sgd"]
    if total is None:
        console.print("[bold]NOT private[/]: ordinary training; the weights may give any training example away.")
    else:
        console.print(
            f"DP-SGD, noise multiplier {total['noise_multiplier']:g}, batches of {run['batch_size']} expected "
            f"(Poisson): {run['steps']} steps will cost epsilon {total['pld']:.4f} (PLD, bound), {total['rdp']:.4f} "
            f"(RDP, bound), ~{total['clt']:.4f} (CLT, approximate; mu {total['mu']:.4f}) at delta {total['delta']:g}."
        )
        if run["steps"] < run["configured_steps"]:
            console.print(
                f"The limit of epsilon allows {run['steps']} of the {run['configured_steps']} steps asked for."
            )
    if run["spent"]:
        wasted = run["spent"] - run["updates"]
        note = f"; {wasted} of them were lost in a crash and stay spent" if wasted else ""
        console.print(f"Resumed: {run['spent']} of {run['steps']} steps are spent{note}.")


class TrainingBar:
    """A progress bar: steps, epsilon so far, and a line for each evaluation.

    `epsilon_text` computes the epsilon after a number of steps; it may take a fiftieth of the time.
    """

    def __init__(self, console: Console, total: int, spent: int, epsilon_text: Callable[[int], str]) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(20), MofNCompleteColumn())
        times = (TextColumn("{task.fields[cost]}"), TimeElapsedColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, *times, console=console, refresh_per_second=2)
        self._task = self._bar.add_task("training", total=total, completed=spent, cost="")
        self._epsilon_text, self._next_update = epsilon_text, 0.0

    def __enter__(self) -> "TrainingBar":
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def on_step(self, progress: Any) -> None:
        """Show the steps spent, and epsilon where it is due."""
        self._bar.update(self._task, completed=progress.spent)
        start = time.monotonic()
        if start >= self._next_update:
            self._bar.update(self._task, cost=self._epsilon_text(progress.spent))
            self._next_update = start + max(1.0, 50 * (time.monotonic() - start))

    def on_evaluation(self, evaluation: dict[str, Any]) -> None:
        """Print an evaluation above the bar."""
        self._bar.console.print(_evaluation_text(evaluation))


def _evaluation_text(report: dict[str, Any]) -> str:
    """An evaluation in a line."""
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
        f"[bold]{report['name']}: {100 * accuracy:.2f} % of the test records[/], weights of the last step, "
        f"{report['seconds']:.0f} s of training ({report['seconds_per_epoch']:.1f} s an epoch)."
    )
    if "claim" in report:
        claim = report["claim"]
        facts = {name: claim[name] for name in ("unit", "epsilon, delta", "randomness", "spent", "protects")}
        facts["does not cover"] = claim["does_not_cover"]
        console.print(facts_table(facts.items(), "Claim for the weights"))
    for name, description in FILES.items():
        console.print(f"{out / name}: {description}", soft_wrap=True)
