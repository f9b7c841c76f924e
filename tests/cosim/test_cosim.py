"""The gateware of random plans against the golden model: every released bit and every potential equal."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from cocotb_tools import config
from hypothesis import HealthCheck, Phase, event, given, settings
from support.backends import Backend, amaranth_sim, golden, traced, verilator
from support.strategies import Case, cases

from spikeveil.hdl.engine.plan import Plan
from spikeveil.host.cosim import LeasePorts, verilator_engine
from spikeveil.pysim.model import neuron
from spikeveil.pysim.model.layer import cap_inputs
from spikeveil.pysim.model.spec import LayerSpec, NetworkSpec

WANTED = {
    *("saturates low", "saturates high", "spike limit cuts", "input cap cuts"),
    *("bias", "thresholds", "readout", "flips twice", "k = 1", "k = half", "reset zero", "reset subtract"),
    *("reset value", "round floor", "round nearest", "fraction_bits", "initial", "leak_factors"),
    *("leak none", "leak shift", "leak scale", "lfsr", "trivium", "fast", "private"),
    *("stalls in", "stalls out", "first record above 0", "records back to back", "partly filled row", "1 lane"),
    *("private folded", "fast folded"),
}


def features(case: Case) -> Iterator[str]:
    """Which corners a case visits, as seen in what the model computed, not in what was asked for."""
    plan, result = case.plan, traced(case.plan, case.spikes, case.lease)
    x = case.spikes
    yield plan.source
    yield plan.schedule
    for index, layer in enumerate(plan.spec.layers):
        capped = cap_inputs(x, layer.input_cap)
        yield from (["input cap cuts"] if (capped != x).any() else [])
        v, low_and_high = neuron.initial(len(x), layer).astype(np.int64), np.array(layer.state_range)
        for current in np.moveaxis(capped.astype(np.int64) @ layer.weights.T.astype(np.int64), 1, 0):
            factors = None if layer.leak_factors is None else layer.leak_factors.astype(np.int64)
            u = neuron.leak(v, layer.leak, factors) + (current << layer.fraction_bits)
            u += 0 if layer.bias is None else layer.bias
            if layer.threshold is not None:
                after_spike = 0 if layer.reset_potential is None else layer.reset_potential
                after_spike = u - layer.threshold if layer.reset == "subtract" else after_spike
                u = np.where(u >= layer.threshold, after_spike, u)
            yield from (["saturates low"] if u.min() < low_and_high[0] else [])
            yield from (["saturates high"] if u.max() > low_and_high[1] else [])
            v = u.clip(*low_and_high)
        if (result.limited[index] != result.raw[index]).any():
            yield "spike limit cuts"
        if layer.flip is not None:
            if layer.flip.threshold == 1:
                yield "k = 1"
            if layer.flip.threshold == 1 << (layer.flip.bits - 1):
                yield "k = half"
        x = result.sent[index]
        yield f"leak {layer.leak.kind}"
        yield from ([] if layer.leak.kind == "none" else [f"round {layer.leak.rounding}"])
        for name in ("fraction_bits", "initial", "leak_factors"):
            yield from ([name] if np.any(getattr(layer, name)) else [])
        yield from ([] if layer.bias is None else ["bias"])
        yield from (["thresholds"] if np.ndim(layer.threshold) else [])
        yield from (["partly filled row"] if layer.neurons % plan.layer_lanes[index].lanes else [])
        yield from (["partly filled scan"] if layer.neurons % plan.layer_lanes[index].scan else [])
        yield from ([f"{plan.schedule} folded"] if plan.layer_lanes[index].fold > 1 else [])
        yield from (["readout"] if layer.readout else [f"reset {layer.reset}"])
    yield from (["flips twice"] if len(plan.spec.flipped) > 1 else [])
    yield from (["stalls in"] if case.stalls.i else [])
    yield from (["stalls out"] if case.stalls.o else [])
    yield from (
        ["first record above 0"] if plan.source == "trivium" and plan.spec.flipped and case.lease.record else []
    )
    yield from (["records back to back"] if len(case.spikes) > 1 else [])
    yield from (["1 lane"] if plan.lanes == 1 else [])


def compare(backend: Backend, examples: int, *, soak: bool, most_layers: int, chosen: bool = False) -> set[str]:
    """Compare random cases with the golden model; returns the corners they visited.

    All `examples` of them are simulated, or, when `chosen`, each that visits a corner for the first time. Only soak
    runs are random, and shrink what fails.
    """
    seen: set[str] = set()

    @settings(
        derandomize=not soak,
        database=None,
        max_examples=examples,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink] if soak else [Phase.generate],
    )
    @given(cases(most_layers))
    def agree(case: Case) -> None:
        visited = set(features(case))
        if chosen and visited <= seen:
            return
        seen.update(visited)
        for name in sorted(visited):
            event(name)
        expected = golden(case.plan, case.spikes, case.lease)
        np.testing.assert_array_equal(backend(case.plan, case.spikes, case.lease, case.stalls), expected)

    agree()
    return seen


@pytest.mark.parametrize("most_layers", [1, 2, 4])
def test_random_plans_in_amaranths_simulator(most_layers: int, soak: bool) -> None:
    """Every corner, visited in whatever combinations the random cases make of them."""
    seen = compare(amaranth_sim, 200, soak=soak, most_layers=most_layers, chosen=not soak)
    possible = WANTED - ({"flips twice"} if most_layers == 1 else set())
    assert sorted(possible - seen) == []


@pytest.mark.verilator
def test_random_plans_in_verilator(soak: bool) -> None:
    seen = compare(verilator, 60 if soak else 6, soak=soak, most_layers=4)
    assert {"lfsr", "trivium", "fast", "private"} <= seen


@pytest.mark.verilator
def test_a_simulator_of_an_environment_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two environments share a cache, and the one that built first is removed: what it built runs no more."""
    spec = NetworkSpec([LayerSpec(np.eye(3, 5, dtype=int), threshold=1)])
    plan, spikes = Plan(spec, unsafe=True), np.ones((1, 2, 5), bool)
    gone, cache = tmp_path / "libs", tmp_path / "cache"
    shutil.copytree(config.libs_dir, gone)
    with monkeypatch.context() as patch:
        patch.setattr(config, "libs_dir", gone)
        verilator_engine.build(plan, 2, folder=cache)
    shutil.rmtree(gone)
    outcome = verilator_engine.run(plan, spikes, LeasePorts(), folder=cache)
    np.testing.assert_array_equal(outcome.released, golden(plan, spikes, LeasePorts()))
