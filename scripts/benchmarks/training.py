"""One DP-SGD step beside one ordinary step of the same network, same batch: 250 MNIST-sized images, one thread.

The networks are those of the presets mnist-dense, dpsnn-mnist-net1 and dpsnn-mnist-net2, and the ANN of the last. A
private step has everything: per-example clipping, noise from the operating system's generator, the optimiser. The
ordinary one is forward, backward, optimiser. An epoch is 240 of either; checkpoints and tests, equal for both, are left
out. The targets are at most 2 (dense) and 3 times the ordinary step. Opacus' hooks clip the same network in the same
run, for comparison.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import torch

from benchmarks import Row, in_turn
from spikeveil.host.data.dataset import Dataset
from spikeveil.host.training.config import Config, load_config
from spikeveil.host.training.data_feed import DataFeed
from spikeveil.host.training.dpsgd import plain_gradients, private_gradients
from spikeveil.host.training.network import SpikingNetwork

IMAGES, STEPS_AN_EPOCH = 60_000, 240
TARGETS = {"mnist-dense": 1 / 2, "dpsnn-mnist-net1": 1 / 3, "dpsnn-mnist-net2": 1 / 3, "dpsnn-mnist-net2-ann": 1 / 3}


def images() -> Dataset:
    """Random pixels and labels: the time of a step does not depend on what they show."""
    generator = np.random.default_rng(2026)
    pixels = generator.integers(0, 256, (IMAGES, 784), dtype=np.uint8)
    labels = generator.integers(0, 10, IMAGES)
    return Dataset("mnist", pixels, labels, pixels[:10], labels[:10], (28, 28), 10)


def step(config: Config, data: Dataset) -> Callable[[], object]:
    """One step of `config` after another."""
    network = SpikingNetwork(config.network, seed=1, gain=config.gain)
    optimiser = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.9)
    make = plain_gradients if config.privacy is None else private_gradients
    gradients, count = make(config, network, DataFeed(config, data)), [0]

    def run() -> None:
        gradients(count[0])
        optimiser.step()
        count[0] += 1

    return run


def rows() -> Iterator[Row]:
    """Seconds an epoch of both, in turn."""
    torch.set_num_threads(1)
    data = images()
    for name, least in TARGETS.items():
        config = load_config(name.removesuffix("-ann"))
        config = config.as_ann() if name.endswith("-ann") else config
        ghost, hooks = (replace(config.privacy, clipping=way) for way in ("ghost", "hooks"))  # type: ignore[type-var]
        calls = {
            "private": step(replace(config, privacy=ghost), data),
            "hooks": step(replace(config, privacy=hooks), data),
            "plain": step(config.without_privacy(), data),
        }
        seconds = {way: STEPS_AN_EPOCH * value for way, value in in_turn(calls, 5).items()}
        for baseline, named, target in (("plain", "ordinary training", least), ("hooks", "Opacus hooks", None)):
            ratio = seconds[baseline] / seconds["private"]
            yield Row(f"training: {name}", "s/epoch", seconds["private"], seconds[baseline], named, ratio, target)
