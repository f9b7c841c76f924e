"""Checkpoints of a training run (file format: `archive`).

Under DP-SGD a checkpoint is also a lease: steps are recorded as `spent` before they are made. A crash loses their
effect on the weights and they stay spent: none is refunded, and none is made twice.
"""

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from spikeveil.host.training.archive import ArchiveKind

FILE = ArchiveKind("spikeveil-training", 1, "checkpoint")


@dataclass(frozen=True)
class TrainingProgress:
    """Progress of a run, as its checkpoint holds it.

    - `config`, `data`: digests of the configuration and of the data set;
    - `updates`: steps whose update is in the weights;
    - `spent`: steps that count towards epsilon, including those lost in a crash;
    - `seconds`: training time;
    - `log`: one record for each evaluation;
    - `charged`: receipt of the ledger, None where no ledger is used.
    """

    config: str
    data: str
    updates: int = 0
    spent: int = 0
    seconds: float = 0.0
    log: tuple[dict[str, Any], ...] = ()
    charged: dict[str, Any] | None = None

    def reserving(self, steps: int) -> "TrainingProgress":
        """The progress with `steps` further steps recorded as spent."""
        return replace(self, spent=self.spent + steps)


@dataclass
class CheckpointState:
    """Mutable state of a run: weights, optimiser state, running mean of the weights (empty: none is kept)."""

    network: nn.Module
    optimiser: torch.optim.Optimizer
    average: list[Tensor] = field(default_factory=list)

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor under a name."""
        found = {f"weights.{name}": value for name, value in self.network.named_parameters()}
        found |= {f"average.{index}": value for index, value in enumerate(self.average)}
        for index, memory in self.optimiser.state_dict()["state"].items():
            found |= {f"memory.{index}.{name}": value for name, value in memory.items() if value is not None}
        return found

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Restore from the result of `tensors`."""
        with torch.no_grad():
            for name, parameter in self.network.named_parameters():
                parameter.copy_(tensors[f"weights.{name}"])
        self.average = [tensors[f"average.{index}"] for index in range(len(self.average))]
        memory: dict[int, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            if name.startswith("memory."):
                _, index, entry = name.split(".")
                memory.setdefault(int(index), {})[entry] = value
        self.optimiser.load_state_dict({**self.optimiser.state_dict(), "state": memory})


def save(path: Path, state: CheckpointState, progress: TrainingProgress) -> None:
    """Write the checkpoint, synced to the disk when this returns."""
    FILE.write(path, asdict(progress), state.tensors())


def load(path: Path) -> tuple[TrainingProgress, dict[str, Tensor]]:
    """Read a file that `save` wrote; ValueError for anything else."""
    header, tensors = FILE.read(path)
    with FILE.whole(path):
        return TrainingProgress(**{**header, "log": tuple(header["log"])}), tensors
