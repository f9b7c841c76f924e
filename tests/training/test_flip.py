"""The flipper in the loop: flips, debiasing and gradients by law, and networks that learn to live with it."""

import itertools
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from spikeveil.host.data import encoder, load_digits, load_iris
from spikeveil.host.networks.float_model import FloatLayer, FloatNetwork
from spikeveil.host.networks.scales import with_output
from spikeveil.host.privacy import Unit
from spikeveil.host.training.accuracy_plots import utility_plot
from spikeveil.host.training.accuracy_study import (
    StudySetting,
    chip_architecture,
    claim_of,
    float_trained,
    output_study,
    released,
    study,
    tuned,
    with_flip,
)
from spikeveil.host.training.export import folded, quantised, relay, specification
from spikeveil.host.training.flip_layer import FlipLayer, flip_layers
from spikeveil.host.training.layer_chain import tap_flips
from spikeveil.host.training.network import SpikingNetwork
from spikeveil.host.training.quantise import Grid, QuantLinear
from spikeveil.host.training.recipe import Recipe, fit, raw_accuracy, released_accuracies
from spikeveil.pysim import FlipSpec, Network, TriviumSource
from spikeveil.pysim.model import layer

FLIP = FlipSpec(69, 8)  # epsilon 0.997 of one spike
STEPS = 16
rate = encoder("rate", STEPS, 16)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Products this small take longer in several threads, the more so beside other tests."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


# the flipper ---------------------------------------------------------------------------------------------------------


def test_it_flips_as_often_as_it_says() -> None:
    torch.manual_seed(5)
    spikes = (torch.rand(400, 500) < 0.3).float()
    flipped = (FlipLayer(FLIP)(spikes) != spikes).float().mean().item()
    assert abs(flipped - 69 / 256) < 5 * np.sqrt(69 / 256 * 187 / 256 / 200_000)
    ones = FlipLayer(FLIP)(torch.ones(100_000)).mean().item()
    assert abs(ones - 187 / 256) < 5 * np.sqrt(69 / 256 * 187 / 256 / 100_000)


def test_an_open_flipper_changes_nothing() -> None:
    flipper = FlipLayer(FLIP)
    flipper.open = True
    spikes = torch.ones(3, 4)
    assert flipper(spikes) is spikes
    assert flipper.debiased(spikes).tolist() == spikes.tolist()
    assert flip_layers(torch.nn.Sequential(flipper)) == [flipper]


def test_the_gradient_is_that_of_the_expectation() -> None:
    spikes = torch.zeros(5, requires_grad=True)
    flipper = FlipLayer(FLIP)
    flipper(spikes).sum().backward()
    assert spikes.grad is not None
    assert spikes.grad.tolist() == [1 - 2 * 69 / 256] * 5
    assert flipper.debiased(torch.tensor([1.0, 0.0])).tolist() == pytest.approx([187 / 118, -69 / 118])


def test_debiasing_is_folded_without_bias() -> None:
    """Over every pattern of flips, exactly: the mean of W' y + b' is W s + b."""
    p = FLIP.flip_probability
    weights = np.array([[0.5, -0.25, 0.75], [1.0, 2.0, -1.5]], np.float32)
    network = FloatNetwork((FloatLayer(weights, np.array([0.25, -1.0]), 1.0, "zero"),))
    (found,) = folded(network, [FLIP, None]).layers
    for s in itertools.product((0, 1), repeat=3):
        mean = np.zeros(2)
        for mask in itertools.product((0, 1), repeat=3):
            share = float(np.prod([p if flipped else 1 - p for flipped in mask], dtype=object) or Fraction(0))
            y = np.logical_xor(s, mask)
            mean += share * (found.weights.astype(np.float64) @ y + found.bias)
        np.testing.assert_allclose(mean, weights @ np.array(s) + [0.25, -1.0], atol=1e-6)


