"""Random sparse layers in integers: how much of their spikes, and of their F1, quantisation keeps.

    python scripts/sparse_layers.py [--seeds 12] [--weight-bits 8 4] [--state-bits 16] [--json FILE]

A layer is 64 -> 32, weights N(0, 0.2), one decay, reset by subtraction, u > threshold, the threshold such that the
float layer spikes at the wanted rate on 20 records of 60 steps at an input rate of 5 %.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeveil.host.networks.float_model import FloatLayer, FloatNetwork
from spikeveil.host.networks.search import quantise_network

NEURONS, INPUTS, RECORDS, STEPS = 32, 64, 20, 60
INPUT_RATE = 0.05
DECAYS = (0.5, 0.9, 0.95, 0.98)
RATES = (0.002, 0.01, 0.05)
BISECTIONS = 14  # so that no potential lies on the threshold


def sparse_layer(decay: float, rate: float, seed: int) -> tuple[FloatLayer, NDArray[np.bool_]]:
    """A layer and its input spikes (RECORDS, STEPS, INPUTS)."""
    rng = np.random.default_rng(seed)
    weights = rng.normal(0, 0.2, (NEURONS, INPUTS))
    spikes = rng.random((RECORDS, STEPS, INPUTS)) < INPUT_RATE
    low, high = 1e-3, 20.0
    for _ in range(BISECTIONS):
        threshold = (low + high) / 2
        layer = FloatLayer(weights, np.zeros(NEURONS), decay, "subtract", threshold, compare="gt")
        low, high = (low, threshold) if layer.run(spikes).mean() < rate else (threshold, high)
    return layer, spikes


def measured(decay: float, rate: float, seed: int, **formats: Any) -> dict[str, Any]:
    """Scores of one layer in integers."""
    layer, spikes = sparse_layer(decay, rate, seed)
    report = quantise_network(FloatNetwork((layer,)), spikes, allow_loss=True, **formats).reports[0]
    return {"decay": decay, "rate": rate, "seed": seed} | report.match.to_dict()


def table(rows: list[dict[str, Any]]) -> list[str]:
    """A line for each decay and rate: the worst loss, and the mean scores."""
    lines = []
    for decay, rate in dict.fromkeys((row["decay"], row["rate"]) for row in rows):
        group = [row for row in rows if (row["decay"], row["rate"]) == (decay, rate)]
        means = {name: float(np.mean([row[name] for row in group])) for name in ("exact_f1", "f1")}
        worst = max(row["lost"] for row in group)
        lines.append(
            f"decay {decay:4} rate {rate:5.1%}: F1 {means['f1']:.3f}, in the same step {means['exact_f1']:.3f}, "
            f"worst loss {worst:.1%}"
        )
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=12)
    parser.add_argument("--weight-bits", type=int, nargs="+", default=[8, 4])
    parser.add_argument("--state-bits", type=int, default=16)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    result = {}
    for bits in options.weight_bits:
        rows = [
            measured(decay, rate, seed, weight_bits=bits, state_bits=options.state_bits)
            for decay in DECAYS
            for rate in RATES
            for seed in range(options.seeds)
        ]
        result[str(bits)] = rows
        print(f"{bits}-bit weights, {options.state_bits}-bit potentials, {options.seeds} seeds")
        print("\n".join(table(rows)))
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
