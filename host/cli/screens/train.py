"""What `spikeveil train` shows before and after its progress bar."""

from pathlib import Path
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from spikeveil.host.training.checkpoint import TrainingProgress
from spikeveil.host.training.config import Config
from spikeveil.host.training.loop import TrainingPlan, TrainingResult

FILES = {
    "network.npz": "the weights after the last step",
    "config.toml": "everything that was used, with versions",
    "log.json": "an entry an epoch",
    "plots.png": "loss, accuracy, epsilon",
    "result.json": "what it came to, with the claim",
}


def header(console: Console, config: Config, plan: TrainingPlan, progress: TrainingProgress) -> None:
    """What is about to run, and where it starts."""
    shape = " -> ".join("x".join(map(str, shape)) for shape in config.network.shapes)
    console.print(f"{config.name}: {shape} -> {config.network.classes} classes, {config.network.steps} time steps")
    if plan.meter is None:
        console.print("[bold]NOT private[/]: ordinary training; the weights may give any training example away.")
    else:
        whole = plan.meter.spent(plan.steps)
        console.print(
            f"DP-SGD, noise multiplier {plan.meter.mechanism.noise_multiplier:g}, batches of "
            f"{config.batch_size} expected (Poisson): {plan.steps} steps will cost epsilon {whole.pld:.4f} (PLD, "
            f"bound), {whole.rdp:.4f} (RDP, bound), ~{whole.clt:.4f} (CLT, approximate; mu {whole.mu:.4f}) at delta "
            f"{whole.delta:g}."
        )
        if plan.steps < plan.configured_steps:
            console.print(f"The limit of epsilon allows {plan.steps} of the {plan.configured_steps} steps asked for.")
    if progress.spent:
        wasted = progress.spent - progress.updates
        lost = f"; {wasted} of them were lost in a crash and stay spent" if wasted else ""
        console.print(f"Resumed: {progress.spent} of {plan.steps} steps are spent{lost}.")


def closing(console: Console, config: Config, result: TrainingResult, record: dict[str, Any], out: Path) -> None:
    """The result and its claim."""
    last = record["last_evaluation"]
    console.print(
        f"[bold]{config.name}: {100 * last['test_accuracy']:.2f} % of the test records[/], weights of the last step, "
        f"{record['seconds']:.0f} s of training ({record['seconds_an_epoch']:.1f} s an epoch)."
    )
    if "claim" in record:
        claim = record["claim"]
        table = Table(title="Claim for the weights", box=SIMPLE, show_header=False, title_justify="left")
        table.add_column(style="bold", no_wrap=True)
        table.add_column()
        for name in ("unit", "epsilon, delta", "randomness", "spent", "protects"):
            table.add_row(name, claim[name])
        table.add_row("does not cover", claim["does_not_cover"])
        console.print(table)
    for name, what in FILES.items():
        console.print(f"{out / name}: {what}", soft_wrap=True)
