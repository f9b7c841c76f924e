"""Records through the model in blocks: the same output as at once, in bounded memory, resumed where it stopped."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from support.commands import invoke

from spikeveil.host.cli import model_simulation
from spikeveil.host.data import spike_files
from spikeveil.pysim import FlipSpec, LayerSpec, Network, NetworkSpec, TriviumSource

KEY = bytes.fromhex("d7098d7a5b8f27cdfb58")
LEASE = 1 << 39
DICE = np.random.default_rng(4)
SPIKES = DICE.random((50, 4, 6)) < 0.5
FIRES = NetworkSpec([LayerSpec(DICE.integers(-9, 20, (4, 6)), 12, flip=FlipSpec(40, 8))])
READOUT = NetworkSpec([*FIRES.layers, LayerSpec(DICE.integers(-9, 9, (2, 4)), readout=True, state_bits=12)])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Data that are read in blocks of seven records, a key."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(spike_files, "STREAMED_BYTES", 1)
    monkeypatch.setattr(model_simulation, "block_records", lambda spec, steps: 7)
    np.savez_compressed("x.npz", x=SPIKES, labels=np.arange(50) % 2)
    np.save("x.npy", SPIKES)
    FIRES.save("fires.snn")
    READOUT.save("readout.snn")
    Path("key").write_text(KEY.hex())
    Path("key").chmod(0o600)
    return tmp_path


def simulate(network: str, data: str, *options: Any, code: int = 0) -> dict[str, Any]:
    command = ["simulate", network, "--data", data, "--key-file", "key", "--lease", LEASE, "-o", "o.npz", "--json"]
    shown = invoke(*command, *options, code=code)
    return json.loads(shown.stdout) if code == 0 else {}


@pytest.mark.parametrize("data", ["x.npy", "x.npz"])
@pytest.mark.parametrize(("network", "spec"), [("fires.snn", FIRES), ("readout.snn", READOUT)])
def test_blocks_give_the_models_output(folder: Path, data: str, network: str, spec: NetworkSpec) -> None:
    report = simulate(network, data, "--skip", 3, "--records", 40, "--first-record", 5)
    golden = Network(spec, TriviumSource(KEY)).run(SPIKES[3:43], lease=LEASE, first_record=5)
    with np.load("o.npz") as found:
        name, expected = ("released", golden.released) if golden.readout is None else ("readout", golden.readout)
        assert_array_equal(found[name], expected)
        assert str(found["fingerprint"]) == spec.fingerprint
    assert report["records"] == 40 and not Path("o.npz.partial").exists()
    if golden.released is not None:
        assert report["released_spikes_per_record"] == golden.released.sum() / 40
    assert (report["released_accuracy"] is None) == (data == "x.npy")


def test_an_interrupted_run_goes_on_where_it_stopped(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs: list[int] = []
    whole = Network.run

    def counted(self: Network, spikes: Any, **options: Any) -> Any:
        runs.append(len(spikes))
        if len(runs) == 4:
            raise OSError(28, "No space left on device", "o.npz.partial")
        return whole(self, spikes, **options)

    monkeypatch.setattr(Network, "run", counted)
    simulate("fires.snn", "x.npy", code=1)
    assert Path("o.npz.partial").stat().st_mode & 0o777 == 0o600 and not Path("o.npz").exists()
    with Path("o.npz.partial").open("ab") as file:
        file.write(b"half a rec")
    simulate("fires.snn", "x.npy")
    assert sum(runs[4:]) == 50 - 21
    golden = whole(Network(FIRES, TriviumSource(KEY)), SPIKES, lease=LEASE)
    assert_array_equal(np.load("o.npz")["released"], golden.released)


def test_another_runs_partial_file_is_begun_anew(folder: Path) -> None:
    Path("o.npz.partial").write_bytes(b'{"simulate": "0"}\n' + bytes(1000))
    simulate("fires.snn", "x.npy")
    golden = Network(FIRES, TriviumSource(KEY)).run(SPIKES, lease=LEASE)
    assert_array_equal(np.load("o.npz")["released"], golden.released)


def test_values_that_are_no_spikes_are_refused(folder: Path) -> None:
    np.save("x.npy", np.full((50, 4, 6), 2))
    shown = invoke("simulate", "fires.snn", "--data", "x.npy", "-o", "o.npz", code=1)
    assert "data x.npy must be 0 and 1, not 2" in shown.stderr
