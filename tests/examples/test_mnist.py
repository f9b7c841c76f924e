"""The MNIST network of the examples is the one that its figures speak of, and the pages state what was measured."""

import importlib.util
import json
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from support.paths import ROOT

from spikeveil.host.privacy import RandomizedResponse
from spikeveil.pysim import FlipSpec, Leak, NetworkSpec

FOLDER = ROOT / "examples/mnist"
MADE = {  # network and figures of one run of train.py
    cap: (NetworkSpec.load(FOLDER / f"mnist{name}.snn"), json.loads((FOLDER / f"figures{name}.json").read_text()))
    for cap, name in ((None, ""), (120, "-cap120"))
}
made = pytest.mark.parametrize(("network", "figures"), MADE.values(), ids=["no cap", "cap 120"])


def script(name: str) -> ModuleType:
    """A module of scripts/, which is no package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / f"scripts/{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@made
def test_the_network_is_that_of_the_first_seed(network: NetworkSpec, figures: dict[str, Any]) -> None:
    first = figures["seeds"][0]
    assert first["seed"] == 0
    assert network.fingerprint == first["4_bits"]["fingerprint"]
    assert [layer.input_cap for layer in network.layers] == first["4_bits"]["input_caps"]
    assert [layer.threshold for layer in network.layers] == first["4_bits"]["thresholds"]


def test_a_cap_that_is_asked_for_is_the_first_layers() -> None:
    for cap, (network, figures) in MADE.items():
        assert figures.get("input_cap") == cap
        assert cap in (None, network.layers[0].input_cap)


@made
def test_the_network_fits_the_memory_of_a_small_fpga(network: NetworkSpec, figures: dict[str, Any]) -> None:
    hidden, output = network.layers
    assert (hidden.inputs, hidden.neurons, output.neurons) == (784, 256, 40)
    assert {hidden.weight_bits, output.weight_bits} == {4}
    assert hidden.weights.size * 4 == 802_816 <= 4 * 256 * 1024  # four blocks of 256 kbit
    assert (hidden.leak, output.flip, hidden.flip) == (Leak.shift(3), FlipSpec(69, 8), None)
    assert np.abs(hidden.weights).max() == 8


@made
def test_what_was_promised_was_measured(network: NetworkSpec, figures: dict[str, Any]) -> None:
    """Integers of 8 bits within 0.3 points of the floats, of 4 within 1; 93 % and more from released spikes."""
    for row in figures["seeds"]:
        for bits, loss in ((8, 0.003), (4, 0.01)):
            found = row[f"{bits}_bits"]
            assert row["float_accuracy"] - found["integer_accuracy"] <= loss
            assert min(found["released_accuracy"]) >= 0.93
    record = figures["seeds"][0]["4_bits"]["record"]
    assert record["epsilon"] == RandomizedResponse(69, 8).epsilon_composed(640, record["delta"])


@made
def test_the_readme_states_the_figures(network: NetworkSpec, figures: dict[str, Any]) -> None:
    text = (FOLDER / "README.md").read_text()
    for row in figures["seeds"]:
        eight, four = row["8_bits"], row["4_bits"]
        values = (row["float_accuracy"], eight["integer_accuracy"], np.mean(eight["released_accuracy"]),
                  four["integer_accuracy"], np.mean(four["released_accuracy"]))  # fmt: skip
        line = " | ".join(f"{100 * value:.2f}" for value in values)
        assert f"| {row['seed']} | {line} |" in text


@pytest.mark.parametrize("name", ["digits", "mnist"])
def test_the_page_on_flippers_states_the_study(name: str) -> None:
    text = (ROOT / "docs/flipper-training.md").read_text()
    row = script("utility_table").row
    for point in json.loads((ROOT / f"examples/{name}/utility.json").read_text())["points"]:
        assert row(point) in text


def test_the_page_on_quantisation_states_the_losses() -> None:
    text = (ROOT / "docs/quantisation.md").read_text()
    for bits, losses in json.loads((ROOT / "examples/digits/bits.json").read_text())["mean_loss_in_points"].items():
        line = " | ".join(f"{losses[name]:+.2f}" for name in ("rounded", "a_scale_a_neuron", "trained_on"))
        assert f"| {bits.split('_')[0]} | {line} |" in text
