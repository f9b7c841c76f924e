"""What `spikeveil train` prints: the header, a progress bar, the result with its claim."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from spikeveil.host.cli.screens.tables import facts_table
from spikeveil.host.training.checkpoint import TrainingProgress
from spikeveil.host.training.config import Config
from spikeveil.host.training.loop import TrainingPlan, TrainingResult, TrainingRun

FILES = {
    "network.npz": "the weights after the last step",
    "config.toml": "everything that was used, with versions",
    "log.json": "an entry for each epoch",
    "plots.png": "loss, accuracy, epsilon",
    "result.json": "the figures, with the claim",
}


def header(console: Console, config: Config, plan: TrainingPlan, progress: TrainingProgress) -> None:
    """Print what is about to run, and where it starts."""
    shape = " -> ".join("x".join(map(str, shape)) for shape in config.network.shapes)
    console.print(f"{config.name}: {shape} -> {config.network.classes} classes, {config.network.steps} time steps")
    if plan.meter is None:
        console.print("[bold]NOT private[/]: ordinary training; the weights may give any training example away.")
    else:
        total = plan.meter.spent(plan.steps)
        console.print(
            f"DP-SGD, noise multiplier {plan.meter.mechanism.noise_multiplier:g}, batches of "
            f"{config.batch_size} expected (Poisson): {plan.steps} steps will cost epsilon {total.pld:.4f} (PLD, "
            f"bound), {total.rdp:.4f} (RDP, bound), ~{total.clt:.4f} (CLT, approximate; mu {total.mu:.4f}) at delta "
            f"{total.delta:g}."
        )
        if plan.steps < plan.configured_steps:
            console.print(f"The limit of epsilon allows {plan.steps} of the {plan.configured_steps} steps asked for.")
    if progress.spent:
        wasted = progress.spent - progress.updates
        note = f"; {wasted} of them were lost in a crash and stay spent" if wasted else ""
        console.print(f"Resumed: {progress.spent} of {plan.steps} steps are spent{note}.")


def train_with_bar(console: Console, training: TrainingRun, stop: Callable[[], bool]) -> TrainingResult:
    """Train behind a progress bar: steps, epsilon so far (the bound that decides), the last test accuracy."""
    meter, plan = training.plan.meter, training.plan
    columns = (TextColumn("{task.description}"), BarColumn(20), MofNCompleteColumn(), TextColumn("{task.fields[cost]}"))
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console, refresh_per_second=2) as bar:
        task = bar.add_task("training", total=plan.steps, completed=training.progress.spent, cost="")
        next_update = [0.0]  # of epsilon, whose computation may take a fiftieth of the time

        def on_step(progress: Any) -> None:
            bar.update(task, completed=progress.spent)
            start = time.monotonic()
            if meter is not None and start >= next_update[0]:
                bar.update(task, cost=f"epsilon {meter.epsilon(progress.spent):.3f} ({meter.method})")
                next_update[0] = start + max(1.0, 50 * (time.monotonic() - start))

        def on_evaluation(record: dict[str, Any]) -> None:
            bar.console.print(_evaluation_text(record))

        return training.train(on_step, on_evaluation, stop)


def _evaluation_text(record: dict[str, Any]) -> str:
    """An evaluation in a line."""
    text = f"epoch {record['epochs']:5.1f}  {record['seconds']:5.0f} s  test {100 * record['test_accuracy']:.2f} %"
    if "privacy" in record:
        cost = record["privacy"]
        text += (
            f"  epsilon {cost['epsilon_pld']:.3f} PLD {cost['epsilon_rdp']:.3f} RDP "
            f"~{cost['epsilon_clt_approximation']:.3f} CLT (approx.)"
        )
    return text


def closing(console: Console, config: Config, result: TrainingResult, record: dict[str, Any], out: Path) -> None:
    """Print the result and its claim."""
    last = record["last_evaluation"]
    console.print(
        f"[bold]{config.name}: {100 * last['test_accuracy']:.2f} % of the test records[/], weights of the last step, "
        f"{record['seconds']:.0f} s of training ({record['seconds_per_epoch']:.1f} s an epoch)."
    )
    if "claim" in record:
        claim = record["claim"]
        facts = {name: claim[name] for name in ("unit", "epsilon, delta", "randomness", "spent", "protects")}
        facts["does not cover"] = claim["does_not_cover"]
        console.print(facts_table(facts.items(), "Claim for the weights"))
    for name, description in FILES.items():
        console.print(f"{out / name}: {description}", soft_wrap=True)
