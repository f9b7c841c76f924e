"""Networks of snnTorch with its default reset, as its exporter writes them: integers that spike as snnTorch does."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from spikeveil.host.exchange import Choices, Formats, convention, import_graph
from spikeveil.host.exchange.nodes import NirFile, Node
from spikeveil.host.exchange.reference import build_graph
from spikeveil.host.networks.spike_match import SpikeMatch
from spikeveil.pysim import Network

torch = pytest.importorskip("torch")
snntorch = pytest.importorskip("snntorch")

INPUTS, HIDDEN, OUTPUTS, STEPS, RECORDS = 64, 60, 10, 16, 40
DT = np.float32(1e-4)


@dataclass(frozen=True)
class Kind:
    """What one export has: betas of both layers, biases, resets, and where its modules lie."""

    betas: tuple[Any, Any] = (0.9, 0.8)
    bias: bool = True
    resets: tuple[str, str] = ("subtract", "subtract")
    inner: bool = False  # a graph in the graph for each layer
    changes: dict[str, Any] = field(default_factory=dict)


RNG = np.random.default_rng(8)
KINDS = {
    "plain": Kind(),
    "trained beta": Kind((RNG.uniform(0.6, 0.98, HIDDEN), RNG.uniform(0.6, 0.98, OUTPUTS))),
    "learned scalar beta": Kind((np.array(0.93), np.array(0.86))),  # one number in the file
    "no bias": Kind((0.95, 0.95), bias=False),
    "nested Sequential": Kind((0.9, 0.98), inner=True),
    "custom module": Kind((0.98, 0.6)),
    "mixed resets": Kind(resets=("subtract", "zero"), changes={"resets": {"lif1": "zero"}}),
}


def file_of(kind: Kind, weights: Sequence[Any], biases: Sequence[Any]) -> NirFile:
    """The graph that snnTorch's exporter writes: tau = dt / (1 - beta) and r = tau / dt in float32."""
    order = [Node("input", "Input", {"shape": np.array([INPUTS])})]
    for index, (weight, bias, beta) in enumerate(zip(weights, biases, kind.betas, strict=True)):
        tau = DT / (1 - np.asarray(beta, np.float32))
        fields = {"tau": tau, "r": tau / DT, "v_leak": 0 * tau, "v_reset": 0 * tau, "v_threshold": np.ones_like(tau)}
        linear = Node(f"fc{index}", "Affine", {"weight": weight, "bias": bias})
        if bias is None:
            linear = Node(f"fc{index}", "Linear", {"weight": weight})
        parts = [linear, Node(f"lif{index}", "LIF", fields)]
        order += [_inner(f"g{index}", parts)] if kind.inner else parts
    order.append(Node("output", "Output", {"shape": np.array([OUTPUTS])}))
    return NirFile({node.name: node for node in order}, tuple((a.name, b.name) for a, b in pairwise(order)), "", "1")


def _inner(name: str, parts: list[Node]) -> Node:
    chain = [Node("input", "Input", {"shape": 1}), *parts, Node("output", "Output", {"shape": 1})]
    edges = tuple((a.name, b.name) for a, b in pairwise(chain))
    return Node(name, "NIRGraph", {"nodes": {node.name: node for node in chain}, "edges": edges})


def snntorch_spikes(kind: Kind, weights: Sequence[Any], biases: Sequence[Any], x: Any) -> list[NDArray[np.bool_]]:
    """What snnTorch's neurons do, by layer: (records, steps, neurons)."""
    found = []
    for weight, bias, beta, reset in zip(weights, biases, kind.betas, kind.resets, strict=True):
        leaky = snntorch.Leaky(beta=torch.as_tensor(np.asarray(beta, np.float32)), reset_mechanism=reset)
        mem, spikes = leaky.init_leaky(), []
        for t in range(STEPS):
            current = torch.from_numpy(x[:, t]) @ torch.from_numpy(weight).T
            spike, mem = leaky(current if bias is None else current + torch.from_numpy(bias), mem)
            spikes.append(spike.numpy())
        x = np.stack(spikes, axis=1)
        found.append(x > 0)
    return found


@pytest.mark.parametrize("name", KINDS)
def test_an_export_with_the_default_reset_keeps_its_spikes_in_integers(name: str) -> None:
    kind, rng = KINDS[name], np.random.default_rng(list(KINDS).index(name))
    weights = [rng.uniform(-0.375, 0.375, (HIDDEN, INPUTS)), rng.uniform(-0.4, 0.4, (OUTPUTS, HIDDEN))]
    weights = [weight.astype(np.float32) for weight in weights]
    biases = [rng.uniform(-0.1, 0.1, len(weight)).astype(np.float32) if kind.bias else None for weight in weights]
    x = (rng.random((RECORDS, STEPS, INPUTS)) < 0.25).astype(np.float32)
    expected = snntorch_spikes(kind, weights, biases, x)
    assert all(0.01 < spikes.mean() < 0.5 for spikes in expected)
    made = build_graph(
        file_of(kind, weights, biases), Choices.of(convention("snntorch").choices.to_dict() | kind.changes)
    )
    for trace, spikes in zip(made.run(x), expected, strict=True):
        assert SpikeMatch.of(spikes, trace.spikes).exact_f1 > 0.999  # sums in another order than torch's
    raw = Network(import_graph(made, Formats(), x).spec).run(x > 0).raw
    matches = [SpikeMatch.of(spikes, found) for spikes, found in zip(expected, raw, strict=True)]
    assert matches[0].f1 >= 0.95 and matches[1].f1 >= 0.85
