"""What `spikeveil train` does once its options are read."""

import platform
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import click
import torch
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from spikeveil.host.cli.commands.train import dump
from spikeveil.host.cli.refusals import refusals
from spikeveil.host.cli.screens.train import closing, header
from spikeveil.host.cli.screens.train_plots import draw
from spikeveil.host.data.dataset import Dataset
from spikeveil.host.training.claim import TrainingClaim
from spikeveil.host.training.config import Config
from spikeveil.host.training.ledger_charge import charge, charge_text
from spikeveil.host.training.loop import TrainingResult, TrainingRun
from spikeveil.host.training.toml_text import toml_text
from spikeveil.host.training.weights import save_network
from spikeveil.pysim.model.files import write_atomically

LIBRARIES = ("torch", "opacus", "numpy", "dp-accounting", "spikeveil")


def versions() -> dict[str, str]:
    """Of everything that a figure may depend on."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "none"
    return found


def run(
    config: Config,
    data: Dataset,
    out: Path,
    resume: bool,
    stop: Callable[[], bool],
    ledger: str | None,
    data_set: str | None,
    *,
    as_json: bool,
) -> None:
    """Train, show, write. Ends with exit code 1 where the run was stopped before its end.

    as_json: result.json alone on standard output, and everything else on the error stream.
    """
    console = Console(highlight=False, stderr=as_json)
    with refusals():
        training = TrainingRun(config, data, out, resume=resume)
    if ledger is not None and data_set is not None and training.progress.charged is None:
        training.charged(charge(training.plan, config, ledger, data_set))
    ran = {"versions": versions(), "threads": torch.get_num_threads(), "data_sha256": data.digest}
    write_atomically(out / "config.toml", toml_text({**config.record(), "ran": ran}).encode())
    header(console, config, training.plan, training.progress)
    result = _shown(console, training, stop)
    record = result_record(config, result, ran)
    write_atomically(out / "log.json", dump(list(result.progress.log)))
    if result.progress.log:
        draw(out / "plots.png", result.progress.log, config)
    if not result.finished:
        raise click.ClickException(
            f"stopped after {result.progress.spent} of {result.plan.steps} steps; go on with --resume"
        )
    write_atomically(out / "result.json", dump(record))
    save_network(result.network, out / "network.npz", {"name": config.name, "result": record})
    closing(console, config, result, record, out)
    if as_json:
        click.echo((out / "result.json").read_text())


def _shown(console: Console, training: TrainingRun, stop: Callable[[], bool]) -> TrainingResult:
    """The run behind a progress bar: steps, epsilon so far (the bound that decides), the last test accuracy."""
    meter, plan = training.plan.meter, training.plan
    columns = (TextColumn("{task.description}"), BarColumn(20), MofNCompleteColumn(), TextColumn("{task.fields[cost]}"))
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console, refresh_per_second=2) as bar:
        task = bar.add_task("training", total=plan.steps, completed=training.progress.spent, cost="")
        due = [0.0]  # when epsilon is computed again: it may take a fiftieth of the time

        def on_step(progress: Any) -> None:
            bar.update(task, completed=progress.spent)
            started = time.monotonic()
            if meter is not None and started >= due[0]:
                bar.update(task, cost=f"epsilon {meter.epsilon(progress.spent):.3f} ({meter.method})")
                due[0] = started + max(1.0, 50 * (time.monotonic() - started))

        def on_evaluation(record: dict[str, Any]) -> None:
            bar.console.print(line(record))

        return training.train(on_step, on_evaluation, stop)


def line(record: dict[str, Any]) -> str:
    """One evaluation in a line."""
    text = f"epoch {record['epochs']:5.1f}  {record['seconds']:5.0f} s  test {100 * record['test_accuracy']:.2f} %"
    if "privacy" in record:
        cost = record["privacy"]
        text += (
            f"  epsilon {cost['epsilon_pld']:.3f} PLD {cost['epsilon_rdp']:.3f} RDP "
            f"~{cost['epsilon_clt_approximation']:.3f} CLT (approx.)"
        )
    return text


def result_record(config: Config, result: TrainingResult, ran: dict[str, Any]) -> dict[str, Any]:
    """What a run came to, ready for JSON; only the last evaluation, whatever earlier ones were."""
    progress, plan = result.progress, result.plan
    last = dict(progress.log[-1]) if progress.log else {}
    record = {
        "name": config.name,
        "finished": result.finished,
        "steps_planned": plan.steps,
        "steps_spent": progress.spent,
        "steps_in_the_weights": progress.updates,
        "seconds": progress.seconds,
        "seconds_an_epoch": progress.seconds / max(1, progress.updates) * plan.steps_per_epoch,
        "last_evaluation": last,
        "ran": ran,
    }
    if plan.meter is not None:
        spent = plan.meter.spent(progress.spent)
        claim = TrainingClaim(config, plan.meter.mechanism, spent, charge_text(progress.charged))
        record["claim"] = claim.record()
    return record
