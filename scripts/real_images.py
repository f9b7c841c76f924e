"""Synaptic operations a second on real images: clock cycles counted in the simulated gateware, on both schedules.

    python scripts/real_images.py NETWORK [--data MNIST] [--images 20] [--lanes 16 32] [--mhz 120] [--json FILE]

NETWORK takes MNIST images, encoded by rate. Each core is simulated in Verilator with the images one behind the other,
its spikes compared with the golden model's, and the cycles from the first image's end to the last one's are counted. On
the private schedule a step takes its cadence whatever it holds; there a second row has all test images, whose
operations the golden model counts. An operation is an input spike that counts (not cut by a cap) times a neuron that it
reaches. The clock is given: what a board reaches, `spikeveil build` says.
"""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from spikeveil.hdl.engine.plan import Plan, Schedule
from spikeveil.host.cli.demo_comparison import operations
from spikeveil.host.cli.screens.tables import figures_table
from spikeveil.host.cosim import LeasePorts, verilator_engine
from spikeveil.host.data import encoder, load_mnist
from spikeveil.host.networks.catalogue import load as load_network
from spikeveil.pysim import Network, TriviumSource
from spikeveil.pysim.model.spec import NetworkSpec

BLOCK = 1000  # images that the golden model runs at once
KEY = 0x0F62B5085BAE0154A7FA  # of the eSTREAM vectors: nothing here is secret


def measure(spec: NetworkSpec, spikes: NDArray[np.bool_], lanes: int, schedule: Schedule, fold: int) -> dict[str, Any]:
    """One core: its exact cycles and operations a step, behind the first image. ValueError where a spike differs."""
    plan = Plan(spec, lanes=lanes, schedule=schedule, unsafe=schedule == "fast", fold=fold)
    model = Network(spec, TriviumSource(KEY.to_bytes(10, "big"))).run(spikes, lease=1)
    outcome = verilator_engine.run(plan, spikes, LeasePorts(number=1, key=KEY))
    if not np.array_equal(outcome.released, model.released):
        raise ValueError(f"{lanes} lanes, {schedule} schedule: the gateware differs from the golden model")
    counted = replace(model, sent=tuple(sent[1:] for sent in model.sent))
    done = sum(operations(spec, spikes[1:], counted))
    steps = (len(spikes) - 1) * spikes.shape[1]
    cycles = int(outcome.stamps[-1] - outcome.stamps[0])
    return {
        "lanes": lanes,
        "schedule": schedule,
        "fold": fold,
        "images": len(spikes),
        "released_spikes_compared": int(outcome.released.size),
        "cycles_per_step": cycles / steps,
        "operations_per_step": done / steps,
        "operations_per_cycle": done / cycles,
    }


def foretold(row: dict[str, Any], per_step: float, images: int) -> dict[str, Any]:
    """The private core of `row` on so many images, not simulated: a step takes the same cycles whatever it holds."""
    done = {"operations_per_step": per_step, "operations_per_cycle": per_step / row["cycles_per_step"]}
    return row | {"images": images, "released_spikes_compared": 0} | done


def mean_operations(spec: NetworkSpec, images: NDArray[np.uint8], encode: Any) -> float:
    """Operations a step, by the golden model."""
    source, done, steps = TriviumSource(KEY.to_bytes(10, "big")), 0, 0
    for at in range(0, len(images), BLOCK):
        spikes = encode(images[at : at + BLOCK])
        done += sum(operations(spec, spikes, Network(spec, source).run(spikes, lease=1)))
        steps += spikes.shape[0] * spikes.shape[1]
    return done / steps


def tabulate(network: str, mhz: float, rows: list[dict[str, Any]]) -> Table:
    """The rows as a table."""
    shown = figures_table(
        f"{network}, MNIST, at {mhz:g} MHz",
        *("lanes", "schedule", "images", "cycles/step", "op/step", "op/cycle", "G op/s", "images/s"),
    )
    for row in rows:
        shown.add_row(
            str(row["lanes"]),
            row["schedule"] + (f", fold {row['fold']}" if row["schedule"] == "fast" else ""),
            f"{row['images']:,}" + ("" if row["released_spikes_compared"] else " (model)"),
            *(f"{row[name]:,.1f}" for name in ("cycles_per_step", "operations_per_step")),
            f"{row['operations_per_cycle']:.2f}",
            f"{row['operations_per_second'] / 1e9:.3f}",
            f"{row['images_per_second']:,.0f}",
        )
    return shown


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network")
    parser.add_argument("--data", type=Path, help="MNIST as files; without, it is downloaded")
    parser.add_argument("--images", type=int, default=20, help="the first so many test images")
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--lanes", type=int, nargs="+", default=[16, 32])
    parser.add_argument("--fold", type=int, default=16, help="of the fast schedule's second row")
    parser.add_argument("--mhz", type=float, default=120.0, help="the clock, for the figures a second")
    parser.add_argument("--json", type=Path, help="write the rows here too")
    options = parser.parse_args()
    if options.images < 2:
        parser.error(f"--images must be at least 2, not {options.images}")
    spec, data = load_network(options.network), load_mnist(options.data)
    encode = encoder("rate", options.steps, data.maximum)
    spikes, mean = encode(data.test_images[: options.images]), mean_operations(spec, data.test_images, encode)
    rows: list[dict[str, Any]] = []
    for lanes in options.lanes:
        private = measure(spec, spikes, lanes, "private", 1)
        rows += [private, foretold(private, mean, len(data.test_images))]
        rows += [measure(spec, spikes, lanes, "fast", fold) for fold in sorted({1, options.fold})]
    for row in rows:
        row["operations_per_second"] = row["operations_per_cycle"] * options.mhz * 1e6
        row["images_per_second"] = options.mhz * 1e6 / (row["cycles_per_step"] * options.steps)
    Console(width=110).print(tabulate(options.network, options.mhz, rows))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
