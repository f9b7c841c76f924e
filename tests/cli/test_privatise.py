"""`spikeveil privatise`, and --release of `import` and `quantise`: what is released, origin, claims, accuracy."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.commands import invoke
from support.paths import DATA

from spikeveil.host.networks.digits_example import FLOAT
from spikeveil.host.privacy.plan import make_privacy_plan
from spikeveil.host.privacy.wording import Raster
from spikeveil.pysim import Decision, FlipSpec, LayerSpec, NetworkSpec, OneHotDecision

RNG = np.random.default_rng(4)
LAYERS = [LayerSpec(RNG.integers(-20, 40, (6, 3)), 30), LayerSpec(RNG.integers(-20, 40, (4, 6)), 30)]
CLAIM = {"unit": "one training example", "epsilon": 3.0}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    NetworkSpec(LAYERS, cadence=900).save("open.snn", {"made_by": "training", "training_claim": CLAIM})
    NetworkSpec([LAYERS[0], LayerSpec(LAYERS[1].weights, readout=True)]).save("readout.snn")
    np.savez("d.npz", x=RNG.random((40, 5, 3)) < 0.5, labels=np.arange(40) % 4)
    return tmp_path


def privatised(arguments: str) -> tuple[NetworkSpec, dict[str, Any]]:
    record = json.loads(invoke("privatise", *arguments.split(), "-o", "p.snn", "--json").stdout)
    spec = NetworkSpec.load("p.snn")
    assert record["fingerprint"] == spec.fingerprint
    return spec, record


@pytest.mark.parametrize(
    ("options", "decision"),
    [
        ("", Decision.for_epsilon(2.0, classes=4)),
        ("--classes 2", Decision.for_epsilon(2.0, classes=2)),
        ("--flip-bits 12", Decision.for_epsilon(2.0, classes=4, bits=12)),
        ("--response one-hot", OneHotDecision.symmetric(2.0, classes=4)),
        ("--response oue", OneHotDecision.oue(2.0, classes=4)),
    ],
)
def test_a_decision_takes_the_place_of_spikes(folder: Path, options: str, decision: Any) -> None:
    spec, record = privatised(f"open.snn --release decision --epsilon 2 --steps 5 {options}")
    assert spec == NetworkSpec(LAYERS, 900, decision, 5)
    assert record["steps"] == 5 and record["claim"]["epsilon_delta"]["record_epsilon"] == decision.epsilon <= 2


def test_the_decision_of_a_readout(folder: Path) -> None:
    spec, _ = privatised("readout.snn --release decision --epsilon 2 --steps 5 --by sum")
    assert spec.decision == Decision(4, Decision.for_epsilon(2.0, classes=4).q, by="sum")
    words = ["privatise", "readout.snn", "--release", "spikes", "--spike-epsilon", "1", "-T", "5", "-o", "q.snn"]
    assert "has no spikes: --release decision randomises it" in invoke(*words, code=2).stderr
    assert not Path("q.snn").exists()


def test_flipped_spikes_by_the_epsilon_of_a_spike_or_of_a_record(folder: Path) -> None:
    spec, _ = privatised("open.snn --release spikes --spike-epsilon 1 --flip-bits 8 --steps 5 --step-spike-limit 2")
    assert (spec.layers[-1].flip, spec.layers[-1].step_spike_limit) == (FlipSpec.for_epsilon(1.0, 8), 2)
    spec, record = privatised("open.snn --release spikes --record-epsilon 3 --delta 1e-5 --spike-limit 2 --steps 5")
    plan = make_privacy_plan(3, 1e-5, "record", Raster(5, 4, 2), 1)
    last = spec.layers[-1]
    assert last.flip is not None and (last.flip.threshold, last.spike_limit) == (plan.mechanism.threshold, 2)
    assert record["claim"]["epsilon_delta"]["record_epsilon"] == plan.record_epsilon <= 3
    assert record["claim"]["epsilon_delta"]["delta"] <= 1e-5


def test_the_origin_is_kept_with_its_claim_and_says_what_changed(folder: Path) -> None:
    _, record = privatised("open.snn --release spikes --spike-epsilon 1 --data d.npz")
    again = json.loads(
        invoke("privatise", "p.snn", "--release", "decision", "--epsilon", "1", "-o", "q.snn", "--json").stdout
    )
    assert record["training_claim"] == again["training_claim"] == CLAIM
    origin = NetworkSpec.origin("q.snn")
    assert origin is not None and origin["made_by"] == "training" and origin["training_claim"] == CLAIM
    assert [change["source_fingerprint"] for change in origin["changes"]] == [
        NetworkSpec.load("open.snn").fingerprint,
        NetworkSpec.load("p.snn").fingerprint,
    ]
    assert origin["steps"] == 5 and NetworkSpec.load("q.snn").steps == 5  # known from the first data
    shown = invoke("privatise", "open.snn", "--release", "decision", "--epsilon", "1", "-T", "5", "-o", "p.snn").output
    assert "trained under DP-SGD: the claim on its training data is kept in the file" in shown


def test_accuracy_before_and_after_with_labels(folder: Path) -> None:
    _, record = privatised("digits --release decision --epsilon 4 --data digits")
    raw = record["accuracy_before"]
    decision = Decision.for_epsilon(4.0, classes=10)
    expected = raw * float(decision.winner_probability) + (1 - raw) * float(decision.other_probability)
    assert record["records"] == 360 and raw > 0.97 and record["accuracy_expected"] == pytest.approx(expected)
    assert abs(record["accuracy_after"] - expected) < 5 * (expected * (1 - expected) / 360) ** 0.5
    unlabelled = RNG.random((3, 16, 64)) < 0.5
    np.save("x.npy", unlabelled)
    _, record = privatised("digits --release decision --epsilon 4 --data x.npy")
    assert (record["records"], record["accuracy_before"], record["accuracy_after"]) == (3, None, None)


def test_classes_that_labels_leave_open_are_asked_for(folder: Path) -> None:
    """Two labels and four output neurons: two classes of two neurons, or four of which two do not occur."""
    x = RNG.random((8, 5, 3)) < 0.5
    words = ["privatise", "open.snn", "--release", "decision", "--epsilon", "2", "--data", "d.npz", "-o", "p.snn"]
    np.savez("d.npz", x=x, labels=np.arange(8) % 2)
    asked = " ".join(invoke(*words, code=2).stderr.split())
    assert "labels reach 1 and there are 4 output neurons: --classes must say how many classes" in asked
    for classes in (2, 4):
        invoke(*words, "--classes", classes)
        assert NetworkSpec.load("p.snn").decision == Decision.for_epsilon(2.0, classes=classes)
    np.savez("d.npz", x=x, labels=np.arange(8) % 2, classes=2)
    invoke(*words)
    assert NetworkSpec.load("p.snn").decision == Decision.for_epsilon(2.0, classes=2)
    np.savez("d.npz", x=x, labels=np.arange(8))
    assert "labels must be under the 4 output neurons, not reach 7" in invoke(*words, code=1).stderr


def test_the_steps_come_from_options_data_or_origin(folder: Path) -> None:
    words = ["privatise", "readout.snn", "--release", "decision", "--epsilon", "2", "-o", "p.snn"]
    assert "the steps of a record are not known: --steps says them" in invoke(*words, code=2).stderr
    assert "--steps must be the 5 steps of the data, not 6" in invoke(*words, "--data", "d.npz", "-T", 6, code=2).stderr
    invoke(*words, "--data", "d.npz")
    assert NetworkSpec.load("p.snn").steps == 5


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("", "--release must be decision or spikes"),
        ("--release decision", "--release decision needs --epsilon, the record's"),
        ("--release decision --epsilon -1", "epsilon must be 0 or more, not '-1'"),
        ("--release decision --epsilon four", "epsilon must be a number, 0 or more, not 'four'"),
        ("--release decision --epsilon 1 --classes 3", "network decision classes must divide the 4 neurons"),
        ("--release decision --epsilon 1 --spike-limit 3", "--spike-limit is for --release spikes"),
        ("--release decision --epsilon 1 --by sum", "network decision by must be 'final' for a last layer that fires"),
        ("--release spikes", "--release spikes needs either --spike-epsilon or --record-epsilon, and no --epsilon"),
        ("--release spikes --spike-epsilon 1 --record-epsilon 2", "needs either --spike-epsilon or --record-epsilon"),
        ("--release spikes --spike-epsilon 1 --classes 4", "--classes is for --release decision"),
        ("--release spikes --record-epsilon 1 --delta 1", "delta must be at least 0 and under 1, not '1'"),
        ("--release spikes --spike-epsilon 1 --flip-bits 20", "flip bits must be 1 to 16, not 20"),
    ],
)
def test_refusals_are_wrong_usage_in_one_sentence(folder: Path, options: str, sentence: str) -> None:
    done = invoke("privatise", "open.snn", *options.split(), "--steps", "5", "-o", "p.snn", code=2)
    assert sentence in " ".join(done.stderr.split()) and done.stdout == ""
    assert not Path("p.snn").exists()


def test_import_and_quantise_take_the_same_options(folder: Path) -> None:
    pytest.importorskip("nir")
    nir = DATA / "nir" / "snntorch_conv"
    choices = ["--dt", "1e-4", "--decay", "euler", "--reset", "zero", "--reset-timing", "delayed", "--compare", "gt"]
    release = ["--release", "decision", "--epsilon", "4"]
    done = invoke("import", f"{nir}.nir", *choices, "--data", f"{nir}.npz", *release, "-o", "i.snn", "--json")
    spec, record = NetworkSpec.load("i.snn"), json.loads(done.stdout)
    assert spec.decision == Decision.for_epsilon(4.0, classes=4) and spec.steps == 20
    assert record["private"]["steps"] == 20 and record["fingerprint"] == spec.fingerprint
    origin = NetworkSpec.origin("i.snn")
    assert origin is not None and origin["choices"]["reset"] == "zero" and len(origin["changes"]) == 1

    done = invoke("quantise", FLOAT, "--data", "digits", "--records", 100, *release, "-o", "q.snn", "--json")
    spec, record = NetworkSpec.load("q.snn"), json.loads(done.stdout)
    assert spec.decision == Decision.for_epsilon(4.0, classes=10) and spec.steps == 16  # 40 neurons, 4 a class
    assert record["private"]["accuracy_before"] == pytest.approx(record["integer_accuracy"])
    assert "--classes needs --release decision" in invoke(
        "quantise", FLOAT, "--data", "digits", "--classes", 10, code=2
    ).stderr  # fmt: skip


def test_quantise_takes_a_data_file_of_the_users_own(folder: Path) -> None:
    x, labels = RNG.random((30, 16, 64)) < 0.3, np.arange(30) % 10
    np.savez("own.npz", x=x, labels=labels)
    record = json.loads(invoke("quantise", FLOAT, "--data", "own.npz", "-o", "q.snn", "--json").stdout)
    assert (record["data"], record["test_records"], record["classes"], record["steps"]) == ("own.npz", 30, 10, 16)
    assert 0 <= record["integer_accuracy"] <= 1
    np.save("own.npy", x)
    assert json.loads(invoke("quantise", FLOAT, "--data", "own.npy", "--json").stdout)["integer_accuracy"] is None
    refused = invoke("quantise", FLOAT, "--data", "own.npz", "--pool", 2, code=2).stderr
    assert "--path and --pool are for a data set, not for a data file" in refused


def test_a_readout_is_pointed_to_a_decision(folder: Path) -> None:
    """Every preset of `train` ends in a readout, whose spikes cannot be flipped."""
    pytest.importorskip("torch")
    from spikeveil.host.training.architecture import Architecture, Dense, Readout
    from spikeveil.host.training.network import SpikingNetwork
    from spikeveil.host.training.weights import save_network

    save_network(SpikingNetwork(Architecture((64,), 10, 6, (Dense(12),), Readout()), seed=1), Path("net.npz"), None)
    words = ["quantise", "net.npz", "--data", "digits", "--records", 20]
    assert "--release decision --epsilon E releases a randomised class" in " ".join(
        invoke(*words, "--epsilon", 1, code=2).stderr.split()
    )
    invoke(*words, "--release", "decision", "--epsilon", 1, "-o", "q.snn")
    assert NetworkSpec.load("q.snn").layers[-1].readout and NetworkSpec.load("q.snn").decision is not None


def test_a_network_that_is_not_private_is_refused_once_with_the_command_that_makes_it_so(folder: Path) -> None:
    refused = invoke("build", "open.snn", "--board", "ulx3s-12f", code=1).stderr
    assert refused.count("`spikeveil privatise` makes it private") == 1 and refused.count("\n") == 1
