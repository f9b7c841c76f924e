"""Budgets under a Rényi filter: the same rule as the accountant's, kept in the ledger for every record."""

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from privacy.test_ledger_exports import chained, entries_of

from spikeveil.host.privacy import Accountant, RandomizedResponse, Unit
from spikeveil.host.privacy.budget import BudgetExceeded
from spikeveil.host.privacy.ledger import (
    BudgetRefused,
    DecisionSession,
    Ledger,
    LedgerCorrupt,
    Session,
    Stated,
    Subjects,
    verify_export,
)
from spikeveil.host.privacy.ledger.amounts import from_text
from spikeveil.pysim.model.decision import Decision

KEY = bytes.fromhex("8f3a0b5c7d219e4466f0")
FLIP = RandomizedResponse(26000)  # epsilon 0.42 of one spike
ONE_BIT = Session(FLIP, steps=1, neurons=1, releases=1, delta=Fraction(0))
RECORD = Session(FLIP, steps=4, neurons=5, releases=3, delta=Fraction(1, 10**6), spike_limit=3)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "my.ledger", state_directory=tmp_path / "state") as opened:
        yield opened


def closed_form(p: float, order: float) -> float:
    """Rényi divergence of randomised response (Mironov 2017, proposition 5)."""
    return math.log(p**order * (1 - p) ** (1 - order) + (1 - p) ** order * p ** (1 - order)) / (order - 1)


def charge(ledger: Ledger, name: str = "digits") -> dict[str, Any]:
    return dict(ledger.history(name, last=1)[0].content["charges"][0])


@pytest.mark.parametrize("order", [1.5, 4.0, 32.0])
def test_a_charge_is_the_closed_form(ledger: Ledger, order: float) -> None:
    ledger.create_budget("digits", "record", 50, "1e-5", rule="renyi", order=order)
    ledger.spend("digits", RECORD, source="os")
    found = charge(ledger)
    assert found["unit"] == "record"
    assert from_text(found["order"]) == Fraction(order)
    assert set(found) == {"unit", "bits", "divergence", "delta", "order"}
    wanted = found["bits"] * closed_form(26000 / 65536, order)
    assert found["bits"] == 3 * 6
    assert wanted * (1 - 1e-12) <= float(from_text(found["divergence"])) <= wanted * (1 + 1e-9)


def test_the_rule_is_the_accountants(ledger: Ledger) -> None:
    """Session after session, until both refuse the same one."""
    ledger.create_budget("digits", "spike", 3, "1e-5", specification="5a" * 32, layer=0, rule="renyi")
    accountant = Accountant(3, Fraction(1, 10**5), unit="spike", rule="renyi")
    session = replace(ONE_BIT, layer=0)
    (balance,) = ledger.budgets("digits")["digits"]
    assert float(balance.order or 0) == accountant.order
    count = 0
    while True:
        mechanism = RandomizedResponse(29000 + 100 * count)
        try:
            accountant.spend(mechanism, count=2)
        except BudgetExceeded:
            break
        charged = replace(session, mechanism=mechanism, releases=2)
        ledger.lease("digits", charged, key=KEY, specification="5a" * 32)
        count += 1
    with pytest.raises(
        BudgetRefused, match=r"^Rényi divergence budget of data set 'digits' exceeded at spike level: limit "
    ):
        ledger.lease("digits", charged, key=KEY, specification="5a" * 32)
        ledger.lease("digits", replace(session, mechanism=RandomizedResponse(2000)), key=KEY, specification="5a" * 32)
    (balance,) = ledger.budgets("digits")["digits"]
    assert count > 3
    assert balance.epsilon_spent == 3
    assert balance.delta_stated == Fraction(1, 10**5)
    assert ledger.verify().above == ()


def test_what_it_bears_is_within_the_limit_and_more_than_the_sum(ledger: Ledger) -> None:
    """As many single bits as fit: their exact composition is below the limit; the sum rule bears fewer."""
    counts, small = {}, RandomizedResponse(32000)
    for name, options in (("sum", {}), ("renyi", {"rule": "renyi"})):
        ledger.create_budget(name, "record", 8, "1e-5", **options)  # type: ignore[arg-type]
        bits = 0
        while True:
            try:
                ledger.spend(name, replace(ONE_BIT, mechanism=small, releases=20), source="os")
            except BudgetRefused:
                break
            bits += 20
        counts[name] = bits
    assert small.epsilon_composed(counts["renyi"], 1e-5) <= 8
    assert counts["renyi"] > 4 * counts["sum"]


def test_every_record_and_subject_has_a_sum_of_its_own(ledger: Ledger) -> None:
    data = ledger.identify(np.eye(6, dtype=bool), create=True)
    groups = Subjects.of("who", [1, 1, 2, 2, 2, 3])
    ledger.create_budget("digits", "record", 60, "1e-5", data=data, subjects=groups, rule="renyi", order=4)
    ledger.create_budget("digits", "subject", 90, "1e-5", rule="renyi", order=4)
    ledger.spend("digits", RECORD, source="os", records=[0, 1, 4], data=data)
    ledger.spend("digits", replace(RECORD, releases=1), source="os", records=[4], data=data)
    record, subject = ledger.budgets("digits")["digits"]
    one = Fraction(6) * Fraction(charge_of_bit(4.0))
    assert record.spent == 2 * one
    assert subject.spent == 2 * one
    assert ledger.standing("digits").worst == {Unit.RECORD: 4, Unit.SUBJECT: 0}
    assert record.epsilon_spent == 60
    assert 0 < record.epsilon_remaining < 60
    assert ledger.verify().recomputed == 2


