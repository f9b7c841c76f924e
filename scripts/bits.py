"""Measure accuracy against bits of weight on digits: rounded after training, and trained on as integers.

    python scripts/bits.py --out examples/digits/bits.json

Writes JSON. Needs `pip install '.[train]'` and a few minutes of one core. The networks have no flipper.
"""

import argparse
import json
import platform
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch

from spikeveil.host.data import Dataset, accuracy, classify, encoder, load_digits
from spikeveil.host.networks.search import quantise_network
from spikeveil.host.training.accuracy_study import CALIBRATION, StudySetting, float_trained
from spikeveil.host.training.export import quantised, specification
from spikeveil.host.training.lowering import float_network
from spikeveil.host.training.recipe import Recipe, fit, raw_accuracy
from spikeveil.pysim.model.files import write_atomically

STEPS, BITS = 16, (8, 6, 5, 4, 3, 2)
RECIPE, TUNING = Recipe(epochs=40), Recipe(epochs=8, rate=1e-3)


def one_seed(data: Dataset, seed: int) -> dict[str, Any]:
    """Accuracies of one float network and of its integers, on the test records."""
    encode = encoder("rate", STEPS, data.maximum)
    x, labels, scaling = encode(data.test_images), data.test_labels, encode(data.train_images[:CALIBRATION])
    network = float_trained(data, encode, STEPS, StudySetting("output"), None, replace(RECIPE, seed=seed))
    floats = float_network(network)
    found: dict[str, Any] = {"float": accuracy(classify(floats.run(x)[-1], data.classes), labels)}
    for bits in BITS:
        rounded = quantise_network(floats, scaling, weight_bits=bits)
        apart = quantise_network(floats, scaling, weight_bits=bits, per_neuron=True)
        twin = quantised(network, scaling, weight_bits=bits)
        for _ in fit(
            twin, data.train_images, labels=data.train_labels, encode=encode, recipe=replace(TUNING, seed=seed)
        ):
            pass
        specs = {"rounded": rounded.spec, "a_scale_a_neuron": apart.spec, "trained_on": specification(twin)}
        found[f"{bits}_bits"] = {name: raw_accuracy(spec, x, labels, data.classes) for name, spec in specs.items()}
        print(f"seed {seed}, {bits} bits: float {found['float']:.4f}, {found[f'{bits}_bits']}", flush=True)
    return found


def main() -> None:
    """Train, round, measure, write."""
    parser = argparse.ArgumentParser(description="Measure accuracy against bits of weight on digits.")
    parser.add_argument("--out", type=Path, required=True, help="the JSON file")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    data = load_digits()
    rows = [one_seed(data, seed) for seed in range(options.seeds)]
    losses = {
        f"{bits}_bits": {
            name: float(np.mean([100 * (row["float"] - row[f"{bits}_bits"][name]) for row in rows]))
            for name in rows[0][f"{bits}_bits"]
        }
        for bits in BITS
    }
    record = {
        "data": {"name": data.name, "sha256": data.digest, "test_records": len(data.test_labels)},
        "versions": {name: metadata.version(name) for name in ("torch", "numpy", "spikeveil")}
        | {"python": platform.python_version()},
        "network": "64-128-40, 16 steps, 16-bit potentials, leak v - (v >> 3)",
        "float_recipe": vars(RECIPE),
        "integer_recipe": vars(TUNING),
        "seeds": rows,
        "mean_loss_in_points": losses,
    }
    write_atomically(options.out, (json.dumps(record, indent=1) + "\n").encode())


if __name__ == "__main__":
    main()
