"""Quantisation: scales by hand and by law, and fake-quantised networks that spike as their integers do, bit for bit."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from spikeveil.host.data.encoders import direct, levels
from spikeveil.host.data.scikit import load_digits
from spikeveil.host.networks.digits_example import encode, held_out, load_float, load_network
from spikeveil.host.networks.float_model import FloatLayer, FloatNetwork
from spikeveil.host.networks.scales import closest_leak, fitting_exponent, integer_layer
from spikeveil.host.networks.search import quantise_network
from spikeveil.host.training.architecture import Architecture, Conv, Dense, Flatten, Pool, Readout
from spikeveil.host.training.clipping import MARGIN, HooksClipper
from spikeveil.host.training.export import quantised, specification
from spikeveil.host.training.flip_layer import FlipLayer
from spikeveil.host.training.layer_chain import layer_chain
from spikeveil.host.training.lowering import float_network
from spikeveil.host.training.network import SpikingNetwork
from spikeveil.host.training.neurons import Neuron
from spikeveil.host.training.quantise import Grid, QuantLinear, per_sample_gradients, register
from spikeveil.host.training.quantise_ann import quantised_ann
from spikeveil.host.training.quantised_neurons import QuantNeuron
from spikeveil.pysim import FlipSpec, LayerSpec, Leak, Network, NetworkSpec
from spikeveil.pysim.model import layer

RNG = np.random.default_rng(11)


# scales --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("decay", "leak"),
    [
        (1.0, Leak.none()),
        (0.5, Leak.shift(1)),
        (0.875, Leak.shift(3)),
        (1 - 2.0**-8, Leak.shift(8)),
        (0.2, Leak.scale(51, 8)),  # DPSNN's
        (0.0, Leak.scale(0, 8)),
        (1 - 2.0**-9, Leak.scale(256, 8)),  # 255.5, to the even one
    ],
)
def test_closest_leak_by_hand(decay: float, leak: Leak) -> None:
    assert closest_leak(decay) == leak


@pytest.mark.parametrize(
    ("weights", "bits", "exponent"),
    [
        ([[1.27, -1.0]], 8, 6),  # 81; 163 would not fit
        ([[127.49]], 8, 0),  # rounds to 127
        ([[127.5]], 8, -1),  # rounds to 128
        ([[-128.5]], 8, 0),  # halves to even: -128
        ([[0.9, -1.0]], 2, 0),  # 1, -1
        ([[0.2, -1.0]], 2, 1),  # 0, -2
        ([[0.0]], 4, 0),
        ([[1e-9]], 8, 24),
    ],
)
def test_fitting_exponent_by_hand(weights: list[list[float]], bits: int, exponent: int) -> None:
    assert fitting_exponent(np.array(weights), bits) == exponent


def test_integer_layer_by_hand() -> None:
    floats = FloatLayer([[0.5, -0.26], [3.0, -4.0]], [0.1, -0.1], 0.75, "subtract", np.array([1.0, 0.6]))
    spec = integer_layer(floats, 2, weight_bits=4)
    assert spec.weights.tolist() == [[2, -1], [7, -8]]  # 2, -1.04; 12 and -16 are cut
    assert spec.bias is None  # 0.4 and -0.4 round to nothing
    assert np.asarray(spec.threshold).tolist() == [4, 3]  # 4, and 2.4 upwards
    assert (spec.leak, spec.reset, spec.weight_bits) == (Leak.shift(2), "subtract", 4)
    after = FloatLayer(floats.weights, floats.bias, 0.75, "zero", np.array([1.0, 0.6]), compare="gt")
    assert np.asarray(integer_layer(after, 2).threshold).tolist() == [5, 3]  # above 4; above 2.4
    assert np.asarray(integer_layer(floats, np.array([2, 0])).weights).tolist() == [[2, -1], [3, -4]]
    assert integer_layer(FloatLayer([[1.0]], [3.0], 1.0, "zero", 0.01), 0).threshold == 1


@settings(derandomize=True, deadline=None, max_examples=40)
@given(st.integers(-2, 8), st.sampled_from(["ge", "gt"]), st.sampled_from(["zero", "subtract"]), st.integers(0, 2**32))
def test_floats_that_are_integers_of_the_scale_keep_their_spikes(
    exponent: int, compare: str, reset: str, seed: int
) -> None:
    """IF neurons whose weights, biases and (for subtraction) thresholds are multiples of 2^-exponent: no rounding."""
    rng = np.random.default_rng(seed)
    unit = 2.0**-exponent
    fraction = 0.0 if reset == "subtract" or compare == "gt" else rng.choice([0.0, 0.3])
    floats = FloatLayer(
        rng.integers(-128, 128, (6, 9)) * unit,
        rng.integers(-20, 20, 6) * unit,
        1.0,
        reset,
        (rng.integers(1, 200, 6) + fraction) * unit,
        compare=compare if reset == "zero" else "ge",
    )
    x = rng.random((4, 12, 9)) < 0.4
    spec = integer_layer(floats, exponent)
    np.testing.assert_array_equal(layer.run(x, spec).raw, floats.run(x))
    each = np.array([exponent, exponent + 1] * 3)
    if np.abs(floats.weights * 2.0 ** (exponent + 1)).max() <= 127:
        np.testing.assert_array_equal(layer.run(x, integer_layer(floats, each)).raw, floats.run(x))


def test_quantise_network_finds_good_scales_of_its_own() -> None:
    x, labels = held_out()
    found = quantise_network(load_float(), encode(load_digits().train_images[:300]))
    assert all(report.integer_range[0] >= -128 and report.integer_range[1] <= 127 for report in found.reports)
    assert min(report.match.f1 for report in found.reports if report.match) > 0.97
    raw = Network(found.spec).run(x).raw[-1]
    right = (raw.reshape(len(x), 16, 10, 4).sum(axis=(1, 3)).argmax(axis=1) == labels).mean()
    assert right >= 0.98


def test_a_report_states_what_happened() -> None:
    floats = FloatNetwork((FloatLayer([[1.0], [-3.0]], [0.0, 0.0], 1.0, "zero", 2.0),))
    x = np.ones((1, 40, 1), bool)
    report = quantise_network(floats, x, weight_bits=2, state_bits=5, exponents=[0]).reports[0]
    assert (report.float_range, report.integer_range) == ((-3.0, 1.0), (-2, 1))
    assert report.clipped == 0.5
    assert report.threshold == (2, 2)
    assert report.potential_range == (-16, 1)
    assert report.saturated == pytest.approx((40 - 7) / 80)  # the second neuron reaches -16 after 8 steps of -2
    assert report.match is not None and (report.match.exact_f1, report.float_rate) == (1.0, 0.25)


def test_a_readout_takes_one_scale_and_keeps_its_order() -> None:
    rng = np.random.default_rng(3)
    floats = FloatNetwork((FloatLayer(rng.normal(size=(4, 8)), rng.normal(size=4), 0.875, "zero", readout=True),))
    x = rng.random((30, 10, 8)) < 0.5
    found = quantise_network(floats, x, per_neuron=True)
    assert found.spec.layers[0].readout and found.reports[0].threshold is None
    assert (found.reports[0].correlation or 0) > 0.999


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: closest_leak(1.5), "decay must be 0 to 1, not 1.5"),
        (lambda: fitting_exponent(np.array([[1e10]]), 8), "weights must fit 8 bits at an exponent of -24 or more, "
         "not reach 10000000000.0"),
        (lambda: integer_layer(FloatLayer([[1.0]], [0.0], 1.0, "zero"), 25),
         "exponent must be -24 to 24, not 25 to 25"),
        (lambda: integer_layer(FloatLayer([[1.0]], [0.0], 1.0, "zero"), np.array([1, 2])),
         "exponent must be an integer or (1,) of them, not array([1, 2])"),
        (lambda: integer_layer(FloatLayer([[1.0]], [0.0], 1.0, "zero", readout=True), np.array([1])),
         "exponent must be one for a readout, whose neurons are compared, not one a neuron"),
        (lambda: integer_layer(FloatLayer([[1.0]], [1e9], 1.0, "zero"), 8),
         "layer bias must be within 2147483647 once scaled, not 256000000000"),
        (lambda: quantise_network(load_float(), np.zeros((1, 1, 64), bool), weight_bits=[8]),
         "weight bits must be 2, one a layer, not 1"),
        (lambda: FloatLayer([[1.0]], [0.0], 1.0, "zero", 0.0), "float layer threshold must be above 0, not 0.0"),
        (lambda: FloatLayer([[1.0]], [0.0, 1.0], 1.0, "zero"), "float layer bias must have shape (1,), not (2,)"),
        (lambda: FloatLayer([[np.inf]], [0.0], 1.0, "zero"), "float layer weights must be finite numbers, not inf"),
        (lambda: FloatLayer([[1.0]], [0.0], -0.5, "zero"), "float layer decay must be 0 to 1, not -0.5"),
        (lambda: FloatLayer([1.0], [0.0], 1.0, "zero"),
         "float layer weights must have shape (neurons, inputs), not (1,)"),
    ],
)  # fmt: skip
def test_refusals_of_scales(make: Any, sentence: str) -> None:
    with pytest.raises(ValueError) as caught:
        make()
    assert str(caught.value) == sentence


# the integers in torch -----------------------------------------------------------------------------------------------

FINEST = Leak.scale(40001, 16)
LEAKS = [Leak.none(), Leak.shift(1), Leak.shift(3), Leak.scale(51, 8), Leak.scale(256, 8), FINEST,
         Leak.shift(2, "nearest"), Leak.scale(51, 8, "nearest"), Leak.scale(255, 8, "nearest")]  # fmt: skip


def random_layer(rng: np.random.Generator, state_bits: int, leak: Leak, reset: Any, exponent: int) -> LayerSpec:
    """Weights, biases and a threshold that make potentials reach the limits of small states."""
    bits = int(rng.integers(2, 9))
    half = 1 << (bits - 1)
    return LayerSpec(
        rng.integers(-half, half, (7, 10)),
        int(rng.integers(1, 2 << max(1, state_bits - 2))),
        leak,
        reset,
        bias=rng.integers(-half, half, 7),
        state_bits=state_bits,
        weight_bits=bits,
    )


@settings(derandomize=True, deadline=None, max_examples=120)
@given(
    st.integers(2, 16),
    st.sampled_from(LEAKS),
    st.sampled_from(["zero", "subtract"]),
    st.integers(-3, 9),
    st.booleans(),
    st.integers(0, 2**32),
)
def test_torch_computes_the_specification(
    state_bits: int, leak: Leak, reset: Any, exponent: int, double: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    spec = random_layer(rng, state_bits, leak, reset, exponent)
    dtype = torch.float64 if double or leak == FINEST else torch.float32
    linear = QuantLinear(10, 7, Grid(exponent, spec.weight_bits)).to(dtype)
    with torch.no_grad():
        linear.weight.copy_(torch.from_numpy(spec.weights * 2.0**-exponent + rng.uniform(-0.4, 0.4) * 2.0**-exponent))
        linear.bias.copy_(torch.from_numpy(np.asarray(spec.bias) * 2.0**-exponent))
    assert isinstance(spec.threshold, int)
    neuron = QuantNeuron(leak.decay, spec.threshold * 2.0**-exponent, reset,
                         exponent=exponent, leak=leak, state_bits=state_bits)  # fmt: skip
    x = rng.random((3, 9, 10)) < 0.5
    current = linear(torch.from_numpy(x).to(dtype))
    np.testing.assert_array_equal(neuron.run(current, 9).detach().numpy() == 1, layer.run(x, spec).raw)
    readout = LayerSpec(spec.weights, leak=leak, bias=spec.bias, state_bits=state_bits, weight_bits=8, readout=True)
    potentials = neuron.accumulate(current).detach().numpy() * 2.0**exponent
    np.testing.assert_array_equal(potentials, layer.run(x, readout).potentials[:, -1])


def test_saturation_was_reached() -> None:
    """The strategy above is no test of saturation unless potentials saturate."""
    spec = random_layer(np.random.default_rng(0), 5, Leak.shift(1), "subtract", 0)
    potentials = layer.run(np.random.default_rng(1).random((3, 9, 10)) < 0.5, spec).potentials
    assert (potentials == -16).any() or (potentials == 15).any()


def small_network(readout: Readout, seed: int = 0, bias: bool = True) -> SpikingNetwork:
    neuron = Neuron(0.875, 1.0, "subtract")
    layers = (Dense(20, neuron, bias), Dense(12, Neuron(1.0, 1.0, "zero")))
    return SpikingNetwork(Architecture((16,), 4, 8, layers, readout), seed=seed, gain=2.0)


@pytest.mark.parametrize("weight_bits", [2, 3, 5, 8])
@pytest.mark.parametrize("readout", [Readout("counts", 2, Neuron(0.75, 1.0, "zero")), Readout("membrane")])
def test_an_exported_network_spikes_as_the_quantised_one(weight_bits: int, readout: Readout) -> None:
    network = small_network(readout, weight_bits)
    x = np.random.default_rng(weight_bits).random((50, 8, 16)) < 0.4
    twin = quantised(network, x, weight_bits=weight_bits, state_bits=9)
    spec = specification(twin)
    trace, result = twin.run(torch.from_numpy(x).float()), Network(spec).run(x)
    for torch_spikes, raw in zip(trace.spikes, result.raw, strict=False):
        np.testing.assert_array_equal(torch_spikes.detach().numpy() == 1, raw)
    assert result.raw[0].any() and result.raw[1].any()
    if result.readout is not None:
        scores = trace.scores.detach().numpy() * 8 * 2.0**twin.readout.neuron.exponent
        np.testing.assert_array_equal(scores, result.readout[:, -1])
    assert {layer.weight_bits for layer in spec.layers} == {weight_bits}
    assert {layer.state_bits for layer in spec.layers} == {9}


CONVOLUTIONS = {
    "means": (Conv(3, 3, padding=1), Pool(2), Conv(4, 2, stride=2, neuron=Neuron(0.5)), Flatten()),
    "thirds": (Conv(3, 3, padding=1), Pool(3), Conv(2, 2), Flatten(), Dense(9)),
    "sums, or": (Pool(2, mode="sum"), Conv(5, 2), Pool(2, 1, "max"), Flatten(), Dense(9)),
    "two poolings": (Conv(3, 1), Pool(2), Pool(2, mode="sum"), Flatten()),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
@pytest.mark.parametrize("weight_bits", [3, 8])
@pytest.mark.parametrize("flips", [(), (-1, 0)], ids=["no flipper", "flippers"])
@pytest.mark.parametrize("readout", [Readout("counts", 2), Readout("membrane", neuron=Neuron(0.75))])
def test_an_exported_convolution_spikes_as_the_quantised_one(
    name: str, weight_bits: int, flips: tuple[int, ...], readout: Readout
) -> None:
    """Before and after a step of training on; where flippers stand, the released spikes of torch go on in both."""
    layers = CONVOLUTIONS[name]
    places = [place for place in flips if place < 0 or isinstance(layers[place], Conv)]
    taps = {place: Fixed(FlipSpec(69, 8)) for place in places}
    network = SpikingNetwork(Architecture((2, 8, 8), 3, 8, layers, readout), seed=1, gain=6.0, taps=taps)
    x = np.random.default_rng(2).random((20, 8, 2, 8, 8)) < 0.3
    twin = quantised(network, x.reshape(20, 8, -1), weight_bits=weight_bits, state_bits=12)
    before = specification(twin)
    same_spikes(twin, before, x)
    functional.cross_entropy(twin(torch.from_numpy(x).float()), torch.arange(20) % 3).backward()
    with torch.no_grad():
        for parameter in twin.parameters():
            assert parameter.grad is not None and parameter.grad.any()
            parameter -= 0.5 * parameter.grad.sign()
    after = specification(twin)
    assert after != before
    same_spikes(twin, after, x)


class Fixed(FlipLayer):
    """A flipper that draws the same masks each time, so that the model can be given what torch's layers were."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mask = np.random.default_rng(5).random(tuple(x.shape)) < float(self.flip.flip_probability)
        return (x - torch.from_numpy(mask).to(x.dtype)).abs()


