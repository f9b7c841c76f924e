"""The torch network against the golden model, against plain autograd and against snnTorch."""

import warnings
from itertools import product

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from torch import Tensor, nn

from spikeveil.host.training.architecture import Architecture, Conv, Dense, Flatten, Pool, Readout, architecture_of
from spikeveil.host.training.network import SpikingNetwork
from spikeveil.host.training.neurons import Neuron
from spikeveil.host.training.surrogates import FastSigmoid, Triangular
from spikeveil.pysim import LayerSpec, Leak, Network, NetworkSpec

NEURONS = [
    Neuron(decay, 1.0, reset, FastSigmoid(3.0), detach, compare)
    for decay, reset, detach, compare in product((1.0, 0.75), ("zero", "subtract"), (False, True), ("ge", "gt"))
] + [
    Neuron(0.75, 1.0, reset, FastSigmoid(3.0), True, compare, "delayed")
    for reset, compare in product(("zero", "subtract"), ("ge", "gt"))
]


def currents(*shape: int, seed: int = 1) -> Tensor:
    """Multiples of 1/4, so that every sum is exact and some potentials meet the threshold."""
    return torch.randint(-4, 7, shape, generator=torch.Generator().manual_seed(seed)).double() / 4


@pytest.mark.parametrize("neuron", NEURONS, ids=str)
def test_a_window_is_the_equations_written_out(neuron: Neuron) -> None:
    current, weight = currents(6, 9, 5).requires_grad_(), currents(6, 9, 5, seed=2)
    found, gradients = [], []
    for run in (lambda: neuron.run(current, 9), lambda: neuron.reference(current)):
        spikes = run()
        gradients.append(torch.autograd.grad((spikes * weight).sum(), current)[0].numpy())
        found.append(spikes.detach().numpy())
    assert 0.1 < found[0].mean() < 0.9
    assert_array_equal(found[0], found[1])
    np.testing.assert_allclose(gradients[0], gradients[1], rtol=1e-12, atol=1e-12)


def test_a_constant_current_is_the_same_at_every_step() -> None:
    neuron, once = Neuron(0.5), currents(4, 1, 3).requires_grad_()
    (a, b) = neuron.run(once, 7), neuron.run(once.expand(4, 7, 3), 7)
    assert_array_equal(a.detach(), b.detach())
    gradients = [torch.autograd.grad(spikes.sum(), once)[0].numpy() for spikes in (a, b)]
    assert_array_equal(*gradients)


@pytest.mark.parametrize(("leak", "decay"), [(Leak.none(), 1.0), (Leak.shift(2), 0.75), (Leak.scale(3, 3), 0.375)])
@pytest.mark.parametrize("reset", ["zero", "subtract"])
@pytest.mark.parametrize("kind", ["counts", "membrane"])
def test_a_dense_network_is_the_golden_model(leak: Leak, decay: float, reset: str, kind: str) -> None:
    """With potentials that are multiples of 2^6 for two steps the integer leak loses nothing, so all must be equal."""
    generator = np.random.default_rng(5)
    weights = [64 * generator.integers(-2, 2, (7, 6)), 64 * generator.integers(-2, 2, (4, 7))]
    bias = 64 * generator.integers(-1, 2, 7)
    spikes = generator.random((50, 2, 6)) < 0.5
    last = {"readout": True} if kind == "membrane" else {"threshold": 64, "reset": reset}
    spec = NetworkSpec(
        [
            LayerSpec(weights[0], 64, leak, reset, bias=bias, weight_bits=8),  # type: ignore[arg-type]
            LayerSpec(weights[1], leak=leak, weight_bits=8, **last),  # type: ignore[arg-type]
        ]
    )
    neuron = Neuron(decay, 64.0, reset)  # type: ignore[arg-type]
    architecture = Architecture((6,), 4, 2, (Dense(7, neuron),), Readout(kind, neuron=neuron, bias=False))  # type: ignore[arg-type]
    assert architecture.exportable
    network = SpikingNetwork(architecture)
    with torch.no_grad():
        for parameter, value in zip(network.parameters(), (weights[0], bias, weights[1]), strict=True):
            parameter.copy_(torch.from_numpy(value))
    trace, golden = network.run(torch.from_numpy(spikes.astype(np.float32))), Network(spec).run(spikes)
    assert_array_equal(trace.spikes[0].detach().numpy(), golden.raw[0])
    if kind == "counts":
        assert_array_equal(trace.spikes[1].detach().numpy(), golden.raw[1])
        assert_array_equal(2 * trace.scores.detach().numpy(), golden.raw[1].sum(axis=1))
    else:
        assert_array_equal(2 * trace.scores.detach().numpy(), golden.readout[:, -1])


