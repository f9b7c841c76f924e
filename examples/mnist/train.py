"""Train the MNIST network (784-256-40), make it integers of 8 and of 4 bits, put the output flipper in, and measure.

    python examples/mnist/train.py --out FOLDER [--data mnist.npz] [--seeds 3] [--epochs 3] [--cap SPIKES]

Under --cap only the first so many input spikes of a step count, on the chip and in training: a private core takes the
cap's time for every step, so a lower one makes it faster.

Needs `pip install '.[train]'` and three minutes of one core a seed. Writes `mnist.snn` (4-bit weights, for a
small FPGA), `mnist-8bit.snn`, the float network and `figures.json` into the folder. The files are those of the FIRST
seed: none is chosen by what it does on the test images.
"""

import argparse
import json
import platform
import time
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from spikeveil.host.data import Dataset, accuracy, classify, encoder, load_mnist
from spikeveil.host.networks.float_model import FloatNetwork
from spikeveil.host.privacy import Unit
from spikeveil.host.training.accuracy_study import CALIBRATION, chip_architecture, claim_of
from spikeveil.host.training.export import quantised, specification
from spikeveil.host.training.lowering import float_network
from spikeveil.host.training.network import SpikingNetwork
from spikeveil.host.training.recipe import Encoder, Recipe, fit, raw_accuracy, released_accuracies
from spikeveil.pysim import FlipSpec, Network, NetworkSpec, TriviumSource
from spikeveil.pysim.model.files import write_atomically
from spikeveil.pysim.model.layer import cap_inputs

STEPS, HIDDEN, GROUP = 16, 256, 4
EPSILON, FLIP_BITS, DELTA = 1.0, 8, 1e-5
WEIGHT_BITS, STATE_BITS = (8, 4), 12
RARELY = 1e-3  # an input cap may bind in at most this share of the training steps
BLOCK = 1000  # records that are evaluated at once


def encoding(data: Dataset, cap: int | None) -> Encoder:
    """By rate; of these spikes those that count under an input cap."""
    encode = encoder("rate", STEPS, data.maximum)
    return lambda images: cap_inputs(encode(images), cap)


def train(data: Dataset, encode: Encoder, recipe: Recipe) -> SpikingNetwork:
    """The float network: every output neuron learns to fire at every step for its own class alone."""
    network = SpikingNetwork(chip_architecture(data.features, HIDDEN, data.classes, STEPS, GROUP), seed=recipe.seed)
    _follow(network, data, encode, recipe, "float")
    return network


def integers(network: SpikingNetwork, data: Dataset, encode: Encoder, bits: int, recipe: Recipe) -> NetworkSpec:
    """The network trained on with weights of `bits` bits, its input caps and its output flipper set."""
    twin = quantised(network, encode(data.train_images[:CALIBRATION]), weight_bits=bits, state_bits=STATE_BITS)
    _follow(twin, data, encode, recipe, f"{bits} bits")
    spec = specification(twin, flip=FlipSpec.for_epsilon(EPSILON, FLIP_BITS))
    x = encode(data.train_images[: 2 * BLOCK])
    fired = Network(spec, TriviumSource.generate()).run(x, lease=0).raw
    layers = [
        replace(layer, input_cap=rare_cap(spikes)) for layer, spikes in zip(spec.layers, (x, *fired), strict=False)
    ]
    return NetworkSpec(layers)


def rare_cap(spikes: NDArray[np.bool_]) -> int:
    """The smallest cap on spikes a step that binds in at most RARELY of the steps; (records, steps, inputs)."""
    return max(1, int(np.quantile(spikes.sum(axis=2), 1 - RARELY, method="higher")))


def float_accuracy(network: FloatNetwork, x: NDArray[np.bool_], labels: NDArray[np.int64], classes: int) -> float:
    """Of the float network, from its raw spikes."""
    predicted = [classify(network.run(x[i : i + BLOCK])[-1], classes) for i in range(0, len(x), BLOCK)]
    return accuracy(np.concatenate(predicted), labels)


def measured(
    spec: NetworkSpec, x: NDArray[np.bool_], labels: NDArray[np.int64], classes: int, leases: int
) -> dict[str, Any]:
    """Accuracies, what one record costs, and what the layers hold."""
    released = released_accuracies(spec, x, labels, classes, TriviumSource.generate(), leases)
    claim = claim_of(spec, STEPS, DELTA)
    return {
        "integer_accuracy": raw_accuracy(spec, x, labels, classes),
        "released_accuracy": released,
        "thresholds": [layer.threshold for layer in spec.layers],
        "input_caps": [layer.input_cap for layer in spec.layers],
        "weight_memory_bits": [layer.weights.size * layer.weight_bits for layer in spec.layers],
        "fingerprint": spec.fingerprint,
        "record": {
            "bits_that_may_differ": claim.nominal(Unit.RECORD).bits_one,
            "epsilon": claim.epsilon(Unit.RECORD),
            "delta": DELTA,
            "accuracy_ceiling": claim.ceiling(classes),
        },
    }


