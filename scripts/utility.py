"""Accuracy against epsilon for the example networks: a table as JSON and a picture.

    python scripts/utility.py digits --out examples/digits
    python scripts/utility.py mnist --data mnist.npz --out examples/mnist
    python scripts/utility.py mnist --data mnist.npz --out examples/mnist --networks a.snn b.snn c.snn

The last one trains nothing: it flips the output spikes of networks that were trained before, one a seed.

Needs `pip install '.[train,plot]'`. Digits take about ten minutes of one core, MNIST an hour.
"""

import argparse
import json
import platform
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch

from spikeveil.host.data import Dataset, encoder, load_dataset
from spikeveil.host.training.accuracy_plots import label, utility_plot
from spikeveil.host.training.accuracy_study import Point, StudySetting, output_study, study
from spikeveil.host.training.recipe import Recipe
from spikeveil.pysim import FlipSpec, NetworkSpec
from spikeveil.pysim.model.files import write_atomically

STEPS, BITS, DELTA = 16, 8, 1e-5
EPSILONS = (0.25, 0.5, 1.0, 2.0, 3.0)
WIDE = (*(0.02, 0.05, 0.1), *EPSILONS, 5.0)  # for settings that need no training of their own

RECIPES = {
    "digits": (Recipe(epochs=30), Recipe(epochs=5, rate=1e-3)),
    "mnist": (Recipe(epochs=3, batch=128, rate=5e-3), Recipe(epochs=1, batch=128, rate=1e-3)),
}
#: settings and the epsilons of one spike that each is tried at
SETTINGS: dict[str, list[tuple[StudySetting, tuple[float, ...]]]] = {
    "digits": [
        (StudySetting("output", in_loop=False), WIDE),
        (StudySetting("hidden"), EPSILONS),
        (StudySetting("hidden", in_loop=False), WIDE),
        (StudySetting("output", group=1, in_loop=False, spike_limit=16), WIDE),
        (StudySetting("input"), EPSILONS),
        (StudySetting("input", in_loop=False), WIDE),
        (StudySetting("output"), (0.5, 1.0, 3.0)),
        (StudySetting("hidden", 256), (0.5, 1.0, 3.0)),
    ],
    "mnist": [
        (StudySetting("output", 256, in_loop=False), EPSILONS),
        (StudySetting("hidden", 256), (1.0, 0.5, 3.0)),
        (StudySetting("hidden", 256, in_loop=False), EPSILONS),
        (StudySetting("input", 256), (1.0, 3.0)),
        (StudySetting("output", 256, group=1, in_loop=False, spike_limit=16), EPSILONS),
    ],
}


def report(data: Dataset, points: list[dict[str, Any]], options: argparse.Namespace, seconds: float) -> dict[str, Any]:
    """Everything that the table states."""
    recipe, tuning = RECIPES[options.name]
    names = ("torch", "numpy", "spikeveil")
    return {
        "data": {"name": data.name, "sha256": data.digest, "train_records": len(data.train_labels)}
        | {"test_records": len(data.test_labels)},
        "versions": {name: metadata.version(name) for name in names} | {"python": platform.python_version()},
        "steps": STEPS,
        "seeds": list(range(options.seeds)),
        "leases_a_seed": options.leases,
        "randomness": "Trivium, a fresh key of the operating system's generator for every network",
        "unit": "epsilon_of_one_spike: neighbours differ in one raw spike of the flipped layer; record: in all of them",
        "float_recipe": None if options.networks else vars(recipe),
        "integer_recipe": None if options.networks else vars(tuning),
        "networks": [NetworkSpec.load(path).fingerprint for path in options.networks or ()],
        "cpu_seconds": round(seconds),
        "points": points,
    }


def main() -> None:
    """Train, measure, write."""
    parser = argparse.ArgumentParser(description="Accuracy against epsilon for an example network.")
    parser.add_argument("name", choices=sorted(SETTINGS))
    parser.add_argument("--data", help="path of the MNIST files; without it they are downloaded")
    parser.add_argument("--out", type=Path, required=True, help="folder for utility.json and utility.png")
    parser.add_argument("--train", type=int, help="so many training records; without it, all")
    parser.add_argument("--only", help="settings by their places in the list, 0,3,5; the file keeps all others it has")
    parser.add_argument("--epsilons", help="of one spike, 0.5,1,3; without it, each setting's own")
    parser.add_argument("--networks", nargs="+", type=Path, help="trained networks, whose output is flipped")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--leases", type=int, default=5, help="of fresh flips for each network")
    options = parser.parse_args()
    torch.set_num_threads(1)
    data = load_dataset(options.name, options.data).part(train=options.train)
    options.out.mkdir(parents=True, exist_ok=True)
    if options.networks:
        of_networks(data, options)
        return
    encode = encoder("rate", STEPS, data.maximum)
    recipe, tuning = RECIPES[options.name]
    file = options.out / "utility.json"
    points: list[dict[str, Any]] = json.loads(file.read_text())["points"] if options.only and file.exists() else []
    chosen = range(len(SETTINGS[options.name])) if options.only is None else map(int, options.only.split(","))
    start = time.process_time()
    for setting, epsilons in (SETTINGS[options.name][index] for index in chosen):
        wanted = epsilons if options.epsilons is None else map(float, options.epsilons.split(","))
        flips = [FlipSpec.for_epsilon(epsilon, BITS) for epsilon in wanted]
        report = lambda line: print(f"{time.process_time() - start:6.0f} s  {line}", flush=True)  # noqa: E731
        found = study(data, encode, STEPS, [setting], flips, recipe, tuning,
                      seeds=options.seeds, leases=options.leases, delta=DELTA, report=report)  # fmt: skip
        points = write(data, points, found, options, time.process_time() - start)


def of_networks(data: Dataset, options: argparse.Namespace) -> None:
    """The output of trained networks, flipped at every threshold, with a spike limit and without."""
    specs = [NetworkSpec.load(path) for path in options.networks]
    options.seeds = len(specs)
    encode, start = encoder("rate", STEPS, data.maximum), time.process_time()
    x = np.concatenate([encode(data.test_images[i : i + 1000]) for i in range(0, len(data.test_images), 1000)])
    flips = [FlipSpec.for_epsilon(epsilon, BITS) for epsilon in WIDE]
    points: list[dict[str, Any]] = []
    hidden, bits = specs[0].layers[-1].inputs, tuple(layer.weight_bits for layer in specs[0].layers)
    group = specs[0].outputs // data.classes
    for limit in (None, 16):
        setting = StudySetting("output", hidden, group, in_loop=False, weight_bits=bits, spike_limit=limit)
        found = output_study(specs, setting, flips, x, data.test_labels, data.classes,
                             leases=options.leases, delta=DELTA)  # fmt: skip
        points = write(data, points, found, options, time.process_time() - start)


def write(
    data: Dataset, points: list[dict[str, Any]], found: list[Point], options: argparse.Namespace, seconds: float
) -> list[dict[str, Any]]:
    """All points so far, to the table and the picture; a run may be cut short."""
    fresh = [point.record(data.classes) for point in found]
    kept = [point for point in points if label(point) not in map(label, fresh)] + fresh
    record = report(data, kept, options, seconds)
    write_atomically(options.out / "utility.json", (json.dumps(record, indent=1) + "\n").encode())
    title = f"{data.name}: {STEPS} steps, {options.seeds} seeds"
    utility_plot(kept, data.classes, title, options.out / "utility.png")
    return kept


if __name__ == "__main__":
    main()