def same_spikes(twin: SpikingNetwork, spec: NetworkSpec, x: Any) -> None:
    """Layer by layer: each of the specification, given what torch's own was given, spikes as it does."""
    trace = twin.run(torch.from_numpy(x).float())
    given = twin._tapped(-1, torch.from_numpy(x).float()).detach().numpy().reshape(20, 8, -1) == 1
    layers = iter(spec.layers[1:] if -1 in map(int, twin.taps) else spec.layers)
    firing = iter(zip(trace.spikes, trace.outputs, strict=True))
    for chain_layer in layer_chain(twin):
        found = layer.run(given, next(layers))
        if chain_layer.is_or:
            given = found.raw
        elif chain_layer.module is twin.readout and twin.architecture.readout.kind == "membrane":
            scores = trace.scores.detach().numpy() * 8 * 2.0**twin.readout.neuron.exponent
            np.testing.assert_array_equal(scores, found.potentials[:, -1])
        else:
            spikes, passed = (one.detach().numpy().reshape(20, 8, -1) == 1 for one in next(firing))
            np.testing.assert_array_equal(spikes, found.raw)
            assert spikes.any() and not spikes.all()
            given = passed
    assert next(layers, None) is None


def test_float_network_is_the_torch_one() -> None:
    network = small_network(Readout("counts", 2, Neuron(0.75, 1.0, "zero")), bias=False)
    x = np.random.default_rng(0).random((40, 8, 16)) < 0.4
    trace = network.run(torch.from_numpy(x).float())
    for ours, theirs in zip(float_network(network).run(x), trace.spikes, strict=True):
        assert (ours == (theirs.detach().numpy() == 1)).mean() > 0.999  # float32 sums may be added in another order


