"""Co-simulation: clock cycles simulated a second, and how much of the lanes does useful work on the fast schedule."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import Row
from spikeveil.hdl.engine.plan import Plan
from spikeveil.host.cosim import LeasePorts, SimulationResult, amaranth_engine, verilator_engine
from spikeveil.host.networks.digits_example import held_out, load_network
from spikeveil.pysim.model import LayerSpec, Leak, NetworkSpec
from spikeveil.pysim.model.layer import cap_inputs

LANES = 16
REQUIRED = 300_000  # simulated clock cycles a second
WIDE, STEPS, RECORDS, DENSITY = (256, 784), 16, 32, 0.15


def rows() -> Iterator[Row]:
    """Cycles a second on the digits network, private schedule; lane utilisation of single layers, fast schedule."""
    spec, (images, _) = load_network(), held_out()
    yield from speed(spec, images)
    yield from network_utilisation(spec, images)
    yield utilisation("digits layer 0, test images", bare(spec.layers[0]), images)
    rng = np.random.default_rng(2026)
    wide = LayerSpec(rng.integers(-20, 22, WIDE), 400, Leak.shift(3))
    noise = rng.random((RECORDS, STEPS, WIDE[1])) < DENSITY
    yield utilisation(f"{WIDE[1]}-{WIDE[0]}, {DENSITY:.0%} random spikes", wide, noise)


def speed(spec: NetworkSpec, images: NDArray[np.bool_]) -> Iterator[Row]:
    """Both engines simulate the same core, on the same records; Amaranth's only the first of them."""
    plan, lease = Plan(spec, LANES), LeasePorts()
    verilator_engine.build(plan, images.shape[1])
    ours = max(rate(verilator_engine.run(plan, images, lease)) for _ in range(3))
    slow = rate(amaranth_engine.run(plan, images[:1], lease))
    name = "cosim: digits network, fixed cadence, Verilator"
    yield Row(name, "cycles/s", ours, REQUIRED, "required", ours / REQUIRED, 1.0)
    yield Row(name, "cycles/s", ours, slow, "Amaranth's simulator", ours / slow)


def rate(outcome: SimulationResult) -> float:
    """Simulated clock cycles a second of wall time, without building and starting."""
    return outcome.cycles / outcome.seconds


def network_utilisation(spec: NetworkSpec, images: NDArray[np.bool_]) -> Iterator[Row]:
    """The whole network: every layer has its own lanes, and the slowest layer sets the pace of all."""
    from spikeveil.pysim import Network, TriviumSource

    plan = Plan(spec, LANES, schedule="fast")
    outcome = verilator_engine.run(plan, images, LeasePorts())
    model = Network(spec, TriviumSource(bytes(10))).run(images, lease=0)
    inputs: list[Any] = [images, *model.sent[:-1]]
    done = sum(operations(layer, x) for layer, x in zip(spec.layers, inputs, strict=True))
    lanes = sum(each.lanes for each in plan.layer_lanes)
    share = done / (int(outcome.stamps[-1]) * lanes)
    yield Row(f"lane utilisation: digits network, {lanes} lanes in all", "share", share, 1.0, "every lane", share)


def bare(layer: LayerSpec) -> LayerSpec:
    """The layer without its flipper."""
    return replace(layer, flip=None)


def utilisation(name: str, layer: LayerSpec, spikes: NDArray[np.bool_]) -> Row:
    """One layer engine alone, from the first record's first spike to the last record's last row."""
    plan = Plan(NetworkSpec([layer]), LANES, schedule="fast", unsafe=True)
    outcome = verilator_engine.run(plan, spikes, LeasePorts())
    share = operations(layer, spikes) / (int(outcome.stamps[-1]) * LANES)
    return Row(f"lane utilisation: {name}, {LANES} lanes", "share", share, 1.0, "every lane", share, 0.9)


def operations(layer: LayerSpec, spikes: NDArray[np.bool_]) -> int:
    """Useful synaptic operations: one input spike that counts, at one neuron."""
    return int(cap_inputs(spikes, layer.input_cap).sum()) * layer.neurons
