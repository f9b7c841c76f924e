"""Budgets by record and by subject: disjoint records cost the largest, releases of one record add up."""

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from io import StringIO
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from spikeveil.host.privacy import RandomizedResponse, Unit
from spikeveil.host.privacy.ledger import (
    BudgetRefused,
    DataIdentity,
    Evidence,
    Ledger,
    LedgerCorrupt,
    LedgerError,
    Session,
    Stated,
    Subjects,
    TrainingSession,
    ranges_of,
    verify_export,
)
from spikeveil.host.privacy.ledger.spread import MemorySpread, Span, apply

KEY = bytes.fromhex("8f3a0b5c7d219e4466f0")
NETWORK = "5a" * 32
DIGITS = Session(RandomizedResponse(69, 8), steps=16, neurons=40, releases=360, delta=Fraction(0), layer=1)
ONE = Fraction(replace(DIGITS, releases=1).cost(Unit.RECORD).epsilon)
SPIKES = np.random.default_rng(8).random((360, 2, 5)) < 0.5

Open = Callable[..., Ledger]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    ledgers: list[Ledger] = []

    def open_one(name: str = "my.ledger", **arguments: object) -> Ledger:
        ledgers.append(Ledger(tmp_path / name, **{"state_directory": tmp_path / "state", **arguments}))  # type: ignore[arg-type]
        return ledgers[-1]

    yield open_one
    for ledger in ledgers:
        ledger.close()


@pytest.fixture
def ledger(opened: Open) -> Ledger:
    return opened()


@pytest.fixture
def data(ledger: Ledger) -> DataIdentity:
    """The 360 records, to which a record budget of 1,000 is bound."""
    found = ledger.identify(SPIKES, create=True)
    ledger.create_budget("digits", "record", 1000, "1e-3", data=found)
    return found


def release(ledger: Ledger, data: DataIdentity, numbers: object, name: str = "digits") -> None:
    count = len(list(numbers))  # type: ignore[call-overload]
    session = replace(DIGITS, releases=count)
    ledger.lease(name, session, key=KEY, specification=NETWORK, records=list(numbers), data=data)  # type: ignore[call-overload]


def spent(ledger: Ledger, name: str = "digits", place: int = 0) -> Fraction:
    return Fraction(ledger.budgets(name)[name][place].epsilon_spent)


def test_different_records_cost_what_the_worst_costs(ledger: Ledger, data: DataIdentity) -> None:
    """360 distinct digits once: one record's epsilon. 100 of them again: the sum for those, the rest unchanged."""
    assert float(ONE) == pytest.approx(638.08, abs=0.01)
    release(ledger, data, range(64))
    release(ledger, data, range(64, 360))
    assert spent(ledger) == ONE
    with pytest.raises(BudgetRefused) as refusal:
        release(ledger, data, range(100, 200))
    assert "exceeded at record level by record 100: limit 1000" in str(refusal.value)
    assert refusal.value.who == "record 100"
    assert spent(ledger) == ONE
    ledger.verify()


