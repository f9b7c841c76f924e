"""Training for the chip without DP-SGD: a network that survives quantisation and its flipper, and what it then does."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from spikeveil.host.data.decoder import accuracy, classify
from spikeveil.host.training.network import SpikingNetwork
from spikeveil.pysim import Network, NetworkSpec, checks
from spikeveil.pysim.source import WordSource

Encoder = Callable[[NDArray[np.uint8]], NDArray[np.bool_]]


@dataclass(frozen=True)
class Recipe:
    """How long and how to train; every number is at least 0, epochs and batch at least 1.

    - `drop`: share of the input spikes left out at random while training, against overfitting;
    - `sparsity`: price of a spike of a hidden layer, a neuron and step: fewer of them shorten a private core's cadence;
    - `limit`: weights stay within it, so that few bits hold them; None lets them grow.
    """

    epochs: int = 80
    batch: int = 64
    rate: float = 1e-2
    weight_decay: float = 1e-4
    drop: float = 0.2
    sparsity: float = 0.02
    limit: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        checks.integer("recipe epochs", self.epochs, 1, 1 << 20)
        checks.integer("recipe batch", self.batch, 1, 1 << 20)
        checks.integer("recipe seed", self.seed, 0, (1 << 63) - 1)
        for name in ("rate", "weight_decay", "drop", "sparsity"):
            if not 0 <= getattr(self, name) < np.inf:
                raise ValueError(f"recipe {name} must be 0 or more and finite, not {getattr(self, name)!r}")


def fit(
    network: SpikingNetwork, images: NDArray[np.uint8], labels: NDArray[np.int64], encode: Encoder, recipe: Recipe
) -> Iterator[float]:
    """Train in place, and yield the mean loss after each epoch.

    Every output neuron learns to fire at EVERY step for its own class and never for another: squared error on the raw
    spikes of a readout that counts. The flippers of the network flip while it learns. `images` (records, pixels) are
    encoded a batch at a time. AdamW under a one-cycle schedule, batches shuffled by `seed`.
    """
    if network.architecture.readout.kind != "counts":
        raise ValueError(f"readout kind must be 'counts' to be trained so, not {network.architecture.readout.kind!r}")
    generator = torch.Generator().manual_seed(recipe.seed)
    optimiser = torch.optim.AdamW(network.parameters(), lr=recipe.rate, weight_decay=recipe.weight_decay)
    batches = -(-len(images) // recipe.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max(recipe.rate, 1e-12), recipe.epochs * batches)
    targets = functional.one_hot(torch.from_numpy(labels), network.architecture.classes).float()
    targets = targets.repeat_interleave(network.architecture.readout.group, dim=1)
    network.train()
    for _ in range(recipe.epochs):
        total = 0.0
        for batch in torch.randperm(len(images), generator=generator).split(recipe.batch):
            x = torch.from_numpy(encode(images[batch.numpy()])).float()
            if recipe.drop:
                x *= torch.rand(x.shape, generator=generator) >= recipe.drop
            loss = _loss(network, x, targets[batch], recipe.sparsity)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            _limit(network, recipe.limit)
            total += len(batch) * loss.item()
        yield total / len(images)


def raw_accuracy(spec: NetworkSpec, x: NDArray[np.bool_], labels: NDArray[np.int64], classes: int) -> float:
    """Accuracy of the integer network from its last layer's raw spikes, which stay on the chip."""
    from spikeveil.host.training.scales import with_output

    if spec.flipped not in ((), (len(spec.layers) - 1,)):
        raise ValueError("raw accuracy is that of a network whose flipper, if any, is on its last layer")
    return _accuracy(Network(with_output(spec, flip=None)).run(x).released, labels, classes)


def released_accuracies(
    spec: NetworkSpec, x: NDArray[np.bool_], labels: NDArray[np.int64], classes: int, source: WordSource, leases: int
) -> list[float]:
    """Accuracy from released spikes alone, once for each of `leases` leases with fresh flips, from the golden model."""
    network = Network(spec, source)
    return [_accuracy(network.run(x, lease=lease).released, labels, classes) for lease in range(leases)]


def _accuracy(released: NDArray[np.bool_] | None, labels: NDArray[np.int64], classes: int) -> float:
    if released is None:
        raise ValueError("network must fire at its last layer to be read by counts, not end in a readout")
    return accuracy(classify(released, classes), labels)


def _loss(network: SpikingNetwork, x: Tensor, targets: Tensor, sparsity: float) -> Tensor:
    trace = network.run(x)
    out = trace.spikes[-1]
    loss = functional.mse_loss(out, targets[:, None].expand_as(out))
    for hidden in trace.spikes[:-1]:
        loss = loss + sparsity * hidden.mean()
    return loss


def _limit(network: SpikingNetwork, limit: float | None) -> None:
    if limit is None:
        return
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1:
                parameter.clamp_(-limit, limit)