@pytest.mark.parametrize(
    "layers",
    [
        (Conv(3, 3, padding=1), Pool(2), Conv(4, 2, stride=2, neuron=Neuron(0.5)), Flatten()),
        (Pool(2, mode="sum"), Conv(5, 2), Pool(2, 1, "max"), Flatten(), Dense(9)),
        (Flatten(), Dense(7)),
    ],
)
@pytest.mark.parametrize("readout", [Readout("counts", 2), Readout("membrane", neuron=Neuron(0.75))])
def test_convolutions_and_pooling_become_matrices(layers: tuple[Any, ...], readout: Readout) -> None:
    """Against torch's own convolutions and pooling, in which float32 sums may come in another order."""
    network = SpikingNetwork(Architecture((2, 8, 8), 3, 6, layers, readout), seed=1, gain=2.5)
    torch.nn.init.normal_(network.readout.weights.bias, std=0.2)
    x = np.random.default_rng(2).random((20, 6, 2, 8, 8)) < 0.3
    trace = network.run(torch.from_numpy(x).float())
    scores = float_network(network).scores(x.reshape(20, 6, -1), 3)
    expected = trace.scores.detach().numpy() * (6 if readout.kind == "membrane" else 12)
    assert trace.spikes[0].any()
    assert np.isclose(scores, expected, atol=1e-4).all(axis=1).mean() >= 0.95


