"""Training for the chip without DP-SGD: a network that survives quantisation and its flipper, and what it then does."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from spikeveil.host.data.decoder import accuracy, classify
from spikeveil.host.training.network import SpikingNetwork
from spikeveil.pysim import Network, NetworkSpec
from spikeveil.pysim.model import checks
from spikeveil.pysim.model.source import WordSource

GAIN = 8.0  # of rates, 0 to 1, before the softmax
Encoder = Callable[[NDArray[np.uint8]], NDArray[np.bool_]]


@dataclass(frozen=True)
class Recipe:
    """How long and how to train; every number is at least 0, epochs and batch at least 1.

    - `goal`: what the output neurons learn. "steps": to fire at EVERY step for their own class and never for another
      (squared error on their spikes), which a flipper behind them can hide least. "counts": to fire most often for it
      (cross-entropy on the classes' rates, times GAIN), which leaves them free to wait for noisy input to add up;
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
    goal: Literal["steps", "counts"] = "steps"
    seed: int = 0

    def __post_init__(self) -> None:
        checks.integer("recipe epochs", self.epochs, 1, 1 << 20)
        checks.integer("recipe batch", self.batch, 1, 1 << 20)
        checks.choice("recipe goal", self.goal, ("steps", "counts"))
        checks.integer("recipe seed", self.seed, 0, (1 << 63) - 1)
        for name in ("rate", "weight_decay", "drop", "sparsity"):
            if not 0 <= getattr(self, name) < np.inf:
                raise ValueError(f"recipe {name} must be 0 or more and finite, not {getattr(self, name)!r}")


def fit(
    network: SpikingNetwork, images: NDArray[np.uint8], labels: NDArray[np.int64], encode: Encoder, recipe: Recipe
) -> Iterator[float]:
    """Train in place, and yield the mean loss after each epoch.

    The loss is on the spikes of a readout that counts, on their debiased estimates where a flipper follows it. Flippers
    flip while the network learns. `images` (records, pixels) are encoded a batch at a time. AdamW under a one-cycle
    schedule; batches, drops and flips follow `seed`, and torch's global generator is left as it was.
    """
    if network.architecture.readout.kind != "counts":
        raise ValueError(f"readout kind must be 'counts' to be trained so, not {network.architecture.readout.kind!r}")
    optimiser = torch.optim.AdamW(network.parameters(), lr=recipe.rate, weight_decay=recipe.weight_decay)
    batches = -(-len(images) // recipe.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max(recipe.rate, 1e-12), recipe.epochs * batches)
    classes = torch.from_numpy(labels)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        state = torch.random.get_rng_state()
    network.train()
    for _ in range(recipe.epochs):
        total = 0.0
        with torch.random.fork_rng(devices=[]):  # never across a yield: the caller may draw too
            torch.random.set_rng_state(state)
            for batch in torch.randperm(len(images)).split(recipe.batch):
                x = torch.from_numpy(encode(images[batch.numpy()])).float()
                if recipe.drop:
                    x *= torch.rand(x.shape) >= recipe.drop
                loss = _loss(network, x, classes[batch], recipe)
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                schedule.step()
                _limit(network, recipe.limit)
                total += len(batch) * loss.item()
            state = torch.random.get_rng_state()
        yield total / len(images)


def raw_accuracy(spec: NetworkSpec, x: NDArray[np.bool_], labels: NDArray[np.int64], classes: int) -> float:
    """Accuracy of the integer network from its last layer's raw spikes, which stay on the chip."""
    from spikeveil.host.networks.scales import with_output

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


def _loss(network: SpikingNetwork, x: Tensor, labels: Tensor, recipe: Recipe) -> Tensor:
    trace, shape = network.run(x), network.architecture
    last = str(len(network.layers))
    out = network.taps[last].debiased(trace.outputs[-1]) if last in network.taps else trace.spikes[-1]
    if recipe.goal == "counts":
        rates = out.mean(dim=1).unflatten(-1, (shape.classes, shape.readout.group)).mean(dim=-1)
        loss = functional.cross_entropy(GAIN * rates, labels)
    else:
        targets = functional.one_hot(labels, shape.classes).to(out.dtype)
        targets = targets.repeat_interleave(shape.readout.group, dim=1)
        loss = functional.mse_loss(out, targets[:, None].expand_as(out))
    for hidden in trace.spikes[:-1]:
        loss = loss + recipe.sparsity * hidden.mean()
    return loss


def _limit(network: SpikingNetwork, limit: float | None) -> None:
    if limit is None:
        return
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1:
                parameter.clamp_(-limit, limit)
