"""Ledgers, exports and numbers of somebody who means harm: refused, in a moment, with one sentence."""

import copy
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from privacy.test_ledger_exports import FREE, chained, entries_of, folder, leaves  # noqa: F401, a fixture

from spikeveil.host.privacy import Accountant, RandomizedResponse, Unit
from spikeveil.host.privacy.ledger import (
    Ledger,
    LedgerCorrupt,
    LedgerError,
    Session,
    Stated,
    TrainingSession,
    amount,
    verify_export,
)
from spikeveil.host.privacy.ledger.amounts import from_text, to_text

KEY = bytes.fromhex("8f3a0b5c7d219e4466f0")
SESSION = Session(RandomizedResponse(1, 2), steps=2, neurons=2, releases=1, delta=Fraction(0))
MOMENT = 5.0  # seconds, of a test machine that others use; the numbers below took for ever, or gigabytes


@pytest.fixture
def quick() -> Any:
    start = time.monotonic()
    yield
    assert time.monotonic() - start < MOMENT


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        ("1e99999999", "x exponent must be -400 to 400, not 99999999"),
        ("1e-99999999", "x exponent must be -400 to 400, not -99999999"),
        ("1e" + "9" * 40, "x exponent must be -400 to 400, not 99999999999999999999"),
        ("0." + "1" * 61, "x must have at most 60 digits"),
        ("1/" + "7" * 61, "x must have at most 60 digits"),
        ("7" * 10**6, "x must have at most 60 digits, not those of '77777"),
        ("1/0", "x must be a number, 0 or more, not '1/0'"),
        ("nan", "x must be a number"),
        (Decimal("1e99999999"), "x must have powers of ten from -400 to 400, not Decimal"),
        (Decimal("1e-99999999"), "x must have powers of ten from -400 to 400, not Decimal"),
    ],
)
def test_numbers_are_bounded_before_any_arithmetic(typed: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{sentence}"):
        amount("x", typed)


@pytest.mark.usefixtures("quick")
def test_numbers_of_every_form_are_read_exactly() -> None:
    forms = {
        "0.1": Fraction(1, 10),
        " 1/3 ": Fraction(1, 3),
        "1e-400": Fraction(1, 10**400),
        "2.50E1": 25,
        ".5": Fraction(1, 2),
    }
    assert {typed: amount("x", typed) for typed in forms} == forms
    assert amount("x", Decimal("0e99999999")) == 0
    with pytest.raises(ValueError, match="powers of ten"):
        Accountant(Decimal("1e99999999"), unit="record")


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("text", ["1e99999999/1", "1/0", "2/4", "01/3", "-1/3", "1/" + "7" * 2001, "1_0/3", 7, None])
def test_an_entry_holds_amounts_of_one_form(text: Any) -> None:
    with pytest.raises(ValueError, match=r"^an amount must be"):
        from_text(text)


def test_an_amount_too_long_for_an_entry_is_refused_before_it_is_written() -> None:
    assert from_text(to_text(Fraction(1, 10**1998))) == Fraction(1, 10**1998)
    with pytest.raises(ValueError, match=r"^an amount must have at most 2000 digits"):
        to_text(Fraction(1, 10**2001))


@pytest.mark.usefixtures("quick")
def test_steps_that_would_take_gigabytes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^training steps must be at most 10\^7 for method pld, not 1000000000: use"):
        TrainingSession(100.0, 10, 100, 10**9, Fraction(1, 10**5), "pld")
    assert TrainingSession(100.0, 10, 100, 10**9, Fraction(1, 10**5), "rdp").cost(Unit.RECORD).epsilon > 0


def test_every_number_of_an_export_may_be_huge(folder: Path, tmp_path: Path) -> None:  # noqa: F811
    """Each number of each entry, the chain recomputed: refused or (where nothing determines it) read, in a moment."""
    entries, end = entries_of(folder / "my.jsonl")
    forged, count = tmp_path / "forged.jsonl", 0
    for number, entry in enumerate(entries):
        for path, value in leaves(entry):
            if isinstance(value, bool) or (not isinstance(value, int) and "/" not in str(value)):
                continue
            for huge in (10**12, 10**4000) if isinstance(value, int) else ("1e99999999/1", "1/" + "7" * 2500):
                altered = copy.deepcopy(entries)
                place: Any = altered[number]
                for key in path[:-1]:
                    place = place[key]
                place[path[-1]] = huge
                forged.write_text(chained(altered, {"end": end["end"]}))
                start = time.monotonic()
                with suppress(LedgerCorrupt):
                    assert verify_export(forged).above or path[-1] in FREE
                assert time.monotonic() - start < MOMENT, (number, path)
                count += 1
    assert count > 200


@pytest.fixture
def ledger(tmp_path: Path) -> Any:
    with Ledger(tmp_path / "my.ledger", state_directory=tmp_path / "state") as opened:
        opened.create_budget("digits", "record", 10**6, 0)
        for _ in range(3):
            opened.lease("digits", SESSION, key=KEY, specification="5a" * 32)
        yield opened


def test_new_files_are_for_their_owner_alone(ledger: Ledger, tmp_path: Path) -> None:
    ledger.identify(np.eye(3, dtype=bool), create=True)
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.rglob("*") if path.is_file()}
    assert {"my.ledger", "my.ledger-wal", "my.ledger.data-key", "witness.db"} <= modes.keys()
    assert set(modes.values()) == {0o600}


def test_a_mode_that_the_owner_gave_stays(ledger: Ledger, tmp_path: Path) -> None:
    ledger.close()
    ledger.path.chmod(0o640)
    with Ledger(ledger.path, state_directory=tmp_path / "state") as again:
        again.lease("digits", SESSION, key=KEY, specification="5a" * 32)
    assert ledger.path.stat().st_mode & 0o777 == 0o640


def test_no_ledger_is_made_where_no_witness_can_be(tmp_path: Path) -> None:
    (tmp_path / "in the way").touch()
    with pytest.raises(LedgerError, match="witness file"):
        Ledger(tmp_path / "my.ledger", state_directory=tmp_path / "in the way" / "state")
    assert not (tmp_path / "my.ledger").exists()


DAMAGES: dict[str, Callable[[sqlite3.Connection], object]] = {
    "no head row": lambda raw: raw.execute("DELETE FROM head"),
    "a head of another type": lambda raw: raw.execute("UPDATE head SET hash = 7"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_corrupt_ledger_does_not_lease(ledger: Ledger, tmp_path: Path, damage: str) -> None:
    ledger.close()
    with closing(sqlite3.connect(ledger.path, isolation_level=None)) as raw:
        DAMAGES[damage](raw)
    with Ledger(ledger.path, state_directory=tmp_path / "state") as again:
        for action in (
            again.verify,
            lambda: again.head,
            lambda: again.spend("digits", Stated("x", Unit.RECORD, 1, 0), source="os"),
        ):
            with pytest.raises(LedgerCorrupt, match=r"^ledger .* is corrupt: "):
                action()