@pytest.mark.parametrize("reset", ["zero", "subtract"])
def test_snntorch_dialect_gives_snntorch_s_spikes_and_gradients(reset: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        snntorch = pytest.importorskip("snntorch")
    theirs = snntorch.Leaky(
        beta=0.75, threshold=1.0, reset_mechanism=reset, spike_grad=snntorch.surrogate.fast_sigmoid(slope=25)
    )
    current, weight = currents(6, 12, 5).float().requires_grad_(), currents(6, 12, 5, seed=2).float()
    memory, spikes = theirs.init_leaky(), []
    for t in range(12):
        spike, memory = theirs(current[:, t], memory)
        spikes.append(spike)
    neuron = Neuron(0.75, 1.0, reset, FastSigmoid(25), True, "gt", "delayed")  # type: ignore[arg-type]
    found = [torch.stack(spikes, dim=1), neuron.run(current, 12)]
    gradients = [torch.autograd.grad((one * weight).sum(), current)[0].numpy() for one in found]
    assert_array_equal(found[0].detach(), found[1].detach())
    np.testing.assert_allclose(gradients[0], gradients[1], rtol=1e-5, atol=1e-6)


def test_a_convolution_is_that_of_each_step() -> None:
    neuron = Neuron(0.5, surrogate=Triangular())
    layers = (Conv(4, 3, 2, 1, neuron), Pool(2, 1, "max"), Conv(3, 2, neuron=neuron), Pool(2, mode="sum"), Flatten())
    architecture = Architecture((2, 9, 9), 3, 5, layers)
    assert architecture.shapes == ((2, 9, 9), (4, 5, 5), (4, 4, 4), (3, 3, 3), (3, 1, 1), (3,))
    network = SpikingNetwork(architecture, seed=3, gain=3.0)
    x = (torch.rand(4, 5, 2, 9, 9, generator=torch.Generator().manual_seed(1)) < 0.4).float()
    trace = network.run(x)
    assert [tuple(one.shape) for one in trace.spikes] == [(4, 5, 4, 5, 5), (4, 5, 3, 3, 3)]
    first = network.layers[0].weights
    each = [nn.functional.conv2d(x[:, t], first.weight, first.bias, 2, 1) for t in range(5)]
    assert_array_equal(trace.spikes[0].detach(), neuron.run(torch.stack(each, dim=1), 5).detach())
    pooled = nn.functional.max_pool2d(trace.spikes[0].flatten(0, 1), 2, 1)
    assert_array_equal(network.layers[1](trace.spikes[0]).flatten(0, 1).detach(), pooled.detach())
    assert trace.scores.shape == (4, 3)


def test_an_ann_is_tanh_layer_by_layer() -> None:
    """By hand, in float64: convolution, tanh, max-pooling, dense, tanh, linear readout times its gain."""
    layers = (Conv(3, 3, 2, 1), Pool(2, 1, "max"), Flatten(), Dense(7))
    architecture = Architecture((1, 8, 8), 3, 1, layers, Readout(gain=2.0), "direct", "ann")
    network = SpikingNetwork(architecture, seed=3, gain=2.0).double()
    x = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    conv, dense, readout = network.layers[0].weights, network.layers[3].weights, network.readout.weights
    maps = nn.functional.max_pool2d(torch.tanh(nn.functional.conv2d(x, conv.weight, conv.bias, 2, 1)), 2, 1)
    scores = 2.0 * (torch.tanh(maps.flatten(1) @ dense.weight.T + dense.bias) @ readout.weight.T + readout.bias)
    trace = network.run(x)
    np.testing.assert_allclose(trace.scores.detach(), scores.detach(), rtol=1e-12)
    assert trace.spikes == trace.outputs == ()
    assert not architecture.exportable
    assert architecture_of(architecture.to_dict()) == architecture


class Invert(nn.Module):  # type: ignore[misc]
    """A flipper that flips everything."""

    def forward(self, spikes: Tensor) -> Tensor:
        return 1 - spikes


def test_a_tap_changes_what_the_next_layer_sees_and_nothing_before_it() -> None:
    architecture = Architecture((6,), 2, 4, (Dense(5), Dense(3)), Readout("counts", 2))
    x = (torch.rand(8, 4, 6, generator=torch.Generator().manual_seed(1)) < 0.5).float()
    plain = SpikingNetwork(architecture, seed=1, gain=2.0).run(x)
    tapped = SpikingNetwork(architecture, taps={0: Invert(), 2: Invert()}, seed=1, gain=2.0).run(x)
    assert_array_equal(tapped.spikes[0].detach(), plain.spikes[0].detach())
    assert_array_equal(tapped.outputs[0].detach(), 1 - plain.spikes[0].detach())
    assert not torch.equal(tapped.spikes[1], plain.spikes[1])
    assert_array_equal(tapped.outputs[1].detach(), tapped.spikes[1].detach())
    rates = tapped.outputs[2].mean(dim=1).unflatten(-1, (2, 2)).mean(dim=-1)
    assert_array_equal(tapped.scores.detach(), rates.detach())


def test_linear_layers_are_made_by_whoever_is_asked() -> None:
    class Own(nn.Linear):  # type: ignore[misc]
        pass

    network = SpikingNetwork(
        Architecture((6,), 2, 4, (Dense(5, bias=False),)), make_linear=lambda i, o, bias: Own(i, o, bias=bias)
    )
    assert [type(one) for one in (network.layers[0].weights, network.readout.weights)] == [Own, Own]
    assert network.layers[0].weights.bias is None


def test_the_same_seed_gives_the_same_weights() -> None:
    architecture = Architecture((6,), 2, 4, (Dense(5),))
    first, second, other = (
        torch.cat([one.flatten() for one in SpikingNetwork(architecture, seed=seed).parameters()]) for seed in (1, 1, 2)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_an_architecture_is_its_record() -> None:
    layers = (Conv(4, 3, 2, 1, Neuron(0.2, surrogate=Triangular(2.0))), Pool(2), Flatten(), Dense(8))
    architecture = Architecture((1, 28, 28), 10, 4, layers, Readout(gain=4.0), "direct")
    assert not architecture.exportable
    assert architecture_of(architecture.to_dict()) == architecture
    shared = architecture_of(
        {
            "shape": [6],
            "classes": 2,
            "steps": 3,
            "neuron": {"decay": 0.5, "surrogate": {"name": "triangular", "width": 2.0}},
            "layers": [{"kind": "dense", "neurons": 4, "neuron": {"decay": 0.25}}],
        }
    )
    assert shared.layers[0] == Dense(4, Neuron(0.25, surrogate=Triangular(2.0)))
    assert shared.readout.neuron == Neuron(0.5, surrogate=Triangular(2.0))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Neuron(decay=1.5), "neuron decay must be 0 to 1, not 1.5"),
        (lambda: Neuron(threshold=0), "neuron threshold must be above 0 and finite, not 0"),
        (
            lambda: Neuron(reset_timing="delayed"),
            "neuron detach_reset must be True where reset_timing is 'delayed', not False",
        ),
        (
            lambda: Architecture((1, 8, 8), 2, 4, (Dense(3),)),
            "architecture layer 0: dense input must be flat, not (1, 8, 8): put a Flatten before it",
        ),
        (
            lambda: Architecture((1, 8, 8), 2, 4, (Conv(3, 9),)),
            "architecture layer 0: conv kernel must fit the input (8, 8), not 9",
        ),
        (
            lambda: Architecture((1, 8, 8), 2, 4, (Conv(3, 3),)),
            "readout input must be flat, not (3, 6, 6): put a Flatten before it",
        ),
        (lambda: Readout("membrane", 2), "readout group must be 1 for kind 'membrane', not 2"),
        (
            lambda: SpikingNetwork(Architecture((6,), 2, 4, (Dense(3),)), taps={1: Invert()}),
            "network taps must follow a layer that fires, not layer 1",
        ),
        (
            lambda: SpikingNetwork(Architecture((6,), 2, 4, (Dense(3),), coding="direct"), taps={-1: Invert()}),
            "network taps must not be at -1 under direct coding, whose input is no spikes",
        ),
        (
            lambda: SpikingNetwork(Architecture((6,), 2, 4, (Dense(3),)))(torch.zeros(2, 3, 6)),
            "network input must have shape (batch, 4, 6), not (2, 3, 6)",
        ),
        (
            lambda: Architecture((6,), 2, 4, (Dense(3),), coding="direct", kind="ann"),
            "architecture steps must be 1 for kind 'ann', not 4",
        ),
        (
            lambda: Architecture((6,), 2, 1, (Dense(3),), kind="ann"),
            "architecture coding must be 'direct' for kind 'ann', not 'spikes'",
        ),
        (
            lambda: Architecture((6,), 2, 1, (Dense(3, Neuron(0.5)),), coding="direct", kind="ann"),
            "architecture neuron must be left out for kind 'ann', whose layers apply tanh",
        ),
        (
            lambda: SpikingNetwork(
                Architecture((6,), 2, 1, (Dense(3),), coding="direct", kind="ann"), taps={0: Invert()}
            ),
            "network taps must follow a layer that fires, not layer 0",
        ),
        (
            lambda: architecture_of({"shape": [6], "classes": 2, "layers": [{"kind": "dense", "neuron_count": 4}]}),
            "dense takes bias, neuron, neurons, not 'neuron_count'",
        ),
    ],
)
def test_a_refusal_is_one_sentence(make: object, sentence: str) -> None:
    with pytest.raises(ValueError) as refusal:
        make()  # type: ignore[operator]
    assert str(refusal.value) == sentence
