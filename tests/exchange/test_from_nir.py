"""`spikeveil.from_nir` and --from: the choices of a library by its name, single ones in their place."""

import json
from pathlib import Path

import numpy as np
import pytest
from support.commands import invoke
from support.paths import DATA

import spikeveil
from spikeveil.host.data import load_data
from spikeveil.host.exchange.conventions import CONVENTIONS
from spikeveil.pysim import NetworkSpec

pytest.importorskip("nir")

NIR = DATA / "nir"


def test_the_command_and_the_call_give_the_same_network(tmp_path: Path) -> None:
    data = load_data(NIR / "snntorch_delayed.npz")
    words = ["import", NIR / "snntorch_delayed.nir", "--from", "snntorch", "--data", NIR / "snntorch_delayed.npz"]
    record = json.loads(invoke(*words, "-o", tmp_path / "n.snn", "--json").stdout)
    assert record["choices"]["reset_timing"] == "delayed" and record["recorded"]["different"] == 0
    made = spikeveil.from_nir(NIR / "snntorch_delayed.nir", convention="snntorch", data=data.inputs)
    assert made == NetworkSpec.load(tmp_path / "n.snn")
    origin = NetworkSpec.origin(tmp_path / "n.snn")
    assert origin is not None and origin["steps"] == data.inputs.shape[1]


def test_a_single_choice_takes_the_place_of_the_convention(tmp_path: Path) -> None:
    words = ["import", NIR / "snntorch_conv.nir", "--from", "snntorch", "--data", NIR / "snntorch_conv.npz", "--json"]
    assert json.loads(invoke(*words).stdout)["recorded"]["different"] > 0
    record = json.loads(invoke(*words, "--reset", "zero").stdout)
    assert record["recorded"]["different"] == 0 and record["choices"]["reset"] == "zero"
    choices = {"dt": 1e-4, "decay": "euler", "reset": "zero", "reset_timing": "delayed", "compare": "gt"}
    conv = NIR / "snntorch_conv.nir"
    assert spikeveil.from_nir(conv, **choices) == spikeveil.from_nir(conv, convention="snntorch", reset="zero")


def test_what_is_missing_or_unknown_is_refused() -> None:
    with pytest.raises(ValueError, match="the file does not say --dt"):
        spikeveil.from_nir(NIR / "snntorch_conv.nir")
    with pytest.raises(ValueError, match="convention must be one of 'snntorch'"):
        spikeveil.from_nir(NIR / "snntorch_conv.nir", convention="brian")
    shown = invoke("import", "--help").stdout
    assert all(name in shown for name in CONVENTIONS)


def test_an_exported_network_comes_back_as_it_is(tmp_path: Path) -> None:
    net = spikeveil.from_arrays([np.eye(3)])
    net.save(tmp_path / "n.snn")
    invoke("export", tmp_path / "n.snn", "-o", tmp_path / "n.nir")
    assert spikeveil.from_nir(tmp_path / "n.nir") == net