@pytest.mark.parametrize("planes", [2, 8])
def test_direct_coding_becomes_planes_of_bits(planes: int) -> None:
    layers = (Dense(12, Neuron(0.5)),)
    network = SpikingNetwork(Architecture((64,), 10, 5, layers, Readout("membrane"), "direct"), seed=3, gain=2.0)
    images = load_digits().test_images[:30]
    x = direct(images, 5, 16, planes)
    scores = float_network(network, planes).scores(x, 10)
    expected = network(torch.from_numpy(levels(images, 16, planes))).detach().numpy() * 5
    assert np.isclose(scores, expected, atol=1e-4).all(axis=1).mean() >= 0.9


# gradients -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reset", ["zero", "subtract"])
@pytest.mark.parametrize("detach", [False, True])
def test_where_nothing_rounds_or_saturates_gradients_are_those_of_the_float_neuron(reset: Any, detach: bool) -> None:
    plain = Neuron(1.0, 1.0, reset, detach_reset=detach)
    exact = QuantNeuron.of(plain, 4, Leak.none())
    values = torch.from_numpy(RNG.integers(-16, 24, (3, 9, 5)) / 16.0)
    weights = torch.from_numpy(RNG.normal(size=(3, 9, 5)))
    gradients = []
    for neuron in (plain, exact):
        current = values.clone().requires_grad_()
        (neuron.run(current, 9) * weights).sum().backward()
        gradients.append(current.grad)
    np.testing.assert_array_equal(*gradients)