def one_seed(
    data: Dataset, encode: Encoder, x: NDArray[np.bool_], recipe: Recipe, tuning: Recipe, out: Path, leases: int
) -> dict[str, Any]:
    """Train and measure; the files of this seed go to `out`."""
    start, labels = time.process_time(), data.test_labels
    network = train(data, encode, recipe)
    floats = float_network(network)
    floats.save(out / "mnist_float.npz")
    found: dict[str, Any] = {"seed": recipe.seed, "float_accuracy": float_accuracy(floats, x, labels, data.classes)}
    for bits in WEIGHT_BITS:
        spec = integers(network, data, encode, bits, tuning)
        spec.save(out / ("mnist.snn" if bits == 4 else f"mnist-{bits}bit.snn"))
        found[f"{bits}_bits"] = measured(spec, x, labels, data.classes, leases)
        print(
            f"seed {recipe.seed}, {bits} bits: float {found['float_accuracy']:.4f}, {_short(found, bits)}", flush=True
        )
    return found | {"cpu_seconds": round(time.process_time() - start)}


def _short(found: dict[str, Any], bits: int) -> str:
    told = found[f"{bits}_bits"]
    return f"integers {told['integer_accuracy']:.4f}, released {np.mean(told['released_accuracy']):.4f}"


def _follow(network: SpikingNetwork, data: Dataset, encode: Encoder, recipe: Recipe, what: str) -> None:
    for epoch, loss in enumerate(fit(network, data.train_images, data.train_labels, encode, recipe), 1):
        print(f"seed {recipe.seed}, {what}: epoch {epoch} of {recipe.epochs}, loss {loss:.5f}", flush=True)


def main() -> None:
    """Train, quantise, measure, write."""
    parser = argparse.ArgumentParser(description="Train the MNIST network of spikeveil.")
    parser.add_argument("--out", type=Path, required=True, help="folder for the files")
    parser.add_argument("--data", type=Path, help="folder of IDX files or a Keras .npz; without it they are downloaded")
    parser.add_argument("--seeds", type=int, default=3, help="networks to train; the first one is kept (default 3)")
    parser.add_argument(
        "--epochs", type=int, default=3, help="in float (default 3); a third as many follow as integers"
    )
    parser.add_argument("--leases", type=int, default=2, help="of fresh flips for every test image (default 2)")
    parser.add_argument("--cap", type=int, help="input spikes of a step that count, at most")
    options = parser.parse_args()
    if options.cap is not None and options.cap < 1:
        parser.error(f"--cap must be 1 or more, not {options.cap}")
    torch.set_num_threads(1)
    data = load_mnist(options.data)
    encode = encoding(data, options.cap)
    x = np.concatenate([encode(data.test_images[i : i + BLOCK]) for i in range(0, len(data.test_images), BLOCK)])
    recipe = Recipe(options.epochs, batch=128, rate=5e-3)
    tuning = replace(recipe, epochs=-(-options.epochs // 3), rate=1e-3)
    rows = []
    for seed in range(options.seeds):
        folder = options.out if seed == 0 else options.out / f"seed{seed}"
        folder.mkdir(parents=True, exist_ok=True)
        here, then = (replace(one, seed=seed) for one in (recipe, tuning))
        rows.append(one_seed(data, encode, x, here, then, folder, options.leases))
        flip = FlipSpec.for_epsilon(EPSILON, FLIP_BITS)
        record = {
            "data": {"name": data.name, "sha256": data.digest, "test_images": len(x)},
            "versions": {name: metadata.version(name) for name in ("torch", "numpy", "spikeveil")}
            | {"python": platform.python_version()},
            "network": [data.features, HIDDEN, GROUP * data.classes],
            "steps": STEPS,
            "input_cap": options.cap,
            "flip": {"threshold": flip.threshold, "bits": flip.bits, "epsilon_of_one_spike": flip.epsilon},
            "float_recipe": vars(recipe),
            "integer_recipe": vars(tuning),
            "leases": options.leases,
            "seeds": rows,
        }
        write_atomically(options.out / "figures.json", (json.dumps(record, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
