"""`spikeveil train`: what it writes, shows, refuses, and how it is interrupted and resumed."""

import gzip
import json
import signal
import struct
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import Result
from support.commands import invoke

from spikeveil.host.data.mnist import FASHION_MNIST
from spikeveil.host.privacy import DpSgd, Ledger
from spikeveil.host.training import checkpoint
from spikeveil.host.training.architecture import Conv, Dense, Pool
from spikeveil.host.training.config import Config, Optimiser, config_of, load_config, preset_names
from spikeveil.host.training.network import SpikingNetwork
from spikeveil.host.training.neurons import Neuron
from spikeveil.host.training.plan import plan_of
from spikeveil.host.training.surrogates import Gate
from spikeveil.host.training.threads import faster_threads, threads_for
from spikeveil.host.training.toml_text import toml_text
from spikeveil.host.training.weights import load_network, save_network

CONFIG = """
name = "small"
batch_size = 300
epochs = 2
checkpoint_every = 2

[data]
name = "digits"

[network]
shape = [64]
classes = 10
steps = 2
coding = "direct"
layers = [{ kind = "dense", neurons = 8 }]

[network.neuron]
decay = 0.5
surrogate = { name = "triangular" }

[privacy]
noise_multiplier = 2.0
delta = 1e-4
"""
STEPS = 10  # 2 * 1437 / 300, rounded up


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(CONFIG)
    return path


def call(*arguments: object, code: int = 0) -> Result:
    return invoke("train", *arguments, code=code, env={"COLUMNS": "200"})


