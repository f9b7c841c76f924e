"""Number of threads of torch for a run: one where that is faster, which small layers and a busy machine make common."""

import time
import tomllib
from pathlib import Path

import torch

from spikeveil.host.training.config import Config
from spikeveil.host.training.dpsgd import example_loss
from spikeveil.host.training.network import SpikingNetwork

ROUNDS = 2  # of each count, the fastest of which is taken; the first one of all only warms up


def threads_for(config: Config, folder: Path) -> int:
    """Threads for a run in `folder`: those it was begun with where it is resumed, else the faster count, measured."""
    echo = folder / "config.toml"
    if echo.exists():
        begun = tomllib.loads(echo.read_text(encoding="utf-8")).get("ran", {}).get("threads")
        if isinstance(begun, int) and begun >= 1:
            return begun
    return faster_threads(config)


def faster_threads(config: Config) -> int:
    """1 or torch's own count, whichever makes a step on random input faster; the setting of torch is left as it was."""
    most = torch.get_num_threads()
    if most == 1:
        return 1
    network = SpikingNetwork(config.network, seed=config.seed, gain=config.gain)
    try:
        _seconds(config, network, most)
        alone, together = (min(_seconds(config, network, count) for _ in range(ROUNDS)) for count in (1, most))
    finally:
        torch.set_num_threads(most)
    return 1 if alone <= together else most


def _seconds(config: Config, network: SpikingNetwork, threads: int) -> float:
    """Time of one forward and backward pass over a batch of random input; no training example is used."""
    torch.set_num_threads(threads)
    architecture, count = config.network, min(config.batch_size, config.physical)
    steps = () if architecture.coding == "direct" else (architecture.steps,)
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(count, *steps, *architecture.shape, generator=generator).round()
    labels = torch.zeros(count, dtype=torch.int64)
    start = time.perf_counter()
    example_loss(config)(network(x), labels).sum().backward()
    return time.perf_counter() - start
