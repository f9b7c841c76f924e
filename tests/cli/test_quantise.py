"""`spikeveil quantise`: float networks of files to network files, with a report; and what it refuses."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from support.commands import invoke

from spikeveil.host.networks.digits_example import FLOAT, held_out
from spikeveil.host.networks.float_model import FloatNetwork
from spikeveil.host.networks.search import format_by_weights, quantise_network
from spikeveil.host.training.architecture import Architecture, Conv, Dense, Flatten, Readout
from spikeveil.host.training.lowering import float_network
from spikeveil.host.training.network import SpikingNetwork
from spikeveil.host.training.neurons import Neuron
from spikeveil.host.training.weights import save_network
from spikeveil.pysim import FlipSpec, Network, NetworkSpec


def run(*arguments: object, code: int = 0) -> Result:
    return invoke("quantise", *arguments, code=code)


def test_the_digits_network_in_four_bits(tmp_path: Path) -> None:
    out = tmp_path / "net.snn"
    shown = run(FLOAT, "--data", "digits", "--weight-bits", 4, "--epsilon", 1, "-o", out, "--records", 200, "--json")
    record, spec = json.loads(shown.output), NetworkSpec.load(out)
    assert record["fingerprint"] == spec.fingerprint
    assert spec.layers[-1].flip == FlipSpec(69, 8)
    assert record["flip"]["epsilon_of_one_spike"] == FlipSpec(69, 8).epsilon
    assert all(-8 <= low <= -7 and high == 7 for low, high in (layer["integer_range"] for layer in record["layers"]))
    assert all(layer["match"]["f1"] > 0.9 for layer in record["layers"])
    assert record["float_accuracy"] - record["integer_accuracy"] <= 0.01
    x, labels = held_out()
    counts = Network(spec, None if spec.flipped == () else _source()).run(x, lease=0).raw[-1]
    right = counts.reshape(360, 16, 10, 4).sum(axis=(1, 3)).argmax(axis=1) == labels
    assert record["integer_accuracy"] == right.mean()
    assert NetworkSpec.load(out).fingerprint == spec.fingerprint


def _source() -> Any:
    from spikeveil.pysim import TriviumSource

    return TriviumSource.generate()


def test_the_report_on_the_screen() -> None:
    shown = run(FLOAT, "--data", "digits", "--records", 50, "--per-neuron")
    for text in (
        "64-128",
        " >> 3)",
        "in the same step",
        "360 test records of digits",
        "not written: -o names a file",
    ):
        assert text in shown.output


def test_bits_are_chosen_by_a_wanted_f1(tmp_path: Path) -> None:
    words = (FLOAT, "--data", "digits", "--records", 20)
    record = json.loads(run(*words, "--f1", "0.9", "-o", tmp_path / "n.snn", "--json").output)
    chosen = [row for row in record["trade"] if row["chosen"]]
    assert len(chosen) == 1 and chosen[0]["f1"] >= 0.9
    assert (record["weight_bits"], record["state_bits"]) == (chosen[0]["weight_bits"], chosen[0]["state_bits"])
    cheaper = [row["f1"] for row in record["trade"] if row["memory_bits"] < chosen[0]["memory_bits"]]
    assert cheaper and max(cheaper) < 0.9
    assert {layer.weight_bits for layer in NetworkSpec.load(tmp_path / "n.snn").layers} == {record["weight_bits"]}
    assert "f1 must be within reach of some choice of bits, at most 0." in run(*words, "--f1", "1", code=2).stderr


def trained(path: Path, architecture: Architecture, about: dict[str, Any] | None = None) -> SpikingNetwork:
    network = SpikingNetwork(architecture, seed=1, gain=2.0)
    save_network(network, path, about)
    return network


def test_a_network_fed_with_intensities_takes_planes_of_bits(tmp_path: Path) -> None:
    layers = (Conv(3, 3, stride=2, neuron=Neuron(0.5)), Flatten(), Dense(12))
    network = trained(tmp_path / "net.npz", Architecture((1, 8, 8), 10, 4, layers, Readout(), "direct"))
    out = tmp_path / "net.snn"
    shown = run(tmp_path / "net.npz", "--data", "digits", "--planes", 3, "-o", out, "--records", 60, "--json")
    record, spec = json.loads(shown.output), NetworkSpec.load(out)
    assert [(layer.inputs, layer.neurons) for layer in spec.layers] == [(192, 27), (27, 12), (12, 10)]
    assert (record["encoder"], record["planes"], record["steps"]) == ("direct", 3, 4)
    assert spec.layers[-1].readout and float_network(network, 3).layers[-1].readout


def test_scales_of_a_private_network_never_come_from_its_training_records(tmp_path: Path) -> None:
    about = {"result": {"claim": {"unit": "example", "epsilon": 1.0}}}
    architecture = Architecture((64,), 10, 6, (Dense(12),), Readout("counts"))
    network = trained(tmp_path / "net.npz", architecture, about)
    out = tmp_path / "net.snn"
    shown = run(tmp_path / "net.npz", "--data", "digits", "-o", out, "--records", 20, "--json")
    record = json.loads(shown.output)
    assert record["scales_from"] == "weights" and record["training_claim"] == about["result"]["claim"]
    for seed in range(2):  # whatever the records: the same integers
        x = np.random.default_rng(seed).random((5, 6, 64)) < 0.5
        floats = float_network(network)
        formats = [format_by_weights(floats_layer) for floats_layer in floats.layers]
        assert quantise_network(floats, x, formats=formats, allow_loss=True).spec == NetworkSpec.load(out)
    shown = run(tmp_path / "net.npz", "--data", "digits", "--scales", "train", code=2)
    assert "would spend privacy that no account holds" in " ".join(shown.output.split())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--data", "letters"], "data set must be one of"),
        (["--data", "digits", "--pool", "3"], "pooling side must divide an image's height and width"),
        (["--data", "digits", "--steps", "9"], "the network was trained over 6 steps, not 9"),
        (
            ["--data", "digits", "--planes", "2"],
            "--planes is for a network fed with intensities; this one takes spikes",
        ),
        (["--data", "digits", "--epsilon", "-1", "--records", "5"], "flip epsilon must be 0 or more, not '-1'"),
    ],
)
def test_refusals(tmp_path: Path, arguments: list[str], sentence: str) -> None:
    trained(tmp_path / "net.npz", Architecture((64,), 10, 6, (Dense(12),), Readout("counts")))
    assert sentence in run(tmp_path / "net.npz", *arguments, code=2).stderr


def test_a_file_that_is_no_network_is_refused(tmp_path: Path) -> None:
    (tmp_path / "net.npz").write_bytes(b"PK\3\4")
    shown = run(tmp_path / "net.npz", "--data", "digits", code=1)
    expected = "network net.npz must be a .npz file of `spikeveil train` or of a FloatNetwork: File is not a zip file"
    assert shown.stderr == f"Error: {expected}\n"
    assert FloatNetwork.load(FLOAT).layers[0].inputs == 64
