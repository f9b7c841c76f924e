"""Files that version 0.1.0 wrote (tests/data/version_0_1) are read by this version, with the same content."""

import json
import shutil
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from support.commands import invoke
from support.paths import DATA

from spikeveil.host.device import Secrets
from spikeveil.host.device.twin_board import TwinBoard
from spikeveil.host.networks.float_model import FloatNetwork
from spikeveil.host.privacy import Ledger, LedgerError
from spikeveil.host.privacy.ledger import verify_export
from spikeveil.pysim import Network, NetworkSpec, TriviumSource
from spikeveil.pysim.device.top import DeviceModel
from spikeveil.pysim.model.image import structure

OLD = DATA / "version_0_1"
FINGERPRINTS = {
    "spikes.snn": "59faaadd418298f4868b3b7ecdc4d53df44c47a513c3eec39b50a40ba681bb1b",
    "readout.snn": "ac3ff18373d47f5dd5fa7a3ae92b16b5838b0b4d49cd3d682958defaf53aaf94",
}
STRUCTURE = "bf066f0e7322407018afe5d974b35ce4253bc5c082bad2d9d168513a3ecc7ec0"
READOUT_SUM = -5930  # of the potentials of readout.snn, under lease 5


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A writable copy of the files, its witness in the user's state directory."""
    folder = tmp_path / "files"
    shutil.copytree(OLD, folder)
    (folder / "trivium.key").chmod(0o600)  # git keeps no other mode
    state = tmp_path / "state" / "spikeveil"
    state.mkdir(parents=True)
    shutil.copy(OLD / "witness.db", state)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return folder


def inputs() -> np.ndarray:
    with np.load(OLD / "input.npz") as file:
        return np.asarray(file["spikes"])


def key(folder: Path) -> bytes:
    return Secrets.file(folder / "trivium.key", False, 1).next()


@pytest.mark.parametrize("name", FINGERPRINTS)
def test_network_file(name: str, tmp_path: Path) -> None:
    spec = NetworkSpec.load(OLD / name)
    assert spec.fingerprint == FINGERPRINTS[name]
    spec.save(tmp_path / name)
    assert NetworkSpec.load(tmp_path / name).fingerprint == FINGERPRINTS[name]


def test_structure_of_a_network() -> None:
    assert structure(NetworkSpec.load(OLD / "spikes.snn")) == STRUCTURE


def test_readout_of_a_network(files: Path) -> None:
    source = TriviumSource(key(files))
    result = Network(NetworkSpec.load(OLD / "readout.snn"), source).run(inputs(), lease=5)
    assert result.readout is not None
    assert result.readout.sum() == READOUT_SUM


def test_float_network(tmp_path: Path) -> None:
    network = FloatNetwork.load(OLD / "float.npz")
    assert [(layer.inputs, layer.neurons, layer.readout) for layer in network.layers] == [(12, 5, False), (5, 3, True)]
    network.save(tmp_path / "float.npz")
    with np.load(OLD / "float.npz") as old, np.load(tmp_path / "float.npz") as new:
        assert set(old.files) <= set(new.files)
        for name in old.files:
            np.testing.assert_array_equal(old[name], new[name], err_msg=name)


def test_released_file(files: Path) -> None:
    """The key, with the leases and places in the file, gives the released spikes again."""
    network = Network(NetworkSpec.load(OLD / "spikes.snn"), TriviumSource(key(files)))
    with np.load(OLD / "released.npz") as file:
        assert str(file["fingerprint"]) == FINGERPRINTS["spikes.snn"]
        for record, released in enumerate(file["released"]):
            lease, place = int(file["leases"][record]), int(file["places"][record])
            again = network.run(inputs()[record : record + 1], lease=lease, first_record=place)
            np.testing.assert_array_equal(again.released[0], released)


def test_ledger_and_witness(files: Path) -> None:
    with Ledger(files / "my.ledger", create=False) as ledger:
        checked = ledger.verify()
        text = StringIO()
        ledger.export(text)
    assert (checked.entries, checked.leases, checked.last_lease) == (9, 5, 5)
    assert checked.witnessed is True
    exported = verify_export(OLD / "export.jsonl")
    assert (exported.ledger, exported.head) == (checked.ledger, checked.head)
    assert text.getvalue() == (OLD / "export.jsonl").read_text()


