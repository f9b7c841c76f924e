"""IF against LIF and surrogate against surrogate under DP-SGD, at one budget, on the 8x8 digits, over several seeds.

    python examples/mnist-dpsgd/compare.py [--seeds N] [--out FILE.json]

The runs are those of the preset `digits-dpsgd` with another neuron: same noise, clip, batches, steps, rates, hence the
same epsilon for all. They run on seeds so that they can be repeated, and protect nobody; what they measure is utility.
Nothing is tuned for any of them, and the last step's weights are the result.
"""

import argparse
import json
import statistics
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from spikeveil.host.data.catalogue import load_dataset
from spikeveil.host.data.dataset import Dataset
from spikeveil.host.training.architecture import Dense
from spikeveil.host.training.config import Config, load_config
from spikeveil.host.training.data_feed import DataFeed
from spikeveil.host.training.loop import TrainingResult, TrainingRun
from spikeveil.host.training.neurons import Neuron
from spikeveil.host.training.run_folder import versions
from spikeveil.host.training.surrogates import surrogate_of

DECAYS = {"IF": 1.0, "LIF 0.75": 0.75}
NAMES = ("gate", "tanh_derivative", "gaussian", "gate_tail", "arctanh")
SILENT = 1e-9  # a neuron whose rate over all test records is below this never fired


def variants(base: Config) -> Iterator[tuple[str, str, Config]]:
    """The preset with each neuron and each surrogate."""
    for kind, decay in DECAYS.items():
        for name in NAMES:
            neuron = Neuron(decay, 1.0, "subtract", surrogate_of({"name": name}))
            layers = (Dense(64, neuron),)
            yield kind, name, replace(base, network=replace(base.network, layers=layers))


def outcome_of(config: Config, data: Dataset, seed: int) -> TrainingResult:
    """One run on a seed, in a folder that is thrown away."""
    privacy = None if config.privacy is None else replace(config.privacy, randomness="seeded")
    rare = {"evaluate_every": config.epochs, "checkpoint_every": 1 << 20}
    with tempfile.TemporaryDirectory() as folder:
        return TrainingRun(replace(config, seed=seed, privacy=privacy, **rare), data, Path(folder)).train()  # type: ignore[arg-type]


def silent(result: TrainingResult, config: Config, data: Dataset) -> int:
    """Hidden neurons that fire on no test record at all."""
    with torch.no_grad():
        rates = [result.network.run(x).spikes[0].mean(dim=(0, 1)) for x, _ in DataFeed(config, data).test()]
    return int((torch.stack(rates).mean(dim=0) < SILENT).sum())


def row(kind: str, name: str, config: Config, data: Dataset, seeds: int) -> dict[str, Any]:
    """Mean, sample standard deviation and extremes over the seeds, private and not."""
    found: dict[str, Any] = {"neuron": kind, "surrogate": name, "seeds": seeds}
    for label, chosen in (("dp_sgd", config), ("non_private", config.without_privacy())):
        runs = [outcome_of(chosen, data, seed) for seed in range(1, seeds + 1)]
        shares = [result.progress.log[-1]["test_accuracy"] for result in runs]
        found[label] = {
            "test_accuracy": shares,
            "mean": statistics.mean(shares),
            "deviation": statistics.stdev(shares),
            "silent_hidden_neurons": [silent(result, chosen, data) for result in runs],
        }
        if label == "dp_sgd":
            found["privacy"] = runs[0].progress.log[-1]["privacy"]
    return found


def main() -> None:
    """Every variant, printed as it comes and written at the end."""
    parser = argparse.ArgumentParser(description="IF, LIF and surrogates under DP-SGD at one budget.")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("comparison.json"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    data, rows = load_dataset("digits"), []
    for kind, name, config in variants(load_config("digits-dpsgd")):
        rows.append(row(kind, name, config, data, arguments.seeds))
        for label in ("dp_sgd", "non_private"):
            shown = rows[-1][label]
            figures = f"{100 * shown['mean']:5.1f} ± {100 * shown['deviation']:.1f} %"
            print(f"{kind:9} {name:15} {label:12} {figures}  silent {shown['silent_hidden_neurons']}", flush=True)
    record = {"versions": versions(), "data_sha256": data.digest, "rows": rows}
    arguments.out.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
