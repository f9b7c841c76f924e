"""The DPSNN study: its rows, a slice of it on the digits, resuming, and its tables."""

import importlib
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from support.paths import ROOT

from spikeveil.host.data.catalogue import load_dataset
from spikeveil.host.training.config import config_of

EXAMPLE = ROOT / "examples" / "dpsnn"


@pytest.fixture(scope="module")
def study() -> Iterator[ModuleType]:
    """The example's module, imported from its folder."""
    names = ("rows", "tables", "study")
    sys.path.insert(0, str(EXAMPLE))
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield importlib.import_module("study")
    finally:
        torch.set_num_threads(before)
        sys.path.remove(str(EXAMPLE))
        for name in names:
            sys.modules.pop(name, None)


def test_rows_are_what_the_study_needs(study: ModuleType) -> None:
    """Net1 and Net2 at full length, and three seeds of every variant; each its own configuration."""
    rows = {row.name: row.config for row in study.rows()}
    for kind in ("snn", "ann"):
        assert {f"net1-{kind}-{sigma}" for sigma in (1.6, 1.0, 0.5)} <= set(rows)
        assert rows[f"net2-{kind}-1.0"].epochs == rows[f"net1-{kind}-0.5"].epochs == 60
    assert len({config.digest for config in rows.values()}) == len(rows)
    for variant, sigmas in {"gate": 3, "tanh": 3, "gaussian": 3, "ann": 3, "lif": 1, "T10": 1, "T15": 1}.items():
        assert len([name for name in rows if name.startswith(f"tenth-{variant}-")]) == 3 * sigmas
        assert len([name for name in rows if name.startswith(f"digits-{variant}-")]) == 3 * sigmas
    assert all(config.epochs == 8 for name, config in rows.items() if name.startswith("tenth"))
    assert all(config.privacy.randomness == "os" for config in rows.values())


def test_finished_rows_are_those_of_today(study: ModuleType) -> None:
    """What study.json holds was made by the configurations that the rows have now."""
    rows = {row.name: row.config for row in study.rows()}
    for name, record in study.load_study().items():
        assert config_of(record["config"]).digest == rows[name].digest
        assert record["accuracy"] == record["accuracy_by_epoch"][-1]
    assert study.tables(study.load_study())


@pytest.mark.parametrize("kind", ["gate", "ann"])
def test_a_slice_on_the_digits(study: ModuleType, kind: str, tmp_path: Path) -> None:
    """SNN and ANN at sigma 1.6, a fifth of the row's steps: stopped once, resumed, added to the study, and learning."""
    (row,) = (row for row in study.rows() if row.name == f"digits-{kind}-1.6-seed1")
    short = replace(row, config=replace(row.config, epochs=20, evaluate_every=5))
    data, path = load_dataset("digits"), tmp_path / "study.json"
    assert not study.train(short, data, tmp_path / "run", path, [15])
    assert not path.exists()
    assert study.train(short, data, tmp_path / "run", path, [])
    record: dict[str, Any] = json.loads(path.read_text())[row.name]
    assert record["privacy"]["steps"] == 200
    assert record["privacy"]["epsilon_pld"] > 1
    assert record["accuracy"] > (0.8 if kind == "ann" else 0.5)
    assert record["steps_lost"] == 0
    assert study.tables({row.name: record}).count("one seed") == 1


def test_tables_by_hand(study: ModuleType) -> None:
    tables = sys.modules["tables"]
    found = {
        f"digits-{kind}-{sigma}-seed{seed}": {"accuracy": accuracy + seed / 100}
        for kind, sigma, accuracy in (("gate", 0.5, 0.9), ("gate", 1.6, 0.89), ("ann", 0.5, 0.95), ("ann", 1.6, 0.9))
        for seed in (1, 2, 3)
    }
    text = tables.by_sigma(found, "digits", "Digits")
    assert (
        "| SNN: IF, gate (eq. 4), T = 5 | 92.0 (91.0 to 93.0) | not run | 91.0 (90.0 to 92.0) | 1.0 (1.0 to 1.0) |"
        in text
    )
    assert "| ANN: tanh | 97.0 (96.0 to 98.0) | not run | 92.0 (91.0 to 93.0) | 5.0 (5.0 to 5.0) |" in text
    row = {"accuracy": 0.97, "config": {"epochs": 60}, "privacy": {"epsilon_pld": 2.793}}
    assert "| Net2 SNN | 1.0 | 60 | 97.00 | 98.36 | -1.36 | 2.793 |" in tables.full_length({"net2-snn-1.0": row})
    assert tables.tables({}) == ""