def test_ledger_goes_on(files: Path) -> None:
    spec, output = files / "spikes.snn", files / "more.npz"
    with TwinBoard(DeviceModel(NetworkSpec.load(spec)), files / "port") as board:
        invoke(
            *("run", spec, "--port", board.path, "--data", files / "input.npz", "--records", 2, "-o", output),
            *("--ledger", files / "my.ledger", "-d", "records", "--key-file", files / "trivium.key"),
        )
    with np.load(output) as file:
        assert file["leases"].tolist() == [6, 6]


def test_witness_knows_the_key(files: Path) -> None:
    with Ledger(files / "other.ledger") as ledger:
        ledger.create_budget("records", "record", epsilon=1000, delta="1e-3")
    spec = files / "spikes.snn"
    with TwinBoard(DeviceModel(NetworkSpec.load(spec)), files / "port") as board:
        refused = invoke(
            *("run", spec, "--port", board.path, "--data", files / "input.npz", "-o", files / "more.npz"),
            *("--ledger", files / "other.ledger", "-d", "records", "--key-file", files / "trivium.key"),
            code=5,
        )
    assert "key" in refused.stderr


def test_witness_notices_an_older_copy(files: Path) -> None:
    shutil.copy(files / "my.ledger", files / "copy.ledger")
    test_ledger_goes_on(files)
    shutil.copy(files / "copy.ledger", files / "my.ledger")
    with pytest.raises(LedgerError, match=r"rolled back|older|earlier"), Ledger(files / "my.ledger") as ledger:
        ledger.verify()


def test_partial_output_of_a_run_that_stopped(files: Path) -> None:
    """The budget of the data set ends as it did: four of eight records stay in the partial output."""
    spec = files / "spikes.snn"
    with TwinBoard(DeviceModel(NetworkSpec.load(spec)), files / "port") as board:
        refused = invoke(
            *("run", spec, "--port", board.path, "--data", files / "input.npz", "-o", files / "stopped.npz"),
            *("--ledger", files / "my.ledger", "-d", "small", "--key-file", files / "trivium.key"),
            *("--lease-records", 2),
            code=5,
        )
    assert "4 of 8 records are kept" in refused.stderr


@pytest.mark.parametrize("name", ["plain", "private"])
def test_training_folder(name: str) -> None:
    pytest.importorskip("torch")
    from spikeveil.host.training import load_config, load_network

    ran, asked = load_config(str(OLD / name / "config.toml")), load_config(str(OLD / name / "asked.toml"))
    assert ran == asked
    network, about = load_network(OLD / name / "network.npz")
    assert network.architecture == ran.network
    assert about["result"] == json.loads((OLD / name / "result.json").read_text())


def test_training_goes_on_from_a_checkpoint(files: Path) -> None:
    """The stopped run, gone on with, ends at the weights of the run that was never stopped."""
    pytest.importorskip("torch")
    from spikeveil.host.training import load_network

    folder = files / "plain"
    (folder / "network.npz").rename(files / "uninterrupted.npz")
    invoke("train", folder / "asked.toml", "--out", folder, "--resume", "--threads", 1)
    resumed, uninterrupted = (load_network(path)[0] for path in (folder / "network.npz", files / "uninterrupted.npz"))
    for (layer, one), (_, other) in zip(resumed.named_parameters(), uninterrupted.named_parameters(), strict=True):
        np.testing.assert_allclose(one.detach(), other.detach(), rtol=1e-5, atol=1e-6, err_msg=layer)


def test_private_training_goes_on_from_a_checkpoint(files: Path) -> None:
    """What the stopped run spent stays spent: the end costs the epsilon of the run that was never stopped."""
    pytest.importorskip("torch")
    pytest.importorskip("dp_accounting")
    folder = files / "private"
    old = json.loads((folder / "result.json").read_text())
    invoke("train", folder / "asked.toml", "--out", folder, "--resume", "--threads", 1)
    assert json.loads((folder / "result.json").read_text())["claim"]["epsilon_pld"] == old["claim"]["epsilon_pld"]