def test_a_private_run(config: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    shown = call(config, "--out", out)
    result: dict[str, Any] = json.loads((out / "result.json").read_text())
    epsilon = DpSgd(2.0, 300, 1437).epsilon(STEPS, 1e-4)
    claim = result["claim"]
    assert (claim["epsilon_pld"], claim["steps"], result["steps_in_the_weights"]) == (epsilon, STEPS, STEPS)
    assert claim["private"] is True
    for part in ("unit", "epsilon, delta", "randomness", "spent", "protects", "does not cover"):
        assert part in shown.output
    assert "one example, added or removed" in claim["unit"]
    assert "APPROXIMATION and no bound" in claim["epsilon, delta"]
    log = json.loads((out / "log.json").read_text())
    assert [record["steps"] for record in log] == [5, 10]
    assert result["last_evaluation"] == log[-1]
    assert (out / "plots.png").read_bytes().startswith(b"\x89PNG")
    echo = tomllib.loads((out / "config.toml").read_text())
    assert config_of(echo) == load_config(str(config))
    assert echo["ran"]["versions"]["torch"] == torch.__version__
    network, about = load_network(out / "network.npz")
    assert about["result"]["claim"] == claim
    assert network.architecture == load_config(str(config)).network
    again = call(config, "--out", out, code=2)
    assert "must not exist for a new run: resume it, or take another folder" in again.output
    resumed = call(config, "--out", out, "--resume", "--json")
    assert json.loads(resumed.stdout) == json.loads((out / "result.json").read_text())


def test_a_seed_is_shown_as_worth_nothing(config: Path, tmp_path: Path) -> None:
    config.write_text(CONFIG + 'randomness = "seeded"\n')
    shown = call(config, "--out", tmp_path / "run", "--epochs", 1)
    assert "INFINITE: the noise is known. Nominal, no guarantee" in shown.output
    assert json.loads((tmp_path / "run/result.json").read_text())["claim"]["private"] is False


def test_an_ann_of_the_same_structure(config: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    shown = call(config, "--out", out, "--ann", "--epochs", 1)
    assert shown.exit_code == 0, shown.output
    result = json.loads((out / "result.json").read_text())
    assert (result["name"], result["claim"]["private"]) == ("small-ann", True)
    assert result["last_evaluation"]["spike_rates"] == []
    network, _ = load_network(out / "network.npz")
    assert (network.architecture.kind, network.architecture.steps) == ("ann", 1)


def test_a_run_keeps_the_threads_it_was_begun_with(config: Path, tmp_path: Path) -> None:
    chosen, before = load_config(str(config)), torch.get_num_threads()
    assert 1 <= faster_threads(chosen) <= before
    assert torch.get_num_threads() == before
    (tmp_path / "config.toml").write_text("[ran]\nthreads = 7\n")
    assert threads_for(chosen, tmp_path) == 7
    assert threads_for(chosen, tmp_path / "new") in (1, before)


def test_an_ordinary_run_claims_nothing(config: Path, tmp_path: Path) -> None:
    shown = call(config, "--out", tmp_path / "run", "--non-private", "--epochs", 1)
    assert "NOT private" in shown.output
    assert "claim" not in json.loads((tmp_path / "run/result.json").read_text())


def test_a_limit_of_epsilon_shortens_the_run(config: Path, tmp_path: Path) -> None:
    limit = DpSgd(2.0, 300, 1437).epsilon(7, 1e-4)
    shown = call(config, "--out", tmp_path / "run", "--epsilon-limit", limit)
    assert "The epsilon limit allows 7 of the 10 configured steps." in shown.output
    assert json.loads((tmp_path / "run/result.json").read_text())["claim"]["steps"] == 7


def test_the_ledger_is_charged_once(config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    path, out = tmp_path / "budget.ledger", tmp_path / "run"
    epsilon = DpSgd(2.0, 300, 1437).epsilon(STEPS, 1e-4)
    with Ledger(path) as ledger:
        ledger.create_budget("digits", "record", 1.5 * epsilon, "1e-3", relation="add/remove")
    charge = ("--ledger", path, "-d", "digits")
    shown = call(config, "--out", out, *charge)
    assert "the whole run was charged before its first step" in shown.output
    call(config, "--out", out, "--resume", *charge)
    with Ledger(path) as ledger:
        (balance,) = ledger.budgets("digits")["digits"]
    assert float(balance.epsilon_spent) == pytest.approx(epsilon, rel=1e-12)
    refused = call(config, "--out", tmp_path / "other", *charge, code=1)
    assert "epsilon budget of data set 'digits' exceeded at record level" in refused.output
    assert not (tmp_path / "other/network.npz").exists()


def test_the_preset_of_fashion_mnist_reads_its_files_as_published(tmp_path: Path) -> None:
    """A few noise images under the names, header and compression of the real ones; two steps of the preset on them."""
    dice, counts = np.random.default_rng(1), (500, 500, 20, 20)
    for pinned, count in zip(FASHION_MNIST.files, counts, strict=True):
        images = "images" in pinned.name
        shape = (count, 28, 28) if images else (count,)
        header = struct.pack(f">BBBB{len(shape)}I", 0, 0, 8, len(shape), *shape)
        content = dice.integers(0, 256 if images else 10, shape, np.uint8).tobytes()
        (tmp_path / pinned.name).write_bytes(gzip.compress(header + content))
    call("fashion-mnist", "--data", tmp_path, "--epochs", 1, "--out", tmp_path / "run")
    result = json.loads((tmp_path / "run/result.json").read_text())
    claim = result["claim"]
    assert (claim["steps"], claim["epsilon_pld"]) == (2, DpSgd(1.0, 250, 500).epsilon(2, 1e-5))
    network, _ = load_network(tmp_path / "run/network.npz")
    assert network.architecture == load_config("fashion-mnist").network


def test_the_preset_of_yaleb_takes_a_folder_of_images(tmp_path: Path) -> None:
    """29 subjects, 12 generated images each in the size of the cropped originals; two steps of the preset."""
    dice = np.random.default_rng(1)
    for subject in range(29):
        folder = tmp_path / f"faces/yaleB{subject:02}"
        folder.mkdir(parents=True)
        for index in range(12):
            pixels = dice.integers(0, 256, (192, 168), np.uint8).tobytes()
            (folder / f"{subject}_{index}.pgm").write_bytes(b"P5\n168 192\n255\n" + pixels)
    call("dpsnn-yaleb", "--data", tmp_path / "faces", "--epochs", 1, "--out", tmp_path / "run")
    result = json.loads((tmp_path / "run/result.json").read_text())
    claim = result["claim"]
    assert (claim["steps"], claim["epsilon_pld"]) == (2, DpSgd(2.0, 256, 290).epsilon(2, 1e-5))
    network, _ = load_network(tmp_path / "run/network.npz")
    assert network.architecture == load_config("dpsnn-yaleb").network


def test_a_run_that_is_asked_to_stop_can_go_on(config: Path, tmp_path: Path) -> None:
    config.write_text(CONFIG.replace("epochs = 2", "epochs = 4000"))
    out = tmp_path / "run"
    start = "from spikeveil.host.cli import main; main()"
    program = [sys.executable, "-c", start, "train", str(config), "--out", str(out)]
    process = subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not (out / "checkpoint.npz").exists():
        time.sleep(0.2)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 1
    assert "of 19160 steps; go on with --resume" in errors
    left, _ = checkpoint.load(out / "checkpoint.npz")
    assert 0 < left.updates == left.spent < 19160  # nothing is lost where there was time to say so
    another = call(config, "--out", out, "--resume", "--epsilon-limit", 100, code=2)
    assert "must be of the same configuration to be resumed" in another.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("mnist-net3",), 2, "configuration must be a .toml file or one of digits-dpsgd, "),
        (("digits-dpsgd", "--ledger", "x"), 2, "--ledger and --data-set go together"),
        (("digits-dpsgd", "--non-private", "--epsilon-limit", 1), 2, "--epsilon-limit needs a private run"),
        (("digits-dpsgd", "--noise-multiplier", 0.01), 2, "noise multiplier must be at least 0.05 and finite"),
    ],
)
def test_a_refusal(arguments: tuple[object, ...], code: int, sentence: str, tmp_path: Path) -> None:
    assert sentence in call(*arguments, "--out", tmp_path / "run", code=code).stderr


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("batch_size = 300", "batch_size = 0", "configuration batch_size must be 1 to 2147483648, not 0"),
        ("delta = 1e-4", "delta = 0", "privacy delta must be above 0 and below 1, not 0"),
        ("delta = 1e-4", "sigma = 1", "privacy takes clip, clipping, delta, epsilon_limit, method, noise_multiplier, "),
        ('name = "digits"', 'name = "mnits"', "data name must be one of "),
        ("epochs = 2", "epochs = ", "small.toml: Invalid value"),
    ],
)
def test_a_configuration_that_is_none(old: str, new: str, sentence: str, config: Path, tmp_path: Path) -> None:
    config.write_text(CONFIG.replace(old, new))
    assert sentence in call(config, "--out", tmp_path / "run", code=2).stderr