def test_debiased_integers_are_off_by_rounding_alone() -> None:
    torch.manual_seed(7)
    linear = QuantLinear(30, 6, Grid(5, 8, FLIP))
    values = (*linear.rounded(), linear.weight, linear.bias)
    weights, bias, latent, latent_bias = (value.detach().double().numpy() for value in values)
    p = 69 / 256
    np.testing.assert_array_equal(weights * 32, np.rint(weights * 32))
    np.testing.assert_allclose(weights, latent / (1 - 2 * p), atol=0.5 / 32 + 1e-6)
    np.testing.assert_allclose(bias, latent_bias - p * weights.sum(axis=1), atol=0.5 / 32 + 1e-6)


# networks ------------------------------------------------------------------------------------------------------------


def network_with(places: dict[int, FlipSpec], seed: int = 0) -> SpikingNetwork:
    taps = {place: FlipLayer(flip) for place, flip in places.items()}
    return SpikingNetwork(chip_architecture(16, 12, 3, 8, 2), taps=taps, seed=seed, gain=2.0)


@pytest.mark.parametrize(
    "places", [{0: FLIP}, {1: FLIP}, {-1: FLIP}, {-1: FlipSpec(3, 4), 0: FLIP, 1: FlipSpec(1, 1 + 3)}]
)
def test_flippers_of_the_network_become_those_of_the_chip(places: dict[int, FlipSpec]) -> None:
    x = np.random.default_rng(1).random((30, 8, 16)) < 0.4
    twin = quantised(network_with(places), x, weight_bits=5)
    spec = specification(twin)
    assert tap_flips(twin) == [places.get(place) for place in (-1, 0, 1)]
    assert [layer.flip for layer in spec.layers[-2:]] == [places.get(0), places.get(1)]
    assert len(spec.layers) == 2 + (-1 in places)
    for flipper in flip_layers(twin):
        flipper.open = True
    trace = twin.run(torch.from_numpy(x).float())
    current = x
    for raw, part in zip(
        trace.spikes, spec.layers[-2:], strict=True
    ):  # each layer on spikes that did not pass a flipper
        np.testing.assert_array_equal(raw.detach().numpy() == 1, layer.run(current, part).raw)
        current = raw.detach().numpy() == 1


def test_released_spikes_reach_the_next_layer_alike_in_torch_and_on_the_chip() -> None:
    """The chip's own released spikes, put in the place of torch's flips: every spike behind them is the same."""

    class Replayed(FlipLayer):
        def forward(self, spikes: torch.Tensor) -> torch.Tensor:
            return torch.from_numpy(sent).float()

    x = np.random.default_rng(2).random((40, 8, 16)) < 0.4
    twin = quantised(network_with({0: FLIP}), x, weight_bits=4)
    result = Network(specification(twin), TriviumSource(b"0123456789")).run(x, lease=7)
    sent = result.sent[0]
    twin.taps["0"] = Replayed(FLIP)
    trace = twin.run(torch.from_numpy(x).float())
    np.testing.assert_array_equal(trace.spikes[0].detach().numpy() == 1, result.raw[0])
    np.testing.assert_array_equal(trace.spikes[1].detach().numpy() == 1, result.released)
    assert (sent != result.raw[0]).any()


def test_a_relay_passes_what_it_gets() -> None:
    x = np.random.default_rng(3).random((5, 9, 11)) < 0.5
    np.testing.assert_array_equal(layer.run(x, relay(11, FLIP)).raw, x)


def test_digits_with_the_flipper_in_the_loop() -> None:
    """Hidden spikes flipped at epsilon 0.997 of one spike, from training to the golden model's released spikes.

    The accuracies are far from the floor: 95 % needs 342 of 360 images, three seeds gave 97 % and more."""
    data, setting = load_digits(), StudySetting("hidden")
    recipe, tuning = (setting.suited(one) for one in (Recipe(epochs=20), Recipe(epochs=3, rate=1e-3)))
    network = float_trained(data, rate, STEPS, setting, FLIP, recipe)
    spec = tuned(network, data, rate, setting, tuning)
    x, labels = rate(data.test_images), data.test_labels
    assert np.mean(released_accuracies(spec, x, labels, 10, TriviumSource.generate(), 3)) >= 0.95
    assert spec.flipped == (0,) and spec.layers[0].flip == FLIP
    assert [layer.weight_bits for layer in spec.layers] == [8, 8]


