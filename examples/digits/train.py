"""Train the digits network, make it integers, put the output flipper in, and write down what came out.

    python examples/digits/train.py [--seed N] [--out FOLDER]

Needs `pip install '.[train]'`. On one machine the same seed gives the same files.
"""

import argparse
import json
import platform
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from spikeveil.host.data import accuracy, classify, load_digits
from spikeveil.host.networks.digits_example import CLASSES, DEMO_KEY, FLOAT, NETWORK, STEPS, encode
from spikeveil.host.networks.float_model import FloatLayer, FloatNetwork
from spikeveil.host.privacy import RandomizedResponse, Unit
from spikeveil.pysim import FlipSpec, LayerSpec, Leak, Network, NetworkSpec, TriviumSource

SEED = 2026
HIDDEN, GROUP = 128, 4  # hidden neurons; output neurons a class
LEAK = Leak.shift(3)
DECAY = 1 - 2.0**-3  # the same leak without rounding
RESETS = ("subtract", "zero")

EPOCHS, BATCH, RATE, WEIGHT_DECAY = 80, 64, 1e-2, 1e-4
DROP = 0.2  # share of input spikes left out while training, against overfitting
SPARSITY = 0.02  # price of a hidden spike: fewer of them let a private core run at a shorter cadence
SCALE = 100  # the integer threshold; weights stay within 127 / SCALE, so that eight bits hold them

EPSILON, FLIP_BITS = 1.0, 8  # of one spike
RARELY = 1e-3  # an input cap may bind in at most this share of the training steps
LEASES = 50  # each gives every test image fresh flips
LIMITS = (None, 64, 32, 16)  # spike limits of the output layer that are compared
DELTA = 1e-5


class Spike(torch.autograd.Function):
    """1 where u >= 0; its gradient is that of a fast sigmoid (Zenke and Ganguli 2018), 1 / (1 + 5 |u|)^2."""

    @staticmethod
    def forward(ctx, u: Tensor) -> Tensor:
        ctx.save_for_backward(u)
        return (u >= 0).to(u.dtype)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        (u,) = ctx.saved_tensors
        return gradient / (1 + 5 * u.abs()) ** 2


def run_layer(x: Tensor, weights: Tensor, bias: Tensor, reset: str) -> Tensor:
    """Spikes (records, steps, neurons) of a layer with threshold 1, differentiable."""
    current = x @ weights.T + bias
    v, spikes = torch.zeros_like(current[:, 0]), []
    for t in range(current.shape[1]):
        u = DECAY * v + current[:, t]
        s = Spike.apply(u - 1)
        v = u - s if reset == "subtract" else u * (1 - s)
        spikes.append(s)
    return torch.stack(spikes, dim=1)


def initial() -> list[nn.Parameter]:
    """Weights and biases of the hidden and the output layer."""
    sizes = ((HIDDEN, 64, 0.3), (GROUP * CLASSES, HIDDEN, 0.15))
    return [
        nn.Parameter(value)
        for neurons, inputs, spread in sizes
        for value in (spread * torch.randn(neurons, inputs), torch.zeros(neurons))
    ]