def test_releases_of_one_record_add_up(ledger: Ledger) -> None:
    data = ledger.identify(SPIKES, create=True)
    ledger.create_budget("digits", "record", 3000, "1e-3", data=data)
    release(ledger, data, range(360))
    release(ledger, data, range(200, 300))
    assert spent(ledger) == 2 * ONE
    release(ledger, data, [*range(0, 200), *range(300, 360)])
    assert spent(ledger) == 2 * ONE
    release(ledger, data, [7])
    assert spent(ledger) == 3 * ONE
    assert ledger.standing("digits").worst == {Unit.RECORD: 7}
    assert ledger.standing("digits").left == {Unit.RECORD: int((3000 - 3 * ONE) // ONE)}
    ledger.verify()


def test_a_charge_without_records_counts_for_every_one(ledger: Ledger, data: DataIdentity) -> None:
    ledger.spend("digits", Stated("label", Unit.RECORD, 100, 0), source="os")
    release(ledger, data, [3])
    assert spent(ledger) == 100 + ONE
    ledger.spend("digits", Stated("label", Unit.RECORD, 50, 0), source="os", records=[4], data=data)
    assert spent(ledger) == 100 + ONE
    with pytest.raises(BudgetRefused, match=r"at record level by record 3: "):
        ledger.spend("digits", Stated("label", Unit.RECORD, 300, 0), source="os", records=[2, 3], data=data)


def test_a_subject_costs_all_its_records(opened: Open) -> None:
    """Three subjects of 100, 100 and 160 records; the middle one's alone, then all of them."""
    ledger = opened()
    data = ledger.identify(SPIKES, create=True)
    groups = Subjects.of("patient", ["a"] * 100 + ["b"] * 100 + ["c"] * 160)
    ledger.create_budget("digits", "record", 10**4, "1e-3", data=data, subjects=groups)
    ledger.create_budget("digits", "subject", 10**6, "1e-3", data=data)
    release(ledger, data, range(90, 210))  # 10 of a, 100 of b, 10 of c
    assert (spent(ledger), spent(ledger, place=1)) == (ONE, replace(DIGITS, releases=100).cost(Unit.RECORD).epsilon)
    release(ledger, data, range(190, 360))  # 10 of b, 160 of c
    session = [replace(DIGITS, releases=count).cost(Unit.RECORD).epsilon for count in (10, 160)]
    assert spent(ledger, place=1) == sum(session)
    assert ledger.standing("digits").worst[Unit.SUBJECT] == 2
    assert ledger.verify().recomputed == 2


def test_subjects_compose_exactly_within_a_session(opened: Open) -> None:
    """One subject with two records of one bit each, released in one session: two responses, not twice one."""
    ledger = opened()
    data = ledger.identify(SPIKES[:2], create=True)
    ledger.create_budget("x", "subject", 100, "0.1", data=data, subjects=Subjects.of("who", [5, 5]))
    session = Session(RandomizedResponse(1, 2), 1, 1, 2, Fraction(1, 100))
    entry = ledger.spend("x", session, source="os", records=[0, 1], data=data)
    assert entry.content["charges"][0]["bits"] == 2
    assert float(spent(ledger, "x")) == RandomizedResponse(1, 2).epsilon_composed(2, 0.01)


def test_a_budget_is_bound_to_its_data(ledger: Ledger, data: DataIdentity, tmp_path: Path) -> None:
    other = ledger.identify(~SPIKES)
    with pytest.raises(LedgerError, match=r"^data set 'digits' is bound to other data: .* `spikeveil budget extend"):
        release(ledger, other, [0])
    with pytest.raises(LedgerError, match=r"^the data are bound to data set 'digits' already"):
        ledger.create_budget("numbers", "record", 5, 0, data=data)
    key = tmp_path / "my.ledger.data-key"
    assert key.stat().st_mode & 0o777 == 0o600
    text = StringIO()
    ledger.export(text)
    assert key.read_text().strip() not in text.getvalue()
    key.chmod(0o644)
    with pytest.raises(LedgerError, match="must be for its owner alone"):
        ledger.identify(SPIKES)


def test_a_file_is_joined_by_a_statement_alone(ledger: Ledger, data: DataIdentity) -> None:
    other = ledger.identify(~SPIKES)
    ledger.extend("digits", other)
    release(ledger, data, range(360))
    release(ledger, other, range(360))
    assert spent(ledger) == ONE
    assert ledger.binding("digits").records == 720
    with pytest.raises(BudgetRefused, match="by record 365: "):
        release(ledger, other, [5])
    ledger.verify()


def test_releases_and_training_are_charged_to_their_own_relation(ledger: Ledger, data: DataIdentity) -> None:
    training = TrainingSession(1.1, 64, 1437, 300, Fraction(1, 10**5), "rdp")
    with pytest.raises(LedgerError, match=r"^data set 'digits' has no add/remove budget"):
        ledger.spend("digits", training, source="os")
    ledger.create_budget("digits", "record", 10, "1e-4", relation="add/remove")
    ledger.spend("digits", training, source="os")
    release(ledger, data, [1])
    substitution, added = ledger.budgets("digits")["digits"]
    assert substitution.epsilon_spent == ONE
    assert added.epsilon_spent == training.cost(Unit.RECORD).epsilon
    assert ledger.verify().recomputed == 2
    with pytest.raises(ValueError, match="an add/remove budget is at record level"):
        ledger.create_budget("faces", "spike", 1, 0, relation="add/remove")


def test_small_units_are_for_one_layer_of_one_network(opened: Open) -> None:
    ledger = opened()
    ledger.create_budget("digits", "spike", 10, 0)
    ledger.create_budget("faces", "spike", 10, 0, specification="ab" * 32, layer=1)
    evidence = Evidence(specification=NETWORK)
    with pytest.raises(LedgerError, match="needs the specification and the layer"):
        ledger.spend("digits", replace(DIGITS, layer=None), source="os", evidence=evidence)
    ledger.spend("digits", replace(DIGITS, releases=1), source="os", evidence=evidence)
    for session, network in ((DIGITS, "ab" * 32), (replace(DIGITS, layer=0), NETWORK)):
        with pytest.raises(LedgerError, match=r"is for layer 1 of network 5a5a5a5a5a5a, not .* bound nothing"):
            ledger.spend("digits", session, source="os", evidence=Evidence(specification=network))
    with pytest.raises(LedgerError, match=r"is for layer 1 of network abababababab"):
        ledger.spend("faces", replace(DIGITS, releases=1), source="os", evidence=evidence)
    ledger.verify()


def test_one_data_set_has_one_spelling(opened: Open) -> None:
    ledger = opened()
    ledger.create_budget("Digits", "record", 10, 0)
    for name in ("digits", "Digits", "digits ", "\uff24\uff49\uff47\uff49\uff54\uff53", "DIGITS"):
        with pytest.raises(LedgerError, match="data set 'digits' already has a budget"):
            ledger.create_budget(name, "record", 10, 0)
    for name in ("digits", "Digits", "digits ", "\uff24\uff49\uff47\uff49\uff54\uff53", "DIGITS"):
        ledger.spend(name, Stated("label", Unit.RECORD, 1, 0), source="os")
    assert spent(ledger) == 5


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"records": [0, 0]}, "record numbers must be 0 or more, each once"),
        ({"records": [-1, 0]}, "record numbers must be 0 or more, each once"),
        ({"records": [359, 360]}, "record ranges must be increasing intervals within 360 records"),
        ({"records": ((0, 1), (1, 2))}, "record ranges must be increasing intervals"),
        ({"records": [1]}, "session releases must be the 1 records named, not 2"),
        ({"records": [1, 2], "data": None}, "record numbers need the data"),
    ],
)
def test_wrong_records_are_refused(
    ledger: Ledger, data: DataIdentity, arguments: dict[str, object], sentence: str
) -> None:
    session = replace(DIGITS, releases=2)
    with pytest.raises(ValueError, match=sentence):
        ledger.spend("digits", session, source="os", **{"data": data, **arguments})  # type: ignore[arg-type]
    assert spent(ledger) == 0


