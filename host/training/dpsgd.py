"""One step of DP-SGD, exactly as it is accounted for, and one step of ordinary training beside it."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from spikeveil.host.training.clipping import CLIPPERS
from spikeveil.host.training.config import Config
from spikeveil.host.training.data_feed import DataFeed
from spikeveil.host.training.randomness import OsRandomness, Randomness, SeededRandomness

Update = Callable[[int], None]


def randomness_of(config: Config) -> Randomness:
    """Where the run's randomness comes from."""
    os_wanted = config.privacy is not None and config.privacy.randomness == "os"
    return OsRandomness() if os_wanted else SeededRandomness(config.seed)


def example_loss(config: Config) -> Callable[[Tensor, Tensor], Tensor]:
    """loss(scores, labels): one number an example."""
    if config.loss == "cross_entropy":
        return lambda scores, labels: functional.cross_entropy(scores, labels, reduction="none")
    return lambda scores, labels: (scores - functional.one_hot(labels, scores.shape[1])).square().mean(dim=1)


def private_gradients(config: Config, network: nn.Module, feed: DataFeed) -> Update:
    """A function of the step's number that leaves a private gradient in every parameter.

    Poisson batch (it may be empty: then the step is noise alone, and counts), per-example gradients clipped, summed,
    noised in every coordinate, divided by the EXPECTED batch size.
    """
    privacy = config.privacy
    if privacy is None:
        raise ValueError("configuration privacy must be a table for private gradients, not missing")
    clipper = CLIPPERS[privacy.clipping](network, privacy.clip)
    source, loss, size = randomness_of(config), example_loss(config), feed.size
    counts = [parameter.numel() for parameter in clipper.parameters]
    deviation = privacy.noise_multiplier * privacy.clip

    def update(step: int) -> None:
        sums = [torch.zeros_like(parameter) for parameter in clipper.parameters]
        for part in _physical(source.batch(step, config.batch_size, size), config.physical):
            for total, found in zip(sums, clipper.sums(*feed.train(part), loss), strict=True):
                total += found
        noise = source.gaussians(step, sum(counts), secure=privacy.secure).split(counts)
        for parameter, total, one in zip(clipper.parameters, sums, noise, strict=True):
            parameter.grad = (total + deviation * one.view_as(total)) / config.batch_size

    return update


def plain_gradients(config: Config, network: nn.Module, feed: DataFeed) -> Update:
    """A function of the step's number that leaves the mean gradient of a shuffled batch in every parameter."""
    loss, size = example_loss(config), feed.size

    @lru_cache(maxsize=2)
    def order(epoch: int) -> NDArray[np.int64]:
        return np.random.default_rng((config.seed, epoch)).permutation(size)

    def update(step: int) -> None:
        places = np.arange(step * config.batch_size, (step + 1) * config.batch_size)
        epochs = range(int(places[0]) // size, int(places[-1]) // size + 1)
        chosen = np.concatenate([order(epoch)[places[places // size == epoch] % size] for epoch in epochs])
        network.zero_grad()
        for part in _physical(chosen, config.physical):
            x, labels = feed.train(part)
            (loss(network(x), labels).sum() / len(chosen)).backward()

    return update


def _physical(chosen: Any, most: int) -> list[Any]:
    return [chosen[start : start + most] for start in range(0, len(chosen), most)]