def test_a_saturated_potential_passes_no_gradient_on() -> None:
    neuron = QuantNeuron(1.0, 100.0, "zero", exponent=0, leak=Leak.none(), state_bits=4)
    current = torch.tensor([[[3.0], [7.0], [1.0]]], requires_grad=True)  # v: 3, 7 (10 was cut), 7
    neuron.accumulate(current).sum().backward()
    assert current.grad is not None
    assert current.grad.flatten().tolist() == [0.0, 0.0, 0.0]  # 7 + 1 was cut as well
    current = torch.tensor([[[3.0], [7.0], [-1.0]]], requires_grad=True)
    neuron.accumulate(current).sum().backward()
    assert current.grad is not None
    assert current.grad.flatten().tolist() == [0.0, 0.0, 1.0]


def test_straight_through_by_hand() -> None:
    """2 bits at exponent 0: -2 to 1. Rounding passes the gradient on, cutting does not."""
    linear = QuantLinear(4, 1, Grid(0, 2))
    with torch.no_grad():
        linear.weight.copy_(torch.tensor([[0.6, -1.5, 1.6, -3.0]]))
        linear.bias.copy_(torch.tensor([0.4]))
    out = linear(torch.tensor([[1.0, 1.0, 1.0, 1.0]]))
    assert out.tolist() == [[1 - 2 + 1 - 2 + 0]]
    out.backward(torch.tensor([[5.0]]))
    assert linear.weight.grad.tolist() == [[5.0, 5.0, 0.0, 0.0]]
    assert linear.bias.grad.tolist() == [5.0]