def train(x: Tensor, labels: Tensor) -> FloatNetwork:
    """Every output neuron learns to fire at every step for its own class, and never for another."""
    parameters = initial()
    optimiser = torch.optim.AdamW(parameters, lr=RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, EPOCHS * -(-len(x) // BATCH))
    targets = functional.one_hot(labels, CLASSES).to(x.dtype).repeat_interleave(GROUP, dim=1)
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(x)).split(BATCH):
            inputs = x[batch] * (torch.rand_like(x[batch]) >= DROP)
            hidden = run_layer(inputs, parameters[0], parameters[1], RESETS[0])
            out = run_layer(hidden, parameters[2], parameters[3], RESETS[1])
            loss = functional.mse_loss(out, targets[batch, None].expand_as(out)) + SPARSITY * hidden.mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            with torch.no_grad():
                for weights in parameters[::2]:
                    weights.clamp_(-127 / SCALE, 127 / SCALE)
    arrays = [parameter.detach().numpy() for parameter in parameters]
    pairs = zip(arrays[::2], arrays[1::2], RESETS, strict=True)
    return FloatNetwork(tuple(FloatLayer(weights, bias, DECAY, reset) for weights, bias, reset in pairs))


def quantise(network: FloatNetwork) -> list[LayerSpec]:
    """Weights, biases and threshold times SCALE, rounded; the leak as a shift."""
    return [
        LayerSpec(
            np.rint(SCALE * layer.weights).astype(int),
            SCALE,
            LEAK,
            layer.reset,
            bias=np.rint(SCALE * layer.bias).astype(int),
        )
        for layer in network.layers
    ]


def rare_cap(spikes: NDArray[np.bool_]) -> int:
    """The smallest cap on spikes a step that binds in at most RARELY of the steps; (records, steps, inputs)."""
    return max(1, int(np.quantile(spikes.sum(axis=2), 1 - RARELY, method="higher")))


def finish(network: FloatNetwork, x: NDArray[np.bool_]) -> NetworkSpec:
    """The integer network with caps from the training spikes and a flipper on its output."""
    hidden, output = quantise(network)
    hidden = remade(hidden, input_cap=rare_cap(x))
    cap = rare_cap(Network(NetworkSpec([hidden])).run(x).raw[0])
    return NetworkSpec([hidden, remade(output, input_cap=cap, flip=FlipSpec.for_epsilon(EPSILON, FLIP_BITS))])


def remade(layer: LayerSpec, **changes: object) -> LayerSpec:
    """A layer with some fields changed."""
    return replace(layer, **changes)


def released_accuracies(spec: NetworkSpec, x: NDArray[np.bool_], labels: NDArray[np.int64]) -> list[float]:
    """Accuracy from released spikes alone, under each lease of the demonstration key."""
    model = Network(spec, TriviumSource(DEMO_KEY))
    runs = (model.run(x, lease=lease).released for lease in range(LEASES))
    return [accuracy(classify(released, CLASSES), labels) for released in runs]


def limit_row(
    spec: NetworkSpec, limit: int | None, x: NDArray[np.bool_], labels: NDArray[np.int64]
) -> dict[str, object]:
    """What a spike limit of the output layer costs in accuracy, and what it saves in a record's epsilon."""
    limited = NetworkSpec([*spec.layers[:-1], remade(spec.layers[-1], spike_limit=limit)])
    flip, count = limited.layers[-1].flip, Unit.RECORD.bits(STEPS, spec.outputs, spike_limit=limit)
    epsilon = RandomizedResponse(flip.threshold, flip.bits).epsilon_composed(count, DELTA)
    accuracies = released_accuracies(limited, x, labels)
    return {
        "spike_limit": limit,
        "accuracy": summary(accuracies),
        "bits_that_may_differ": count,
        "record_epsilon": epsilon,
        "delta": DELTA,
        "accuracy_ceiling": 1 / (1 + (CLASSES - 1) * np.exp(-epsilon)),
    }


def summary(values: list[float]) -> dict[str, float]:
    """Mean, sample standard deviation, extremes."""
    mean, spread = float(np.mean(values)), float(np.std(values, ddof=1))
    return {"mean": mean, "deviation": spread, "lowest": min(values), "highest": max(values)}


def figures(network: FloatNetwork, spec: NetworkSpec, seed: int) -> dict[str, object]:
    """Everything the README states, measured on the test images."""
    data = load_digits()
    x, labels = encode(data.test_images), data.test_labels
    unflipped = NetworkSpec([*spec.layers[:-1], remade(spec.layers[-1], flip=None)])
    raw = Network(unflipped).run(x)
    flip = spec.layers[-1].flip
    return {
        "seed": seed,
        "versions": {name: metadata.version(name) for name in ("torch", "numpy", "scikit-learn", "spikeveil")}
        | {"python": platform.python_version()},
        "fingerprint": spec.fingerprint,
        "test_images": len(x),
        "flip": {"threshold": flip.threshold, "bits": flip.bits, "epsilon_per_spike": flip.epsilon},
        "input_caps": [layer.input_cap for layer in spec.layers],
        "float_accuracy": accuracy(classify(network.run(x)[-1], CLASSES), labels),
        "integer_accuracy": accuracy(classify(raw.released, CLASSES), labels),
        "released_accuracy": summary(released_accuracies(spec, x, labels)),
        "leases": LEASES,
        "input_spike_rate": float(x.mean()),
        "hidden_spike_rate": float(raw.raw[0].mean()),
        "output_spikes_a_record": summary(raw.raw[1].sum(axis=(1, 2)).tolist()),
        "spike_limits": [limit_row(spec, limit, x, labels) for limit in LIMITS],
    }


def main() -> None:
    """Train, quantise, measure, write."""
    parser = argparse.ArgumentParser(description="Train the digits network of spikeveil.")
    parser.add_argument("--seed", type=int, default=SEED, help=f"of weights, batches and dropout (default {SEED})")
    parser.add_argument("--out", type=Path, help="folder for the files (default: those of the package)")
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    data = load_digits()
    x = encode(data.train_images)
    network = train(torch.from_numpy(x.astype(np.float32)), torch.from_numpy(data.train_labels))
    spec = finish(network, x)
    measured = figures(network, spec, arguments.seed)
    out = arguments.out
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    spec.save(NETWORK if out is None else out / NETWORK.name)
    network.save(FLOAT if out is None else out / FLOAT.name)
    text = json.dumps(measured, indent=2) + "\n"
    (Path(__file__).parent if out is None else out).joinpath("figures.json").write_text(text)
    print(text, end="")


if __name__ == "__main__":
    main()
