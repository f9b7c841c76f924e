"""A trained network in one file: its architecture as JSON, its weights as plain arrays, no pickle."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from spikeveil.host.training.architecture import architecture_of
from spikeveil.host.training.network import SpikingNetwork
from spikeveil.pysim.storage import DAMAGE, write_whole

FORMAT, VERSION = "spikeveil-weights", 1


def save_network(network: SpikingNetwork, path: Path, about: dict[str, Any] | None = None) -> None:
    """Write it whole or not at all. about: what else should stand in it, ready for JSON (a claim)."""
    header = {
        "format": FORMAT,
        "version": VERSION,
        "architecture": network.architecture.record(),
        "about": about or {},
    }
    arrays: dict[str, Any] = {name: value.detach().numpy() for name, value in network.named_parameters()}
    content = io.BytesIO()
    np.savez(content, header=np.frombuffer(json.dumps(header).encode(), np.uint8), **arrays)
    write_whole(path, content.getvalue())


def load_network(path: Path) -> tuple[SpikingNetwork, dict[str, Any]]:
    """The network and what was said about it, from a file that `save_network` wrote; ValueError for any other."""
    content = path.read_bytes()
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        header = json.loads(arrays.pop("header").tobytes())
        kind, version, record = header["format"], header["version"], header["architecture"]
    except DAMAGE as error:
        raise ValueError(f"weights {path.name} must be a whole file of ours, not a damaged one") from error
    if kind != FORMAT or version != VERSION:
        raise ValueError(f"weights {path.name} must be of version {VERSION}, not {version!r}")
    network = SpikingNetwork(architecture_of(record), seed=0)
    wanted = {name: tuple(value.shape) for name, value in network.named_parameters()}
    if wanted != {name: array.shape for name, array in arrays.items()}:
        raise ValueError(f"weights {path.name} must have the arrays of its architecture, not others")
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.copy_(torch.from_numpy(arrays[name]))
    return network, header["about"]
