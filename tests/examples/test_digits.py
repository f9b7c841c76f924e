"""The trained digits network of the package gives the figures that its example states."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.paths import EXAMPLES

from spikeveil.host.data import accuracy, classify, load_digits
from spikeveil.host.networks.digits_example import CLASSES, DEMO_KEY, encode, held_out, load_float, load_network
from spikeveil.host.networks.float_model import FloatLayer, FloatNetwork
from spikeveil.pysim import LayerSpec, Network, NetworkSpec, TriviumSource

FIGURES: dict[str, Any] = json.loads((EXAMPLES / "digits/figures.json").read_text())
README = (EXAMPLES / "digits/README.md").read_text()


@pytest.fixture(scope="module")
def test_images() -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    return held_out()


def with_output(spec: NetworkSpec, **changes: Any) -> NetworkSpec:
    """The network with some fields of its last layer changed."""
    last = spec.layers[-1]
    fields = {name: getattr(last, name) for name in LayerSpec.__dataclass_fields__} | changes
    return NetworkSpec([*spec.layers[:-1], LayerSpec(**fields)])


def test_the_network_is_the_one_that_was_trained() -> None:
    assert load_network().fingerprint == FIGURES["fingerprint"]
    assert load_network().fingerprint == "fe63ec84169777aab3f566d935f9c11a3f9764ae21079f8c2bacae132417f9ba"


def test_the_network_is_as_described() -> None:
    hidden, output = load_network().layers
    assert (hidden.inputs, hidden.neurons, output.neurons) == (64, 128, 40)
    assert (hidden.weight_bits, hidden.state_bits, output.weight_bits, output.state_bits) == (8, 16, 8, 16)
    assert [hidden.input_cap, output.input_cap] == FIGURES["input_caps"]
    assert hidden.flip is None and output.flip is not None
    assert (output.flip.threshold, output.flip.bits) == (69, 8)
    assert np.log(187 / 69) <= output.flip.epsilon <= 1.0
    assert load_network().private


def test_the_integers_are_the_floats_rounded() -> None:
    for layer, floats in zip(load_network().layers, load_float().layers, strict=True):
        np.testing.assert_array_equal(layer.weights, np.rint(100 * floats.weights))
        assert layer.bias is not None
        np.testing.assert_array_equal(layer.bias, np.rint(100 * floats.bias))
        assert (layer.threshold, layer.leak.kind, 1 - 2.0**-layer.leak.shift_by) == (100, "shift", floats.decay)
        assert layer.reset == floats.reset


def test_float_accuracy(test_images: tuple[NDArray[np.bool_], NDArray[np.int64]]) -> None:
    spikes, labels = test_images
    assert accuracy(classify(load_float().run(spikes)[-1], CLASSES), labels) == FIGURES["float_accuracy"]


def test_integer_accuracy(test_images: tuple[NDArray[np.bool_], NDArray[np.int64]]) -> None:
    spikes, labels = test_images
    raw = Network(with_output(load_network(), flip=None)).run(spikes).released
    assert accuracy(classify(raw, CLASSES), labels) == FIGURES["integer_accuracy"]


def test_released_accuracy(test_images: tuple[NDArray[np.bool_], NDArray[np.int64]], soak: bool) -> None:
    """From released spikes alone: 93 % or better under every lease, and all leases together as stated."""
    spikes, labels = test_images
    network = Network(load_network(), TriviumSource(DEMO_KEY))
    stated = FIGURES["released_accuracy"]
    leases = FIGURES["leases"] if soak else 3
    values = [accuracy(classify(network.run(spikes, lease=lease).released, CLASSES), labels) for lease in range(leases)]
    assert min(values) >= 0.93
    assert stated["lowest"] <= min(values) and max(values) <= stated["highest"]
    if soak:
        assert stated["mean"] == np.mean(values)
        assert (stated["lowest"], stated["highest"]) == (min(values), max(values))


def test_released_class_counts_of_one_image_under_the_published_key() -> None:
    """One record, pinned whole: its label is 1."""
    spikes, labels = held_out()
    released = Network(load_network(), TriviumSource(DEMO_KEY)).run(spikes[:1], lease=0).released
    assert released is not None
    assert released.reshape(16, 10, 4).sum(axis=(0, 2)).tolist() == [20, 45, 16, 23, 21, 12, 21, 16, 18, 13]
    assert labels[0] == 1


def test_input_caps_hardly_ever_bind_while_training() -> None:
    spikes = encode(load_digits().train_images)
    hidden, output = load_network().layers
    fired = Network(NetworkSpec([hidden])).run(spikes).raw[0]
    for array, layer in ((spikes, hidden), (fired, output)):
        assert layer.input_cap is not None
        bound = (array.sum(axis=2) > layer.input_cap).mean()
        without_one = (array.sum(axis=2) > layer.input_cap - 1).mean()
        assert bound <= 1e-3 < without_one


def test_the_readme_states_the_figures() -> None:
    released = FIGURES["released_accuracy"]
    for value in (FIGURES["float_accuracy"], FIGURES["integer_accuracy"], released["mean"]):
        assert f"{100 * value:.1f} %" in README
    for row in FIGURES["spike_limits"]:
        limit, epsilon = row["spike_limit"] or "none", np.ceil(10 * row["record_epsilon"]) / 10
        line = f"| {limit} | {100 * row['accuracy']['mean']:.1f} | {row['bits_that_may_differ']} | {epsilon:.1f} |"
        assert line in README


@pytest.mark.parametrize(
    ("reset", "expected"),  # u = v/2 + 2x + 1/2: 2.5 fires; then 1.5/2 + 1/2 = 1.25 fires too, and 0/2 + 1/2 does not
    [("subtract", [True, True, False, False]), ("zero", [True, False, False, False])],
)
def test_float_layer_by_hand(reset: str, expected: list[bool]) -> None:
    layer = FloatLayer(np.array([[2.0]], np.float32), np.array([0.5], np.float32), 0.5, reset)
    spikes = np.array([1, 0, 0, 0], bool).reshape(1, 4, 1)
    assert layer.run(spikes)[0, :, 0].tolist() == expected


def test_float_network_file(tmp_path: Path) -> None:
    network, again = load_float(), tmp_path / "again.npz"
    network.save(again)
    loaded = FloatNetwork.load(again)
    for ours, theirs in zip(network.layers, loaded.layers, strict=True):
        np.testing.assert_array_equal(ours.weights, theirs.weights)
        np.testing.assert_array_equal(ours.bias, theirs.bias)
        assert (ours.decay, ours.reset) == (theirs.decay, theirs.reset)