def charge_of_bit(order: float) -> float:
    from spikeveil.host.privacy.bounds import response_rdp

    return response_rdp(FLIP.flip_probability, order)


def test_decisions_and_stated_costs(ledger: Ledger) -> None:
    ledger.create_budget("digits", "record", 60, "1e-5", rule="renyi", order=4)
    decision = Decision(10, 3000, 16)
    ledger.spend("digits", DecisionSession(decision, 4, 5, Fraction(1, 10**6)), source="os")
    epsilon = float(decision.epsilon)
    p = 1 / (1 + math.exp(epsilon))
    assert float(from_text(charge(ledger)["divergence"])) == pytest.approx(5 * closed_form(p, 4), rel=1e-9)
    ledger.spend("digits", Stated("label", Unit.RECORD, "0.5", 0), source="os")
    p = 1 / (1 + math.exp(0.5))
    assert float(from_text(charge(ledger)["divergence"])) == pytest.approx(closed_form(p, 4), rel=1e-9)
    for infinite in (Stated("x", Unit.RECORD, "0.1", "1e-9"), Stated("x", Unit.SPIKE, "0.1", 0)):
        with pytest.raises(BudgetRefused, match="asked inf; nothing was charged"):
            ledger.spend("digits", infinite, source="os")
    with pytest.raises(BudgetRefused, match="asked inf"):
        ledger.spend("digits", RECORD, source="lfsr")
    huge = Stated("x", Unit.RECORD, "1e300", 0)  # its divergence is bounded by its epsilon, without any exponential
    with pytest.raises(BudgetRefused, match="asked 1e"):
        ledger.spend("digits", huge, source="os")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"epsilon": "inf"}, "budget epsilon must be finite for the renyi rule, not inf"),
        ({"delta": 0}, "delta limit must be above 0 for the renyi rule, not 0"),
        ({"epsilon": "0.001"}, "out of reach of a Rényi filter"),
        ({"relation": "add/remove"}, "a Rényi filter is for a finite epsilon and for releases"),
        ({"order": 1}, "order must be a float above 1, at most 1000, not 1"),
        ({"order": 1001}, "order must be a float above 1, at most 1000, not 1001"),
        ({"order": math.nan}, "order must be a number above 1, at most 1000, not nan"),
        ({"rule": "sum", "order": 4}, "order is for the renyi rule, not 4 with sum"),
        ({"rule": "zcdp"}, "rule must be sum or renyi, not 'zcdp'"),
    ],
)
def test_filters_that_cannot_be(ledger: Ledger, change: dict[str, Any], sentence: str) -> None:
    arguments = {"epsilon": 5, "delta": "1e-5", "rule": "renyi", **change}
    with pytest.raises(ValueError, match=sentence):
        ledger.create_budget("digits", "record", arguments.pop("epsilon"), arguments.pop("delta"), **arguments)
    assert ledger.budgets() == {}


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("divergence", "1/1000", "balances that do not add up"),
        ("order", "5/1", "does not charge every budget"),
        ("bits", 17, "does not charge what its session composes"),
    ],
)
def test_a_changed_charge_is_found(ledger: Ledger, tmp_path: Path, field: str, value: Any, sentence: str) -> None:
    ledger.create_budget("digits", "record", 60, "1e-5", rule="renyi", order=4)
    ledger.spend("digits", RECORD, source="os")
    text = StringIO()
    assert ledger.export(text).entries == 3
    path = tmp_path / "my.jsonl"
    path.write_text(text.getvalue())
    assert verify_export(path).recomputed == 1
    entries, end = entries_of(path)
    entries[-1]["charges"][0][field] = value
    path.write_text(chained(entries, end))
    with pytest.raises(LedgerCorrupt, match=sentence):
        verify_export(path)


def test_a_smaller_divergence_with_fitting_balances_is_found(ledger: Ledger, tmp_path: Path) -> None:
    ledger.create_budget("digits", "record", 60, "1e-5", rule="renyi", order=4)
    ledger.spend("digits", RECORD, source="os")
    path = tmp_path / "my.jsonl"
    with path.open("w") as stream:
        ledger.export(stream)
    entries, end = entries_of(path)
    entries[-1]["charges"][0]["divergence"] = "1/2"
    entries[-1]["balances"][0] |= {"divergence_spent": "1/2", "divergence_every": "1/2"}
    path.write_text(chained(entries, end))
    with pytest.raises(LedgerCorrupt, match=r"entry 3 charges Rényi divergence 0\.5 at record level for what costs "):
        verify_export(path)
    assert json.loads(path.read_text().splitlines()[0])["entry"]["schema"] == 2