@pytest.mark.parametrize("flip", [None, FlipSpec(69, 8)])
@pytest.mark.parametrize("steps", [(), (6,)])
def test_per_sample_gradients_are_those_of_each_sample_alone(flip: FlipSpec | None, steps: tuple[int, ...]) -> None:
    torch.manual_seed(1)
    linear = QuantLinear(5, 3, Grid(4, 5, flip)).double()  # some of these weights are cut
    x, weights = torch.rand(7, *steps, 5).double().round(), torch.randn(7, *steps, 3).double()
    found = per_sample_gradients(linear, [x], weights)
    for index in range(7):
        linear.zero_grad()
        (linear(x[index : index + 1]) * weights[index : index + 1]).sum().backward()
        for parameter in (linear.weight, linear.bias):
            torch.testing.assert_close(found[parameter][index], parameter.grad)


@pytest.mark.filterwarnings("ignore:Full backward hook is firing")  # as the data need no gradient, which is so
def test_opacus_takes_the_layer() -> None:
    from opacus import GradSampleModule

    register()
    torch.manual_seed(2)
    model = nn.Sequential(QuantLinear(6, 4, Grid(5, 8, FlipSpec(69, 8))), QuantLinear(4, 2, Grid(5, 8)))
    x, labels = torch.rand(9, 3, 6).round(), torch.arange(9) % 2
    wrapped = GradSampleModule(model, loss_reduction="sum")
    functional.cross_entropy(wrapped(x).sum(dim=1), labels, reduction="sum").backward()
    samples = [parameter.grad_sample.clone() for parameter in model.parameters()]
    wrapped.remove_hooks()
    for index in range(9):
        model.zero_grad()
        functional.cross_entropy(model(x[index : index + 1]).sum(dim=1), labels[index : index + 1]).backward()
        for parameter, sample in zip(model.parameters(), samples, strict=True):
            torch.testing.assert_close(sample[index], parameter.grad)


# refusals ------------------------------------------------------------------------------------------------------------


