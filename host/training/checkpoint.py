"""A run's state on the disk (see `archive`).

Under DP-SGD a checkpoint is also a lease: before steps are made they are written down as `spent`. A crash loses what
these steps did to the weights, and they stay spent: nothing is given back by guess, and no step is made twice.
"""

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from spikeveil.host.training.archive import Kind

FILE = Kind("spikeveil-training", 1, "checkpoint")


@dataclass(frozen=True)
class Progress:
    """updates: steps whose outcome is in the weights. spent: steps that count, those that a crash wasted included.
    log: one record an evaluation. charged: what the ledger was told before the first step, None where there is none.
    """

    config: str
    data: str
    updates: int = 0
    spent: int = 0
    seconds: float = 0.0
    log: tuple[dict[str, Any], ...] = ()
    charged: dict[str, Any] | None = None

    def reserving(self, steps: int) -> "Progress":
        """With so many further steps written down as spent, before they are made."""
        return replace(self, spent=self.spent + steps)


@dataclass
class State:
    """What moves in a run: the weights, the optimiser's memory, the running mean of the weights (empty: none)."""

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
        """Take over what `tensors` gave."""
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


def save(path: Path, state: State, progress: Progress) -> None:
    """Write the checkpoint, synced to the disk when this returns."""
    FILE.write(path, asdict(progress), state.tensors())


def load(path: Path) -> tuple[Progress, dict[str, Tensor]]:
    """Read a file that `save` wrote; ValueError for anything else."""
    header, tensors = FILE.read(path)
    with FILE.whole(path):
        return Progress(**{**header, "log": tuple(header["log"])}), tensors