def test_a_trained_quantised_network_is_its_export_and_loses_nothing_at_8_bits_and_little_at_4() -> None:
    """One float network of digits, its output flipper put in afterwards: debiasing counts changes no class."""
    data, setting = load_digits(), StudySetting("output", in_loop=False)
    network = float_trained(data, rate, STEPS, setting, None, Recipe(epochs=20))
    x, labels = rate(data.test_images), data.test_labels
    raw = network.run(torch.from_numpy(x).float()).scores.argmax(dim=1).numpy()
    floats = float(np.mean(raw == labels))
    assert floats >= 0.96
    for bits, loss in ((8, 0.01), (4, 0.02)):  # in 360 images: 3 and 7 of them
        twin = quantised(network, rate(data.train_images[:300]), weight_bits=bits)
        list(fit(twin, data.train_images, data.train_labels, rate, Recipe(epochs=3, rate=1e-3)))
        spec = specification(twin)
        for ours, theirs in zip(Network(spec).run(x).raw, twin.run(torch.from_numpy(x).float()).spikes, strict=True):
            np.testing.assert_array_equal(ours, theirs.detach().numpy() == 1)
        assert raw_accuracy(spec, x, labels, 10) >= floats - loss
    flipped = with_flip(network, setting, FLIP, rate(data.train_images[:300]))
    assert tap_flips(network) == [None, None, None]
    assert np.mean(released_accuracies(flipped, x, labels, 10, TriviumSource.generate(), 2)) >= 0.95


# the study -----------------------------------------------------------------------------------------------------------


def test_training_follows_its_seed_and_leaves_the_global_generator_alone() -> None:
    data, encode = load_iris(), encoder("rate", 8)
    losses = []
    for seed in (1, 1, 2):
        network = SpikingNetwork(chip_architecture(4, 10, 3, 8, 2), taps={0: FlipLayer(FLIP)}, seed=0)
        torch.manual_seed(len(losses))
        before = torch.random.get_rng_state()
        losses.append(list(fit(network, data.train_images, data.train_labels, encode, Recipe(epochs=2, seed=seed))))
        assert torch.equal(before, torch.random.get_rng_state())
    assert losses[0] == losses[1] != losses[2]


def test_a_limit_holds_the_weights() -> None:
    data = load_iris()
    network = SpikingNetwork(chip_architecture(4, 10, 3, 8, 2), seed=0, gain=3.0)
    list(fit(network, data.train_images, data.train_labels, encoder("rate", 8), Recipe(epochs=1, limit=0.25)))
    assert max(float(p.abs().max().detach()) for p in network.parameters() if p.ndim > 1) <= 0.25


def test_a_study_says_what_each_point_costs(tmp_path: Path) -> None:
    data, encode = load_iris(), encoder("rate", 8)
    settings = [
        StudySetting("output", 8, 1, in_loop=False, spike_limit=4),
        StudySetting("hidden", 8, 2),
        StudySetting("input", 8, 2),
    ]
    report: list[str] = []
    points = study(
        data,
        encode,
        8,
        settings,
        [FLIP],
        Recipe(epochs=2),
        Recipe(epochs=1, rate=1e-3),
        seeds=2,
        leases=1,
        report=report.append,
    )
    records = [point.to_dict(data.classes) for point in points]
    assert [record["record"]["bits_that_may_differ"] for record in records] == [8, 64, 32]  # 2*4; 8*8; 8*4
    for point, record in zip(points, records, strict=True):
        assert record["epsilon_of_one_spike"] == FLIP.epsilon and len(record["released_accuracy"]) == 2
        assert record["record"]["epsilon"] == point.claim.epsilon(Unit.RECORD) > FLIP.epsilon
        assert 1 / 3 < record["record"]["accuracy_ceiling"] <= 1
        assert record["record"]["delta"] == 1e-5
    assert [line.split(",")[0] for line in report] == ["output", "hidden", "input"]
    records[0] |= {"released_accuracy": [0.9120371, 0.9120371], "mean": 0.9120370999999999}  # no bar, and no refusal
    utility_plot(records, data.classes, "iris", tmp_path / "utility.png")
    assert (tmp_path / "utility.png").read_bytes()[:4] == b"\x89PNG"