def convolutional(*layers: Any, taps: dict[int, nn.Module] | None = None) -> SpikingNetwork:
    return SpikingNetwork(Architecture((1, 4, 4), 2, 3, (*layers, Flatten()), Readout("counts")), taps=taps)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Grid(0, 9), "weight bits must be 2 to 8, not 9"),
        (lambda: Grid(30), "grid exponent must be -24 to 24, not 30"),
        (lambda: Grid(0, 8, FlipSpec(128, 8)),
         "grid debias must flip with a probability under 1/2: at 1/2 the released spikes say nothing"),
        (lambda: QuantNeuron(0.9, leak=Leak.shift(3)),
         "neuron decay must be that of the leak v - (v >> 3), 0.875, not 0.9"),
        (lambda: QuantNeuron(threshold=0.3, exponent=3), "neuron threshold must be a multiple of 2^-3, not 0.3"),
        (lambda: QuantNeuron(compare="gt"),
         "a quantised neuron must compare 'ge' and reset immediately, as the specification does"),
        (lambda: QuantNeuron(FINEST.decay, leak=FINEST).run(torch.zeros(1, 2, 3), 2),
         "neuron leak must be exact: 16 state bits need 31 bits of significand, and torch.float32 has 24; "
         "use model.double()"),
        (lambda: specification(small_network(Readout("membrane"))), "layer 0 must be quantised first: see `quantised`"),
        (lambda: specification(convolutional(Conv(2, 3))), "layer 0 must be quantised first: see `quantised`"),
        (lambda: layer_chain(convolutional(Conv(2, 2), Pool(2, 1))),
         "layer 1 stride must be at least its kernel, 2, not 1: where squares overlap, weights add up past their bits"),
        (lambda: layer_chain(convolutional(Pool(2), Pool(2, mode="max"))),
         "layer 1 must pool raw spikes to be an OR, not what another pooling gave"),
        (lambda: layer_chain(convolutional(Conv(2, 2), Pool(2, mode="max"), taps={0: FlipLayer(FlipSpec(69, 8))})),
         "layer 1 must pool raw spikes to be an OR, not flipped ones, whose bias an OR cannot undo"),
        (lambda: float_network(SpikingNetwork(Architecture((4,), 2, 3, (), coding="direct"))),
         "network coding must be 'spikes', as a chip takes spikes: for one of coding 'direct' say how many planes of "
         "bits a pixel has, and for no other, not None"),
        (lambda: float_network(quantised(small_network(Readout()), np.zeros((1, 8, 16), bool))),
         "layer 2 must be one of floats, not a QuantMembrane"),
        (lambda: specification(quantised(small_network(Readout()), np.zeros((1, 8, 16), bool), state_bits=26)),
         "layer 0 must be trained in double precision: its potentials need 26 bits of significand, and torch.float32 "
         "has 24"),
    ],
)  # fmt: skip
def test_refusals(make: Any, sentence: str) -> None:
    with pytest.raises(ValueError) as caught:
        make()
    assert str(caught.value) == sentence


def test_wide_states_are_exact_in_double_precision() -> None:
    network = small_network(Readout("membrane")).double()
    x = np.random.default_rng(4).random((20, 8, 16)) < 0.4
    twin = quantised(network, x, state_bits=30)
    raw = Network(specification(twin)).run(x).raw
    for torch_spikes, ours in zip(twin.run(torch.from_numpy(x).double()).spikes, raw, strict=False):
        np.testing.assert_array_equal(torch_spikes.detach().numpy() == 1, ours)


def test_the_example_of_the_package_is_a_network_of_its_own_scale() -> None:
    """Its integers were made by a factor of 100, before there were powers of two: it stays as it is."""
    assert load_network().layers[0].threshold == 100


def test_float_files_keep_every_field(tmp_path: Any) -> None:
    one = FloatLayer([[1.0, 2.0]], [0.5], 0.5, "zero", np.array([2.5]), compare="gt")
    network = FloatNetwork((one, FloatLayer([[1.0]], [0.0], 1.0, "zero", readout=True)))
    network.save(tmp_path / "net.npz")
    first, last = FloatNetwork.load(tmp_path / "net.npz").layers
    assert (np.asarray(first.threshold).tolist(), first.compare, first.readout) == ([2.5], "gt", False)
    assert (np.asarray(last.threshold).tolist(), last.compare, last.readout) == (1.0, "ge", True)
    (tmp_path / "other.npz").write_bytes(b"PK\3\4")
    with pytest.raises(ValueError, match=r"float network file .*other\.npz must be one that `save` wrote"):
        FloatNetwork.load(tmp_path / "other.npz")


