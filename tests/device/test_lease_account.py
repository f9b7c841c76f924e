"""Leases and budgets: exhausted, at every unit, missing, locked."""

import sqlite3
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from support.driver_runs import QUICK, RECORDS, SPEC, SPIKES, leases, run

from spikeveil.host.device.driver import Device
from spikeveil.host.device.results import Results
from spikeveil.host.privacy.ledger import BudgetRefused, Ledger, LedgerError, LedgerLocked


def test_the_budget_ends_in_the_middle(make_board: Any, tmp_path: Path) -> None:
    board, results = make_board(), Results(SPEC, SPIKES)
    with Ledger(tmp_path / "small.ledger", state_directory=tmp_path / "state") as small:
        small.create_budget("data", "record", 1000, "1e-2")
        with pytest.raises(BudgetRefused, match="nothing was charged"):
            run(board, small, results=results)
        assert 0 < results.received.sum() < RECORDS
        assert results.received.sum() == sum(leases(small))


def test_budgets_at_every_unit_pay(make_board: Any, tmp_path: Path) -> None:
    with Ledger(tmp_path / "all.ledger", state_directory=tmp_path / "state") as all_units:
        for unit in ("spike", "neuron", "step", "record"):
            all_units.create_budget("data", unit, "inf", "1e-2")
        spent = run(make_board(), all_units).claim.parts()["spent"]
        balances = all_units.budgets("data")["data"]
    assert [balance.delta_spent for balance in balances] == [Fraction(3, 10**6)] * 4
    for unit in ("spike", "neuron", "step", "record"):
        assert f"charged at {unit} level" in spent


def test_no_budget_and_a_locked_ledger(make_board: Any, ledger: Ledger) -> None:
    board = make_board()
    with Device.open(str(board.path), timing=QUICK) as device:
        with pytest.raises(ValueError, match=r"^call `load` before `run`: the device's network is not known$"):
            device.run(SPIKES, ledger=ledger, data_set="data")
        device.load(SPEC)
        with pytest.raises(LedgerError, match="data set 'nobody' has no budget"):
            device.run(SPIKES, ledger=ledger, data_set="nobody")
        with closing(sqlite3.connect(ledger.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(LedgerLocked, match="nothing was written"):
                device.run(SPIKES, ledger=ledger, data_set="data")
    assert board.endpoint.device.status().lease == 0