def test_flips_drawn_afterwards_are_those_of_the_network() -> None:
    x = np.random.default_rng(6).random((9, 8, 16)) < 0.4
    spec = specification(quantised(network_with({1: FLIP}), x), spike_limit=5)
    source = TriviumSource(b"0123456789")
    result = Network(spec, source).run(x, lease=3)
    np.testing.assert_array_equal(released(result.limited[-1], FLIP, 1, source, 3), result.released)
    labels = np.zeros(9, np.int64)
    settings = StudySetting("output", 12, 2, in_loop=False, spike_limit=5)
    points = output_study([spec, spec], settings, [FLIP, FlipSpec(1, 8)], x, labels, 3, leases=2)
    assert [len(point.accuracies) for point in points] == [2, 2]
    assert points[0].claim.nominal(Unit.RECORD).bits_one == 10 == 2 * 5
    raw = with_output(spec, flip=None)
    right = np.mean(Network(raw).run(x).released.reshape(9, 8, 3, 2).sum(axis=(1, 3)).argmax(axis=1) == labels)
    certain = output_study([spec], settings, [FlipSpec(1, 16)], x, labels, 3, leases=1)[0]
    assert abs(certain.accuracies[0] - right) <= 1 / 9 + 1e-9  # a flip in 65,536: one record at most, hardly ever


def test_the_claim_is_of_the_private_build() -> None:
    x = np.zeros((4, 8, 16), bool)
    claim = claim_of(specification(quantised(network_with({0: FLIP}), x)), 8, 1e-6)
    assert claim.private and claim.source == "trivium" and claim.nominal(Unit.RECORD).bits_one == 8 * 12


# refusals ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: FlipLayer(0.25), "flipper flip must be a FlipSpec, not 0.25"),
        (lambda: Recipe(epochs=0), "recipe epochs must be 1 to 1048576, not 0"),
        (lambda: Recipe(drop=-0.1), "recipe drop must be 0 or more and finite, not -0.1"),
        (lambda: Recipe(goal="first"), "recipe goal must be one of 'steps', 'counts', not 'first'"),
        (lambda: StudySetting("middle"), "setting place must be one of 'input', 'hidden', 'output', not 'middle'"),
        (lambda: StudySetting("hidden", spike_limit=4),
         "setting spike_limit must be None where the flipper is not at the output, not 4"),
        (lambda: folded(FloatNetwork((FloatLayer([[1.0]], [0.0], 1.0, "zero"),)), [FLIP]),
         "flips must be 2, the input's and one a layer, not 1"),
        (lambda: with_flip(network_with({0: FLIP}), StudySetting("hidden"), FLIP, np.zeros((1, 8, 16), bool)),
         "network must have no flipper yet"),
        (lambda: tap_flips(SpikingNetwork(chip_architecture(4, 5, 2, 3, 1), taps={0: torch.nn.Identity()})),
         "tap at 0 must be a FlipLayer, not a Identity"),
        (lambda: raw_accuracy(specification(quantised(network_with({0: FLIP}), np.zeros((1, 8, 16), bool))),
                              np.zeros((1, 8, 16), bool), np.zeros(1, np.int64), 3),
         "raw accuracy is that of a network whose flipper, if any, is on its last layer"),
    ],
)  # fmt: skip
def test_refusals(make: Any, sentence: str) -> None:
    with pytest.raises(ValueError) as caught:
        make()
    assert str(caught.value) == sentence