@pytest.mark.parametrize("name", preset_names())
def test_presets(name: str) -> None:
    """Each is whole, echoes to itself, and its network takes an example."""
    config = load_config(name)
    assert config.name == name
    assert config_of(tomllib.loads(toml_text(config.to_dict()))) == config
    network = SpikingNetwork(config.network, seed=1, gain=config.gain)
    assert network(torch.rand(2, *config.network.shape)).shape == (2, config.network.classes)
    assert config.privacy is not None
    assert config.privacy.randomness == "os"


@pytest.mark.parametrize("name", ["mnist-dense", "mnist-conv"])
def test_the_mnist_presets_stay_within_their_mu(name: str) -> None:
    plan = plan_of(load_config(name), 60_000)
    assert plan.steps == 13_200
    assert plan.meter is not None
    assert 0.62 < plan.meter.mechanism.mu(plan.steps) <= 0.63


#: preset -> layers as DPSNN writes them (arXiv 2205.12718 v1), batch, clip, epochs, weights and biases
PRINTED = {
    "dpsnn-mnist-net1": ("16C8S2-P2S1-32C4S2-P2S1-32-10", 250, 1.5, 60),
    "dpsnn-mnist-net2": ("16C7S1-P2S2-32C4S1-P2S2-32-10", 250, 1.5, 60),
    "dpsnn-fashion-net2": ("16C7S1-P2S2-32C4S1-P2S2-32-10", 250, 1.5, 80),
    "dpsnn-yaleb": ("16C7S1-P2S2-32C4S1-P2S2-128-29", 256, 2.0, 80),
}


def notation(config: Config) -> str:
    """The layers in the paper's notation."""
    words = []
    for layer in config.network.layers:
        if isinstance(layer, Conv):
            words.append(f"{layer.channels}C{layer.kernel}S{layer.stride}")
        elif isinstance(layer, Pool):
            assert layer.mode == "max"
            words.append(f"P{layer.kernel}S{layer.step}")
        elif isinstance(layer, Dense):
            words.append(str(layer.neurons))
    return "-".join([*words, str(config.network.classes)])


@pytest.mark.parametrize("name", PRINTED)
def test_dpsnn_presets_are_the_paper_s(name: str) -> None:
    """Structure, IF, gate of eq. 4, T = 5, eq. 7, plain SGD at 0.25, batch, clip: all that the paper prints."""
    config = load_config(name)
    assert config.privacy is not None
    assert (notation(config), config.batch_size, config.privacy.clip, config.epochs) == PRINTED[name]
    neurons = {layer.neuron for layer in config.network.layers if isinstance(layer, Conv | Dense)}
    assert neurons == {Neuron(1.0, 1.0, "zero", Gate(1.0))}
    readout = config.network.readout
    assert (readout.kind, readout.neuron.decay, readout.gain, config.network.steps) == ("membrane", 1.0, 1.0, 5)
    assert (config.network.coding, config.gain, config.privacy.delta) == ("direct", 1.0, 1e-5)
    assert config.optimiser == Optimiser("sgd", 0.25, 0.0, 1.0, 0.0)


@pytest.mark.parametrize("name", ["dpsnn-mnist-net1", "dpsnn-yaleb"])
def test_the_ann_of_a_preset_has_its_weights(name: str) -> None:
    config = load_config(name)
    ann = config.as_ann()
    shapes = [
        [tuple(one.shape) for one in SpikingNetwork(chosen.network, seed=1).parameters()] for chosen in (config, ann)
    ]
    assert shapes[0] == shapes[1]
    assert (ann.privacy, ann.optimiser, ann.name) == (config.privacy, config.optimiser, f"{name}-ann")
    assert config_of(tomllib.loads(toml_text(ann.to_dict()))) == ann


def test_weights_in_a_file_that_is_none(tmp_path: Path) -> None:
    config = load_config("digits-dpsgd")
    path = tmp_path / "network.npz"
    save_network(SpikingNetwork(config.network, seed=1), path)
    content = path.read_bytes()
    path.write_bytes(content[:-100])
    with pytest.raises(ValueError, match=r"weights network\.npz must be a whole file of ours, not a damaged one"):
        load_network(path)
