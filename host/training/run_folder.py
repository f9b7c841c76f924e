"""A training run and the files that it leaves in its folder: configuration, log, result, weights."""

import json
import platform
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

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


class RunFolder:
    """A training run that writes config.toml, log.json, result.json and network.npz into `folder`.

    | argument | meaning |
    |---|---|
    | `config`, `data` | what is trained, and on what |
    | `folder` | the folder, which exists |
    | `resume` | continue from the checkpoint in the folder, if there is one |
    | `threads` | threads of torch; None: those of the run that is resumed, or measured |

    ValueError as `TrainingRun`.
    """

    def __init__(
        self, config: Config, data: Dataset, folder: Path, *, resume: bool = False, threads: int | None = None
    ) -> None:
        torch.set_num_threads(threads or threads_for(config, folder))
        self.config, self.folder = config, folder
        self.run = TrainingRun(config, data, folder, resume=resume)
        self._environment = {
            "versions": versions(),
            "threads": torch.get_num_threads(),
            "data_sha256": data.digest,
        }

    def charge(self, ledger: str, data_set: str) -> None:
        """Charge the whole run to the ledger, unless it was charged before it was interrupted."""
        if self.run.progress.charged is None:
            self.run.charged(charge(self.run.plan, self.config, ledger, data_set))

    def description(self) -> dict[str, Any]:
        """What will run and where it starts, as plain data; `dp_sgd` is None for ordinary training."""
        config, plan, progress = self.config, self.run.plan, self.run.progress
        return {
            "name": config.name,
            "shapes": config.network.shapes,
            "classes": config.network.classes,
            "time_steps": config.network.steps,
            "batch_size": config.batch_size,
            "steps": plan.steps,
            "configured_steps": plan.configured_steps,
            "spent": progress.spent,
            "updates": progress.updates,
            "dp_sgd": self._cost(),
        }

    def _cost(self) -> dict[str, float] | None:
        meter = self.run.plan.meter
        if meter is None:
            return None
        total = meter.spent(self.run.plan.steps)
        figures = {name: getattr(total, name) for name in ("pld", "rdp", "clt", "mu", "delta")}
        return figures | {"noise_multiplier": meter.mechanism.noise_multiplier}

    def epsilon_text(self, spent: int) -> str:
        """Epsilon after `spent` steps, by the bound that decides; empty for ordinary training."""
        meter = self.run.plan.meter
        return "" if meter is None else f"epsilon {meter.epsilon(spent):.3f} ({meter.method})"

    def train(
        self,
        on_step: Callable[[Any], None],
        on_evaluation: Callable[[dict[str, Any]], None],
        stop: Callable[[], bool],
    ) -> dict[str, Any]:
        """Train and write the files; the report in result.json.

        result.json and network.npz are written only where the run was finished, as the report's `finished` says.
        """
        echo = {**self.config.to_dict(), "ran": self._environment}
        write_atomically(self.folder / "config.toml", toml_text(echo).encode())
        result = self.run.train(on_step, on_evaluation, stop)
        report = result_dict(self.config, result, self._environment)
        write_atomically(self.folder / "log.json", _json(list(result.progress.log)))
        if result.finished:
            write_atomically(self.folder / "result.json", _json(report))
            save_network(result.network, self.folder / "network.npz", {"name": self.config.name, "result": report})
        return report


def result_dict(config: Config, result: TrainingResult, environment: dict[str, Any]) -> dict[str, Any]:
    """The figures of a run, ready for JSON; of the evaluations only the last."""
    progress, plan = result.progress, result.plan
    last = dict(progress.log[-1]) if progress.log else {}
    report = {
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
        report["claim"] = claim.to_dict()
    return report


def _json(report: Any) -> bytes:
    return (json.dumps(report, indent=2) + "\n").encode()