# an ANN by the same quantisers ---------------------------------------------------------------------------------------


def ann(*layers: Any) -> SpikingNetwork:
    architecture = Architecture((1, 6, 6), 3, 1, layers, coding="direct", kind="ann")
    return SpikingNetwork(architecture, seed=4, gain=2.0)


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_an_ann_has_integer_weights_on_the_same_grids(bits: int) -> None:
    network = ann(Conv(3, 3), Pool(2, 1, "max"), Flatten(), Dense(5))
    twin = quantised_ann(network, weight_bits=bits)
    x = torch.rand(7, 1, 6, 6, generator=torch.Generator().manual_seed(1))
    integers = []
    for module, height in ((twin.layers[0], 6), (twin.layers[3], 0), (twin.readout, 0)):
        held = module.weights
        weights, bias = held.rounded(height, height) if height else held.rounded()
        scaled = weights.detach() * 2.0**held.grid.exponent
        assert torch.equal(scaled, scaled.round())
        assert -(1 << (bits - 1)) <= float(scaled.min()) <= float(scaled.max()) < 1 << (bits - 1)
        integers.append((weights, bias))
    (conv, one), (dense, two), (last, three) = integers
    maps = torch.nn.functional.conv2d(x, conv) + one
    hidden = torch.nn.functional.max_pool2d(torch.tanh(maps), 2, 1).flatten(1)
    scores = torch.tanh(hidden @ dense.T + two) @ last.T + three
    np.testing.assert_allclose(twin(x).detach(), scores.detach(), rtol=1e-5, atol=1e-6)
    if bits == 8:
        np.testing.assert_allclose(twin(x).detach(), network(x).detach(), atol=0.1)


def test_a_dense_ann_of_integers_learns_under_dp_sgd() -> None:
    """Opacus' hooks give a QuantLinear's per-sample gradients in an ANN as in an SNN: against a loop, in float64."""
    register()
    architecture = Architecture((6,), 3, 1, (Dense(5),), coding="direct", kind="ann")
    twin = quantised_ann(SpikingNetwork(architecture, seed=4, gain=2.0).double(), weight_bits=4)
    x, labels = torch.rand(8, 6, dtype=torch.float64), torch.arange(8) % 3

    def loss(scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(scores, labels, reduction="none")

    wanted = [torch.zeros_like(one) for one in twin.parameters()]
    for one, label in zip(x, labels, strict=True):
        parts = torch.autograd.grad(loss(twin(one[None]), label[None]).sum(), tuple(twin.parameters()))
        factor = min(1.0, 0.1 / math.sqrt(sum(float((part**2).sum()) for part in parts))) / (1 + MARGIN)
        wanted = [total + factor * part for total, part in zip(wanted, parts, strict=True)]
    found = HooksClipper(twin, 0.1).sums(x, labels, loss)
    for total, truth in zip(found, wanted, strict=True):
        np.testing.assert_allclose(total.numpy(), truth.numpy(), rtol=1e-6, atol=1e-9)


def test_what_is_no_ann_or_no_snn_is_refused() -> None:
    snn = SpikingNetwork(Architecture((6,), 2, 4, (Dense(3),)))
    with pytest.raises(ValueError, match="network kind must be 'ann': an SNN is quantised by `quantised`"):
        quantised_ann(snn)
    with pytest.raises(ValueError, match="weight_bits must be 2, one for each layer with weights, not 3"):
        quantised_ann(ann(Flatten(), Dense(3)), weight_bits=(8, 8, 8))
    for refuse in (lambda: float_network(ann(Flatten(), Dense(3)), 4), lambda: layer_chain(ann(Flatten(), Dense(3)))):
        with pytest.raises(ValueError, match="network kind must be 'snn', not 'ann': a chip computes spikes"):
            refuse()