def test_the_table_of_what_records_have_spent_is_checked(ledger: Ledger, data: DataIdentity) -> None:
    release(ledger, data, range(10))
    with ledger._database.write() as connection:
        connection.execute("UPDATE spent SET amounts = replace(amounts, '0/1', '1/2')")
    with pytest.raises(LedgerCorrupt, match="what its records have spent was changed"):
        ledger.verify()


# The step function, against a plain array


def test_intervals_are_an_array_of_sums() -> None:
    """Random charges on 50 records: every sum equals the array's, spans are maximal and disjoint."""
    dice = random.Random(4)
    for _ in range(200):
        plain, spread = [Fraction(0)] * 50, MemorySpread()
        for _ in range(dice.randrange(1, 12)):
            first = dice.randrange(50)
            end, amount = dice.randrange(first + 1, 51), Fraction(dice.randrange(0, 4))
            apply(spread, [Span(first, end, ((amount, Fraction(0)),))])
            plain[first:end] = [value + amount for value in plain[first:end]]
        found = [Fraction(0)] * 50
        for span in spread.spans:
            found[span.first : span.end] = [Fraction(span.amounts[0][0])] * (span.end - span.first)
        for span, after in pairwise(spread.spans):
            assert span.end < after.first or (span.end == after.first and span.amounts != after.amounts)
        assert found == plain


def test_ranges_name_each_number_once() -> None:
    assert ranges_of([5, 3, 4, 9]) == ((3, 6), (9, 10))
    assert ranges_of(np.arange(10**6)) == ((0, 10**6),)
    assert ranges_of([]) == ()


@pytest.mark.slow
def test_a_hundred_million_records_stay_small(opened: Open) -> None:
    """Leases of 10^8 records and over many intervals: each within 10 ms besides the disk's sync."""
    ledger = opened()
    data = DataIdentity("ab" * 32, 10**8)
    ledger.create_budget("many", "record", 10**9, "1e-3", data=data)
    whole = Session(RandomizedResponse(69, 8), 16, 40, 10**8, Fraction(0))
    ledger.spend("many", whole, source="os", records=((0, 10**8),), data=data)
    dice = random.Random(1)
    times = []
    for _ in range(400):
        first = dice.randrange(10**8 - 64)
        start = time.perf_counter()
        session = replace(whole, releases=64)
        ledger.lease("many", session, key=KEY, specification=NETWORK, records=((first, first + 64),), data=data)
        times.append(time.perf_counter() - start)
    assert sorted(times)[40] < 0.010  # the quickest tenth: others use the machine
    assert spent(ledger, "many") in (2 * ONE, 3 * ONE)
    ledger.verify()


# Files of schema 1


def test_an_old_ledger_is_upgraded_at_its_next_charge(opened: Open, tmp_path: Path) -> None:
    old = Path(__file__).parents[1] / "data" / "ledger"
    (tmp_path / "old.ledger").write_bytes((old / "schema1.ledger").read_bytes())
    ledger = opened("old.ledger")
    before = ledger.budgets()
    checked = ledger.verify()
    assert (checked.leases, checked.recomputed, len(checked.stated), checked.witness_new) == (3, 5, 1, True)
    assert verify_export(old / "schema1.jsonl").head == checked.head
    text = StringIO()
    ledger.export(text)
    assert text.getvalue() == (old / "schema1.jsonl").read_text()
    ledger.spend("Faces", Stated("label", Unit.RECORD, 1, 0), source="os")
    assert ledger.history()[-2].kind == "upgrade"
    assert ledger.budgets()["Faces"][0].epsilon_spent == 1 + before["Faces"][0].epsilon_spent
    assert ledger.budgets()["digits"] == before["digits"]
    assert ledger.budgets()["digits"][1].every == before["digits"][1].epsilon_spent
    assert not ledger.verify().witness_new
    with pytest.raises(LedgerError, match="has been charged"):
        ledger.create_budget("digits", "step", 1, 0)
