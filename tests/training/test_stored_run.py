"""The folders of a run of version 0.1 stay readable: configuration, result, weights, and a checkpoint to go on from."""

import json
import shutil
import tomllib
from pathlib import Path

import pytest
import torch
from numpy.testing import assert_allclose

from spikeveil.host.data.catalogue import load_dataset
from spikeveil.host.training import TrainingRun, load_config, load_network
from spikeveil.host.training.checkpoint import load
from spikeveil.host.training.data_feed import DataFeed
from spikeveil.host.training.loop import CHECKPOINT, evaluate
from spikeveil.host.training.surrogates import ArctanhDerivative, Normal

STORED = Path(__file__).with_name("stored_run")


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def test_its_configuration_means_what_it_meant() -> None:
    """Same digest, hence the same run; surrogates keep the words and curves they had."""
    config = load_config(str(STORED / "finished/config.toml"))
    progress, _ = load(STORED / "finished" / CHECKPOINT)
    assert config.digest == progress.config
    assert progress.data == tomllib.loads((STORED / "finished/config.toml").read_text())["ran"]["data_sha256"]
    layers = config.network.layers
    assert (layers[0].neuron.surrogate, layers[3].neuron.surrogate) == (ArctanhDerivative(0.8), Normal(0.5))


def test_its_weights_have_the_accuracy_they_had() -> None:
    result = json.loads((STORED / "finished/result.json").read_text())
    network, about = load_network(STORED / "finished/network.npz")
    assert about["result"] == result
    config = load_config(str(STORED / "finished/config.toml"))
    found = evaluate(config, network, DataFeed(config, load_dataset("digits")))
    last = result["last_evaluation"]
    assert found["test_accuracy"] == last["test_accuracy"]
    assert found["test_loss"] == pytest.approx(last["test_loss"], rel=1e-5)


def test_its_checkpoint_goes_on(tmp_path: Path) -> None:
    """Stopped after 8 of 20 steps, it ends with the weights of the run that was never stopped."""
    shutil.copy(STORED / "stopped" / CHECKPOINT, tmp_path)
    config = load_config(str(STORED / "finished/config.toml"))
    result = TrainingRun(config, load_dataset("digits"), tmp_path, resume=True).train()
    assert (result.progress.updates, result.progress.spent, result.finished) == (20, 20, True)
    whole, _ = load_network(STORED / "finished/network.npz")
    for found, wanted in zip(result.network.parameters(), whole.parameters(), strict=True):
        assert_allclose(found.detach(), wanted.detach(), atol=2e-4)
