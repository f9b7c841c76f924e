"""A trained network in one file: its architecture and its weights (see `archive`)."""

from pathlib import Path
from typing import Any

import torch

from spikeveil.host.training.architecture import architecture_of
from spikeveil.host.training.archive import ArchiveKind
from spikeveil.host.training.network import SpikingNetwork

FILE = ArchiveKind("spikeveil-weights", 1, "weights")


def save_network(network: SpikingNetwork, path: Path, about: dict[str, Any] | None = None) -> None:
    """Write it whole or not at all. about: what else should stand in it, ready for JSON (a claim)."""
    header = {"architecture": network.architecture.to_dict(), "about": about or {}}
    FILE.write(path, header, dict(network.named_parameters()))


def load_network(path: Path) -> tuple[SpikingNetwork, dict[str, Any]]:
    """The network and what was said about it, from a file that `save_network` wrote; ValueError for any other."""
    header, tensors = FILE.read(path)
    with FILE.whole(path):
        architecture, about = header["architecture"], header["about"]
    network = SpikingNetwork(architecture_of(architecture), seed=0)
    wanted = {name: value.shape for name, value in network.named_parameters()}
    if wanted != {name: tensor.shape for name, tensor in tensors.items()}:
        raise ValueError(f"weights {path.name} must have the arrays of its architecture, not others")
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.copy_(tensors[name])
    return network, about
