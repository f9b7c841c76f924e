"""The run of `spikeveil train`: charged, trained, shown and written."""

import json
import platform
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import click
import torch
from rich.console import Console

from spikeveil.host.cli.errors import usage_errors
from spikeveil.host.cli.screens.training import closing, header, train_with_bar
from spikeveil.host.cli.screens.training_plots import draw
from spikeveil.host.data.dataset import Dataset
from spikeveil.host.training.claim import TrainingClaim
from spikeveil.host.training.config import Config
from spikeveil.host.training.ledger_charge import charge, charge_text
from spikeveil.host.training.loop import TrainingResult, TrainingRun
from spikeveil.host.training.threads import threads_for
from spikeveil.host.training.toml_text import toml_text
from spikeveil.host.training.weights import save_network
from spikeveil.pysim.model.files import write_atomically

LIBRARIES = ("torch", "opacus", "numpy", "dp-accounting", "spikeveil")


def versions() -> dict[str, str]:
    """Versions of everything that a figure may depend on."""
    installed = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            installed[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            installed[name] = "none"
    return installed


def run(
    config: Config,
    data: Dataset,
    out: Path,
    resume: bool,
    stop: Callable[[], bool],
    ledger: str | None,
    data_set: str | None,
    *,
    threads: int | None,
    as_json: bool,
) -> None:
    """Train, show the progress, write the folder `out`; exit code 1 where the run was stopped before its end.

    With `as_json`, result.json alone is on standard output, and everything else on the error stream.
    """
    torch.set_num_threads(threads or threads_for(config, out))
    console = Console(highlight=False, stderr=as_json)
    with usage_errors():
        training = TrainingRun(config, data, out, resume=resume)
    if ledger is not None and data_set is not None and training.progress.charged is None:
        training.charged(charge(training.plan, config, ledger, data_set))
    environment = {"versions": versions(), "threads": torch.get_num_threads(), "data_sha256": data.digest}
    write_atomically(out / "config.toml", toml_text({**config.record(), "ran": environment}).encode())
    header(console, config, training.plan, training.progress)
    result = train_with_bar(console, training, stop)
    record = result_record(config, result, environment)
    write_atomically(out / "log.json", _json(list(result.progress.log)))
    if result.progress.log:
        draw(out / "plots.png", result.progress.log, config)
    if not result.finished:
        raise click.ClickException(
            f"stopped after {result.progress.spent} of {result.plan.steps} steps; go on with --resume"
        )
    write_atomically(out / "result.json", _json(record))
    save_network(result.network, out / "network.npz", {"name": config.name, "result": record})
    closing(console, config, result, record, out)
    if as_json:
        click.echo((out / "result.json").read_text())


def result_record(config: Config, result: TrainingResult, environment: dict[str, Any]) -> dict[str, Any]:
    """The figures of a run, ready for JSON; of the evaluations only the last."""
    progress, plan = result.progress, result.plan
    last = dict(progress.log[-1]) if progress.log else {}
    record = {
        "name": config.name,
        "finished": result.finished,
        "steps_planned": plan.steps,
        "steps_spent": progress.spent,
        "steps_in_the_weights": progress.updates,
        "seconds": progress.seconds,
        "seconds_per_epoch": progress.seconds / max(1, progress.updates) * plan.steps_per_epoch,
        "last_evaluation": last,
        "ran": environment,
    }
    if plan.meter is not None:
        spent = plan.meter.spent(progress.spent)
        claim = TrainingClaim(config, plan.meter.mechanism, spent, charge_text(progress.charged))
        record["claim"] = claim.record()
    return record


def _json(record: Any) -> bytes:
    return (json.dumps(record, indent=2) + "\n").encode()
