"""The ledger: what it accepts, what it refuses and in which words, and how it notices a changed file."""

import hashlib
import json
import math
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from fractions import Fraction
from io import StringIO
from pathlib import Path

import mpmath
import pytest

from spikeveil.host.privacy import BudgetExceeded, RandomizedResponse, Unit
from spikeveil.host.privacy.ledger import (
    MAX_LEASE,
    BudgetRefused,
    Evidence,
    KeyReused,
    LeasesExhausted,
    Ledger,
    LedgerCorrupt,
    LedgerError,
    LedgerForeign,
    LedgerLocked,
    LedgerMissing,
    LedgerNewer,
    LedgerReadOnly,
    LedgerRolledBack,
    LedgerUnavailable,
    Mark,
    Session,
    Stated,
    verify_export,
)

KEY = bytes.fromhex("8f3a0b5c7d219e4466f0")
SPECIFICATION = "5a" * 32
QUARTER = RandomizedResponse(1, 2)
SMALL = Session(QUARTER, steps=2, neurons=2, releases=1, delta=Fraction(0), layer=0)
NETWORK = Evidence(specification=SPECIFICATION)

Open = Callable[..., Ledger]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    """Opens ledger.db with its witness in the test's folder; every ledger is closed at the end."""
    ledgers: list[Ledger] = []

    def open_one(name: str = "ledger.db", **arguments: object) -> Ledger:
        ledger = Ledger(tmp_path / name, **{"state_directory": tmp_path / "state", **arguments})  # type: ignore[arg-type]
        ledgers.append(ledger)
        return ledger

    yield open_one
    for ledger in ledgers:
        ledger.close()


@pytest.fixture
def ledger(opened: Open) -> Ledger:
    """A new ledger with a generous record budget for the data set "digits"."""
    new = opened()
    new.create_budget("digits", Unit.RECORD, 1000, "1e-3")
    return new


def lease(ledger: Ledger, session: Session = SMALL, **arguments: object) -> int:
    return ledger.lease("digits", session, **{"key": KEY, "specification": SPECIFICATION, **arguments}).number  # type: ignore[arg-type]


def exported(ledger: Ledger) -> str:
    stream = StringIO()
    ledger.export(stream)
    return stream.getvalue()


# Budgets


def test_ten_spends_of_a_tenth_exhaust_a_budget_of_one(opened: Open) -> None:
    ledger = opened()
    ledger.create_budget("digits", "record", 1.0, 0)
    tenth = Stated("label, randomised response", Unit.RECORD, 0.1, 0)
    for _ in range(10):
        ledger.spend("digits", tenth, source="os")
    (balance,) = ledger.budgets()["digits"]
    assert balance.epsilon_spent == 1
    with pytest.raises(BudgetExceeded) as refusal:
        ledger.spend("digits", Stated("anything", Unit.RECORD, "1e-30", 0), source="os")
    assert refusal.value.remaining == 0
    ledger.spend("digits", Stated("nothing", Unit.RECORD, 0, 0), source="os")


def test_a_refusal_names_limit_spent_remaining_and_asked_and_changes_nothing(ledger: Ledger) -> None:
    ledger.spend("digits", Stated("training", Unit.RECORD, Fraction(1999, 2), "1e-4"), source="os")
    before = exported(ledger)
    with pytest.raises(BudgetRefused) as refusal:
        lease(ledger)
    assert str(refusal.value) == (
        "epsilon budget of data set 'digits' exceeded at record level: limit 1000, spent 999.5, remaining 0.5, "
        "asked 4.39444916; nothing was charged"  # 4 ln 3 = 4.394449154...
    )
    with pytest.raises(BudgetRefused, match=r"^delta budget .* remaining 0.0009, asked 0.001; nothing was charged$"):
        ledger.spend("digits", Stated("training", Unit.RECORD, 0, "1e-3"), source="os")
    assert exported(ledger) == before


def test_a_session_costs_what_the_literature_says(ledger: Ledger) -> None:
    session = Session(QUARTER, steps=5, neurons=5, releases=4, delta="1e-6")  # type: ignore[arg-type]
    (preview,) = ledger.preview("digits", session)
    assert (preview.cost.bits, preview.cost.delta) == (100, Fraction(1, 10**6))
    assert round(float(preview.cost.epsilon), 6) == 94.289868
    assert preview.allowed
    pure = Session(QUARTER, steps=5, neurons=5, releases=4, delta=Fraction(0))
    exact = 100 * mpmath.mpf(3) ** 0 * mpmath.log(3)
    charged = ledger.spend("digits", pure, source="os").content["charges"][0]["epsilon"]
    assert 0 <= mpmath.mpf(Fraction(charged).numerator) / Fraction(charged).denominator - exact < 1e-12


def test_a_charge_falls_on_every_budget_of_its_data_set_at_that_budgets_unit(opened: Open) -> None:
    ledger = opened()
    for unit, limit in (("spike", 100), ("neuron", 10), ("step", 100), ("record", "inf")):
        ledger.create_budget("digits", unit, limit, 0)
    session = Session(QUARTER, steps=4, neurons=3, releases=2, delta=Fraction(0), layer=1)
    ledger.spend("digits", session, source="os", evidence=NETWORK)
    bits = [charge["bits"] for charge in ledger.history()[-1].content["charges"]]
    assert bits == [2, 8, 6, 24]
    before = exported(ledger)
    with pytest.raises(BudgetRefused, match="at neuron level"):
        ledger.spend("digits", session, source="os", evidence=NETWORK)
    assert exported(ledger) == before
    limited = Session(QUARTER, steps=4, neurons=3, releases=1, delta=Fraction(0), spike_limit=2, layer=1)
    assert [preview.cost.bits for preview in ledger.preview("digits", limited, specification=SPECIFICATION)] == [
        2,
        4,
        4,
        4,
    ]


def test_a_stated_cost_holds_for_smaller_units_only(opened: Open) -> None:
    ledger = opened()
    ledger.create_budget("digits", "neuron", 10, 0)
    ledger.spend("digits", Stated("label", Unit.RECORD, 1, 0), source="os")
    with pytest.raises(LedgerError, match="needs the specification and the layer of every charge"):
        ledger.spend("digits", Stated("one step's winner", Unit.STEP, 1, 0), source="os")


@pytest.mark.parametrize(
    ("arguments", "worth"),
    [
        ({"source": "lfsr"}, "none"),
        ({"source": "none"}, "none"),
        ({"source": "none", "demonstration": True}, "none"),
        ({"source": "trivium", "unsafe": True}, "none"),
        ({"source": "lfsr", "unsafe": True, "demonstration": True}, "none"),
        ({"source": "lfsr", "demonstration": True}, "nominal"),
        ({"source": "trivium", "demonstration": True}, "nominal"),
        ({"source": "trivium"}, "private"),
        ({"source": "os"}, "private"),
    ],
)
def test_noise_that_gives_no_privacy_is_booked_at_infinity(
    ledger: Ledger, arguments: dict[str, object], worth: str
) -> None:
    if worth == "none":
        with pytest.raises(BudgetRefused, match="asked inf"):
            ledger.spend("digits", SMALL, **arguments)  # type: ignore[arg-type]
        ledger.create_budget("open", "record", "inf", 0)
        ledger.spend("open", SMALL, **arguments)  # type: ignore[arg-type]
        assert ledger.budgets()["open"][0].epsilon_spent == math.inf
        ledger.spend("open", SMALL, source="os")
        assert ledger.budgets()["open"][0].epsilon_spent == math.inf
    else:
        assert ledger.spend("digits", SMALL, **arguments).content["worth"] == worth  # type: ignore[arg-type]
        ledger.spend("digits", SMALL, source="os")
        assert ledger.budgets()["digits"][0].nominal == (worth == "nominal")
    ledger.verify()


def test_budgets_are_made_once_and_before_the_first_charge(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match=r"^data set 'digits' already has a budget at record level$"):
        ledger.create_budget("digits", Unit.RECORD, 5, 0)
    ledger.create_budget("digits", Unit.SPIKE, 5, 0)
    ledger.spend("digits", Stated("nothing", Unit.RECORD, 0, 0), source="os")
    with pytest.raises(LedgerError, match=r"^data set 'digits' has been charged: budgets are made before the first"):
        ledger.create_budget("digits", Unit.STEP, 5, 0)
    with pytest.raises(
        LedgerError, match=r"^data set 'faces' has no budget in ledger .*: make one before any release$"
    ):
        ledger.spend("faces", SMALL, source="os")


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda one: one.create_budget("", "record", 1, 0), "data set must be 1 to 200 printable characters, not ''"),
        (
            lambda one: one.create_budget("x", "pixel", 1, 0),
            "unit must be spike, neuron, step, record or subject, not 'pixel'",
        ),
        (lambda one: one.create_budget("x", "record", -1, 0), "budget epsilon must be 0 or more, not -1"),
        (lambda one: one.create_budget("x", "record", "x", 0), "budget epsilon must be a number, 0 or more, not 'x'"),
        (lambda one: one.create_budget("x", "record", math.nan, 0), "budget epsilon must be finite, not nan"),
        (lambda one: one.create_budget("x", "record", 1, 1), "budget delta must be at least 0 and under 1, not 1"),
        (lambda one: Stated("x", Unit.RECORD, -1, 0), "stated epsilon must be 0 or more, not -1"),
        (lambda one: Stated("x", Unit.RECORD, True, 0), "stated epsilon must be a number, not True"),
        (lambda one: Session(QUARTER, 1, 1, 0, 0), "session releases must be 1 to 2^32, not 0"),
        (lambda one: Session(QUARTER, 1, 1, 1.5, 0), "session releases must be an integer, not 1.5"),
        (lambda one: Session(QUARTER, 0, 1, 1, 0), "steps must be an integer of 1 or more, not 0"),
        (lambda one: Session(QUARTER, 1, 1, 1, -1e-6), "session delta must be 0 or more, not -1e-06"),
        (lambda one: Session(2, 1, 1, 1, 0), "session mechanism must be a RandomizedResponse, not 2"),
        (lambda one: one.spend("digits", SMALL, source="dice"), "noise source must be lfsr, none, os, trivium, not 'd"),
        (lambda one: lease(one, key=b"short"), "a lease under trivium needs a key of 10 bytes, not 5 bytes"),
        (lambda one: lease(one, key=None), "a lease under trivium needs a key of 10 bytes, not none"),
        (lambda one: lease(one, key=bytes(10)), "a key must come from the operating system's generator, and this one"),
        (lambda one: lease(one, key=KEY, source="lfsr"), "a lease under lfsr needs its seeds, 16 bytes for each flip"),
        (lambda one: lease(one, source="os"), "a lease under os takes no key"),
        (lambda one: lease(one, specification="5a"), "specification hash must be 64 lower-case hexadecimal digits, no"),
        (
            lambda one: lease(one, Stated("x", Unit.RECORD, 1, 0)),
            "lease session must be a Session or a DecisionSession",
        ),
        (lambda one: one.check_device(-1), "highest lease seen must be an integer of 0 or more, not -1"),
        (lambda one: Ledger(":memory:"), "ledger path must name a file, not ':memory:': a ledger outlives its process"),
        (lambda one: Ledger("x", after_lease=MAX_LEASE), "after_lease must be 0 to 2^39 - 2, not 549755813887"),
    ],
)
def test_bad_arguments_are_one_sentence(ledger: Ledger, call: Callable[[Ledger], object], sentence: str) -> None:
    before = exported(ledger)
    with pytest.raises(ValueError) as refusal:
        call(ledger)
    assert str(refusal.value).startswith(sentence)
    assert exported(ledger) == before


# Leases, keys, devices


def test_leases_count_up_from_one_across_data_sets_and_processes(ledger: Ledger, opened: Open) -> None:
    other = opened()
    other.create_budget("faces", "record", 100, 0)
    numbers = [lease(ledger), lease(other), lease(ledger)]
    granted = other.lease("faces", SMALL, key=KEY, specification=SPECIFICATION)
    assert [*numbers, granted.number] == [1, 2, 3, 4]
    assert (granted.quota, granted.ledger, granted.worth) == (2, ledger.identity, "private")
    assert ledger.last_lease == 4


def test_threads_share_a_ledger(ledger: Ledger) -> None:
    with ThreadPoolExecutor(4) as pool:
        numbers = list(pool.map(lambda _: lease(ledger), range(40)))
    assert sorted(numbers) == list(range(1, 41))
    assert ledger.verify().leases == 40


def test_the_ledger_needs_no_training_and_no_hardware_library() -> None:
    code = (
        "import sys, spikeveil.host.privacy.ledger\n"
        "heavy = {'torch', 'amaranth', 'dp_accounting', 'matplotlib', 'rich'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_last_lease_number_is_2_to_the_39_minus_1(opened: Open) -> None:
    ledger = opened(after_lease=MAX_LEASE - 1)
    ledger.create_budget("digits", "record", 1000, 0)
    assert lease(ledger) == (1 << 39) - 1
    before = exported(ledger)
    with pytest.raises(LeasesExhausted, match=r"^all 2\^39 - 1 lease numbers are used: start a new ledger, with fresh"):
        lease(ledger)
    assert exported(ledger) == before
    ledger.verify()


def test_a_refused_lease_uses_no_number(ledger: Ledger) -> None:
    with pytest.raises(BudgetRefused):
        lease(ledger, Session(QUARTER, 100, 100, 1, 0))  # type: ignore[arg-type]
    assert lease(ledger) == 1


def test_a_key_serves_one_ledger(ledger: Ledger, opened: Open) -> None:
    lease(ledger)
    lease(ledger)
    second = opened("second.db")
    second.create_budget("digits", "record", 100, 0)
    with pytest.raises(
        KeyReused, match=r"^the key serves another ledger, whose lease numbers are the same: make a fresh"
    ):
        lease(second)
    assert second.last_lease == 0
    assert lease(second, key=KEY[::-1]) == 1


def test_a_seed_serves_one_lease(ledger: Ledger) -> None:
    seeds = random.Random(1).randbytes(32)
    assert lease(ledger, source="lfsr", key=seeds, demonstration=True) == 1
    with pytest.raises(
        KeyReused, match=r"^the seed was used before, and the same seed gives the same masks: make a fresh"
    ):
        lease(ledger, source="lfsr", key=seeds, demonstration=True)


def test_no_file_holds_the_key(ledger: Ledger, tmp_path: Path) -> None:
    lease(ledger)
    for path in (path for path in tmp_path.rglob("*") if path.is_file()):
        content = path.read_bytes()
        assert KEY not in content
        assert KEY.hex().encode() not in content.lower()


def test_evidence_is_kept_with_the_entry(ledger: Ledger) -> None:
    evidence = Evidence(verilog="ab" * 32, bitstream="cd" * 32, versions="yosys 0.70")
    lease(ledger, evidence=evidence, device="ulx3s-1")
    content = ledger.history("digits")[-1].content
    assert content["evidence"] == {
        "specification": SPECIFICATION,
        "verilog": "ab" * 32,
        "bitstream": "cd" * 32,
        "versions": "yosys 0.70",
    }
    assert content["device"] == "ulx3s-1"
    with pytest.raises(ValueError, match="evidence specification must be the lease's own"):
        lease(ledger, evidence=Evidence(specification="00" * 32))


def test_a_device_that_has_seen_more_than_the_file_is_refused(ledger: Ledger, tmp_path: Path) -> None:
    granted = ledger.lease("digits", SMALL, key=KEY, specification=SPECIFICATION)
    ledger.check_device(0)
    ledger.check_device(1)
    ledger.check_device(1, granted.entry.hash)
    with pytest.raises(
        LedgerRolledBack, match=r"^the device has seen lease 2 and ledger .* ends at lease 1: the file was"
    ):
        ledger.check_device(2)
    with pytest.raises(
        LedgerRolledBack, match=r"^lease 1 of the device is not lease 1 of ledger .*: two copies of the"
    ):
        ledger.check_device(1, "00" * 32)


# Rollback


def copy_of(path: Path, to: Path) -> None:
    """A backup of the open ledger, through SQLite's own backup."""
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(to)) as target:
        source.backup(target)


def test_a_restored_backup_is_refused_where_the_ledger_was_used(ledger: Ledger, opened: Open, tmp_path: Path) -> None:
    lease(ledger)
    copy_of(ledger.path, tmp_path / "backup.db")
    lease(ledger)
    ledger.close()
    shutil.copy(tmp_path / "backup.db", ledger.path)
    restored = opened()
    sentence = (
        r"^ledger .* ends at entry 3 but entry 4 was seen before: it was restored from an older copy or lost its log"
    )
    for call in (lambda: lease(restored), restored.verify, lambda: restored.create_budget("x", "record", 1, 0)):
        with pytest.raises(LedgerRolledBack, match=sentence):
            call()
    assert restored.budgets()["digits"][0].delta_spent == 0
    assert exported(restored).count("\n") == 4


def test_two_copies_that_went_on_separately_are_told_apart(ledger: Ledger, opened: Open, tmp_path: Path) -> None:
    copy_of(ledger.path, tmp_path / "copy.db")
    lease(ledger)
    elsewhere = opened("copy.db", state_directory=tmp_path / "another machine")
    lease(elsewhere)
    lease(elsewhere)
    elsewhere.close()
    back = opened("copy.db")
    with pytest.raises(
        LedgerRolledBack, match=r"^entry 3 of ledger .* is not the one seen before: two copies of the file"
    ):
        lease(back)


def test_a_ledger_that_went_on_elsewhere_is_welcome_back(ledger: Ledger, opened: Open, tmp_path: Path) -> None:
    lease(ledger)
    ledger.close()
    with closing(opened(state_directory=tmp_path / "another machine")) as elsewhere:
        lease(elsewhere)
    assert lease(opened()) == 3


def test_a_head_noted_down_proves_a_cut(ledger: Ledger, opened: Open, tmp_path: Path) -> None:
    lease(ledger)
    copy_of(ledger.path, tmp_path / "older.db")
    lease(ledger)
    noted = ledger.head
    assert ledger.verify(noted).head == noted.head
    lease(ledger)
    ledger.verify(noted)
    older = opened("older.db", state_directory=tmp_path / "another machine")
    older.verify()
    with pytest.raises(LedgerRolledBack, match="ends at entry 3 but entry 4 was seen before"):
        older.verify(noted)


# Files that are not a ledger, or not writable


def test_every_unusable_file_has_its_sentence(opened: Open, tmp_path: Path) -> None:
    with pytest.raises(LedgerMissing, match=r"^there is no ledger at .*none.db$"):
        opened("none.db", create=False)
    with pytest.raises(LedgerMissing, match=r"^the folder of ledger .* does not exist$"):
        opened("no/folder.db")
    (tmp_path / "text.db").write_text("a ledger of a shop, 1907\n" * 100)
    with pytest.raises(LedgerForeign, match=r"text.db is not a spikeveil ledger: it is not an SQLite file$"):
        opened("text.db")
    (tmp_path / "empty.db").touch()
    with closing(sqlite3.connect(tmp_path / "other.db")) as other:
        other.execute("CREATE TABLE entries (sequence INTEGER)")
    for name in ("empty.db", "other.db"):
        with pytest.raises(LedgerForeign, match=r"is not a spikeveil ledger: it is another program's SQLite file$"):
            opened(name)
    (tmp_path / "gone.db-wal").write_bytes(b"log")
    with pytest.raises(
        LedgerCorrupt, match=r"^ledger .* is gone but its log gone.db-wal is there: put both back, or rem"
    ):
        opened("gone.db")


def test_a_newer_schema_is_refused(ledger: Ledger, opened: Open) -> None:
    with closing(sqlite3.connect(ledger.path)) as raw:
        raw.execute("PRAGMA user_version = 3")
    with pytest.raises(
        LedgerNewer, match=r"^ledger .* has schema 3 and this spikeveil reads 2: use a newer spikeveil$"
    ):
        opened()


def test_a_locked_ledger_is_waited_for_and_then_refused(ledger: Ledger, opened: Open) -> None:
    patient = opened(timeout=0.05)
    with closing(sqlite3.connect(ledger.path, isolation_level=None)) as raw:
        raw.execute("BEGIN IMMEDIATE")
        with pytest.raises(
            LedgerLocked, match=r"^ledger .* stayed locked by another process for 0.05 s: nothing was wri"
        ):
            lease(patient)
        assert len(patient.history()) == 2
        raw.execute("ROLLBACK")
    assert lease(patient) == 1


@contextmanager
def as_nobody() -> Iterator[None]:
    """Without the superuser's right to write everywhere, where the tests run as the superuser."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_read_only_ledger_can_be_read_and_is_not_written() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder, state = Path(name), Path(name, "state")
        folder.chmod(0o755)
        state.mkdir(mode=0o777)
        state.chmod(0o777)
        with Ledger(folder / "ledger.db", state_directory=folder / "mine") as ledger:
            ledger.create_budget("digits", "record", 1000, 0)
            lease(ledger)
        before = (folder / "ledger.db").read_bytes()
        (folder / "ledger.db").chmod(0o444)
        folder.chmod(0o555)
        try:
            with as_nobody(), Ledger(folder / "ledger.db", state_directory=state) as readable:
                assert readable.verify().last_lease == 1
                with pytest.raises(
                    LedgerReadOnly, match=r"^ledger .* cannot be written: the file or its folder is read-"
                ):
                    lease(readable)
            with (
                as_nobody(),
                pytest.raises(LedgerReadOnly, match=r"^ledger .*new.db cannot be written: the file or its"),
            ):
                Ledger(folder / "new.db", state_directory=state)
        finally:
            folder.chmod(0o755)
        assert (folder / "ledger.db").read_bytes() == before


def test_without_a_witness_a_ledger_is_read_but_not_written(ledger: Ledger, opened: Open, tmp_path: Path) -> None:
    (tmp_path / "in the way").touch()
    blind = opened(state_directory=tmp_path / "in the way" / "state")
    assert blind.verify().witnessed is None
    with pytest.raises(
        LedgerUnavailable, match=r"^the system could not read or write witness file .*: Not a directory$"
    ):
        lease(blind)
    assert len(ledger.history()) == 2


@pytest.mark.parametrize(
    "statement",
    ["UPDATE marks SET entries = 'many'", "UPDATE salt SET salt = 'x'", "DELETE FROM salt", "DROP TABLE keys"],
)
def test_a_garbled_witness_stops_writing(ledger: Ledger, opened: Open, tmp_path: Path, statement: str) -> None:
    lease(ledger)
    ledger.close()
    with closing(sqlite3.connect(tmp_path / "state" / "witness.db", isolation_level=None)) as raw:
        raw.execute(statement)
    with pytest.raises(LedgerCorrupt, match=r"^witness file .*witness.db is corrupt: "):
        lease(opened())
    assert len(opened().history()) == 3


def test_a_ledger_is_not_used_across_a_fork(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: -1)
        with pytest.raises(LedgerError, match=r"was opened before this process was forked: open it again here$"):
            lease(ledger)
    assert lease(ledger) == 1


def test_a_closed_ledger_says_so(ledger: Ledger) -> None:
    ledger.close()
    with pytest.raises(LedgerError, match=r"^(ledger|witness file) .* is closed$"):
        lease(ledger)


def test_every_commit_is_synced(ledger: Ledger) -> None:
    lease(ledger)
    connection = ledger._database._connection
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)


# The chain


@pytest.fixture
def filled(ledger: Ledger) -> Ledger:
    """Ten entries: genesis, two budgets, five leases, two spends."""
    ledger.create_budget("faces", "neuron", 7.5, "1e-5")
    for _ in range(5):
        lease(ledger)
    for _ in range(2):
        ledger.spend("faces", Stated("label", Unit.RECORD, "0.25", 0), source="os")
    return ledger


def test_the_chain_can_be_followed_with_nothing_but_sha256(filled: Ledger) -> None:
    *lines, end = exported(filled).splitlines()
    previous = bytes(32)
    for number, line in enumerate(lines, 1):
        entry = json.loads(line)["entry"]
        text = json.dumps(entry, sort_keys=True, separators=(",", ":"))
        previous = hashlib.sha256(previous + text.encode()).digest()
        assert (json.loads(line)["hash"], entry["sequence"]) == (previous.hex(), number)
    assert json.loads(end) == {"end": {"entries": 10, "head": previous.hex()}}
    assert filled.verify().head == previous.hex()


def edit(ledger: Ledger, *statements: str) -> None:
    """Change the file as somebody with an SQLite shell would, who also puts the triggers back."""
    with closing(sqlite3.connect(ledger.path, isolation_level=None)) as raw:
        triggers = raw.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in triggers:
            raw.execute(f"DROP TRIGGER {name}")
        for statement in statements:
            raw.execute(statement)
        for _, text in triggers:
            raw.execute(text)


@pytest.mark.parametrize(
    ("statements", "sentence"),
    [
        (
            ["DELETE FROM entries WHERE sequence = 10"],
            "its last entries were cut off: entry 9 is not the head",
        ),
        (["DELETE FROM entries WHERE sequence = 5"], "entry 5 or the one before it was changed: its hash does not fit"),
        (
            ["UPDATE entries SET content = replace(content, 'steps\":2', 'steps\":1') WHERE sequence = 6"],
            "entry 6 or",
        ),
        (["UPDATE entries SET hash = replace(hash, 'a', 'b') WHERE sequence = 4"], "entry 4 or the one before it was"),
        (["UPDATE entries SET data_set = 'faces' WHERE sequence = 4"], "the index columns of entry 4 were changed"),
        (["UPDATE entries SET lease = 77 WHERE lease = 2"], "the index columns of entry 5 were changed"),
        (["UPDATE entries SET key = NULL WHERE sequence = 4"], "the index columns of entry 4 were changed"),
        (["UPDATE entries SET content = 7 WHERE sequence = 4"], "entry 4"),
        (["UPDATE entries SET content = x'ff' WHERE sequence = 4"], "entry 4 cannot be read"),
        (["UPDATE head SET entries = 9"], "its last entries were cut off: entry 10 is not the head it names"),
        (["DELETE FROM head"], "its last entries were cut off: entry 10 is not the head it names"),
        (
            [
                "UPDATE entries SET sequence = 99 WHERE sequence = 9",
                "UPDATE entries SET sequence = 9 WHERE sequence = 10",
                "UPDATE entries SET sequence = 10 WHERE sequence = 99",
            ],
            "entry 9 or the one before it was changed: its hash does not fit",
        ),
        (["DROP TRIGGER IF EXISTS x", "DROP INDEX keys"], "its tables, indexes or triggers were changed"),
    ],
)
def test_an_edited_file_is_noticed(
    filled: Ledger, opened: Open, tmp_path: Path, statements: list[str], sentence: str
) -> None:
    filled.verify()
    edit(filled, *statements)
    with pytest.raises(LedgerCorrupt) as refusal:
        opened(state_directory=tmp_path / "another machine").verify()
    assert f"ledger {filled.path} is corrupt: {sentence}" in str(refusal.value)


def test_a_cut_tail_is_noticed_by_the_next_lease(filled: Ledger) -> None:
    edit(filled, "DELETE FROM entries WHERE sequence > 8")
    with pytest.raises(LedgerCorrupt, match="its last entries were cut off or added: it ends at 8, its head is 10"):
        lease(filled)


def test_a_tail_cut_with_its_head_is_noticed_by_the_witness(filled: Ledger, opened: Open, tmp_path: Path) -> None:
    edit(
        filled,
        "DELETE FROM entries WHERE sequence > 8",
        "UPDATE head SET entries = 8, hash = (SELECT hash FROM entries WHERE sequence = 8)",
    )
    opened(state_directory=tmp_path / "another machine").verify()
    with pytest.raises(LedgerRolledBack, match="ends at entry 8 but entry 10 was seen before"):
        lease(filled)


def test_a_rewritten_chain_must_still_obey_the_rules(filled: Ledger, opened: Open, tmp_path: Path) -> None:
    """Somebody who recomputes every hash still cannot give epsilon back or repeat a lease."""
    for find, put, sentence in (
        ('"lease":3', '"lease":2', "has lease 2 where 3 is due"),
        ('"epsilon_limit":"1000/1"', '"epsilon_limit":"999/1"', "has balances that do not add up|cannot follow"),
        ('"unit":"neuron"', '"unit":"spike"', "balances that do not add up|does not charge every budget"),
    ):
        previous, lines = bytes(32), []
        for line in exported(filled).splitlines()[:-1]:
            text = json.dumps(json.loads(line)["entry"], sort_keys=True, separators=(",", ":"))
            if '"kind":"lease"' in text or "faces" in text:
                text = text.replace(find, put, 1)
            previous = hashlib.sha256(previous + text.encode()).digest()
            lines.append(f'{{"entry":{text},"hash":"{previous.hex()}"}}')
        lines.append(f'{{"end":{{"entries":10,"head":"{previous.hex()}"}}}}')
        (tmp_path / "forged.jsonl").write_text("\n".join(lines) + "\n")
        with pytest.raises(LedgerCorrupt, match=sentence):
            verify_export(tmp_path / "forged.jsonl")


def test_no_flipped_byte_changes_what_the_ledger_says(filled: Ledger, opened: Open, tmp_path: Path, soak: bool) -> None:
    """A flip in a page's unused bytes says nothing; every other one is refused in a LedgerError's words."""
    said = exported(filled)
    contents = [entry.content for entry in filled.history()]
    filled.close()
    original = filled.path.read_bytes()
    chosen = random.Random(3).sample(range(len(original)), 4000 if soak else 250)
    chosen += range(4096) if soak else []  # all of the first page: SQLite's header and the tables' definitions
    texts = [json.dumps(content, sort_keys=True, separators=(",", ":")).encode() for content in contents]
    spans = [range(start, start + len(text)) for text in texts for start in [original.find(text)] if start > 0]
    inside = [random.Random(4).choice(span) for span in spans for _ in range(5)]
    assert len(spans) == 10
    noticed = 0
    for offset in [*chosen, *inside]:
        flipped = bytearray(original)
        flipped[offset] ^= 1 << (offset % 8)
        filled.path.write_bytes(flipped)
        try:
            with closing(opened(create=False)) as changed:
                changed.verify()
                assert exported(changed) == said
        except LedgerError:
            noticed += 1
        else:
            assert not any(offset in span for span in spans)
        for suffix in ("-wal", "-shm"):
            filled.path.with_name(filled.path.name + suffix).unlink(missing_ok=True)
    assert noticed > len(inside)


@pytest.mark.parametrize("word", [b"CREATE TABLE entries", b"CREATE INDEX keys", b"TRIGGER no_update BEFORE"])
def test_garbled_tables_are_refused(filled: Ledger, opened: Open, word: bytes) -> None:
    filled.close()
    content = filled.path.read_bytes()
    for place in range(len(word)):
        garbled = word[:place] + bytes([word[place] ^ 0x80]) + word[place + 1 :]
        filled.path.write_bytes(content.replace(word, garbled))
        with pytest.raises(LedgerCorrupt, match=r"^ledger .* is corrupt: "):
            opened(create=False)


@pytest.mark.parametrize("keep", [0, 100, 4096, 5000, 0.5, 0.9])
def test_a_cut_file_is_refused(filled: Ledger, opened: Open, keep: float) -> None:
    filled.close()
    original = filled.path.read_bytes()
    filled.path.write_bytes(original[: int(keep * len(original)) if keep < 1 else int(keep)])
    with pytest.raises((LedgerCorrupt, LedgerForeign)):
        opened(create=False).verify()


# Exports


def test_an_export_verifies_and_every_change_to_it_is_noticed(filled: Ledger, tmp_path: Path, soak: bool) -> None:
    text = exported(filled)
    path = tmp_path / "ledger.jsonl"
    path.write_text(text)
    checked = verify_export(path, filled.head)
    assert (checked.entries, checked.leases, checked.last_lease, checked.ledger) == (10, 5, 5, filled.identity)
    lines = text.splitlines(keepends=True)
    changed = ["".join(lines[:-1]), "".join(lines[:-2]), text[:-10], "".join(lines[:4] + lines[5:]), text + lines[-1]]
    changed += ["".join([*lines[:3], lines[4], lines[3], *lines[5:]]), "", text.replace('":', '": ', 1)]
    for offset in range(len(text)) if soak else random.Random(5).sample(range(len(text) - 1), 300):
        changed.append(text[:offset] + chr(ord(text[offset]) ^ 1) + text[offset + 1 :])
    for version in changed:
        path.write_text(version)
        with pytest.raises(LedgerCorrupt, match=r"^export .* is corrupt: "):
            verify_export(path)


def test_an_export_must_hold_the_head_that_was_noted_down(filled: Ledger, tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_text(exported(filled))
    for mark in (Mark(11, "00" * 32), Mark(4, "00" * 32)):
        with pytest.raises(LedgerRolledBack, match=rf"does not contain entry {mark.entries} as it was seen before$"):
            verify_export(path, mark)
    with pytest.raises(LedgerMissing):
        verify_export(tmp_path / "none" / "x.jsonl")


def test_threads_that_wait_share_a_commit(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve charges of twelve threads, one of them beyond the budget: far fewer transactions, the same entries."""
    commits: list[int] = []
    appending = ledger._together._appending

    @contextmanager
    def slow() -> Iterator[object]:
        with appending() as draft:
            yield draft
            commits.append(draft.last.sequence)
            time.sleep(0.05)  # a slow disk: the others wait

    monkeypatch.setattr(ledger._together, "_appending", slow)
    costs = [Stated("label", Unit.RECORD, 2000 if number == 5 else 1, 0) for number in range(12)]

    def spend(cost: Stated) -> int:
        try:
            return ledger.spend("digits", cost, source="os").sequence
        except BudgetRefused:
            return 0

    with ThreadPoolExecutor(12) as pool:
        numbers = sorted(pool.map(spend, costs))
    assert numbers == [0, *range(3, 14)]
    assert len(commits) < 8
    assert ledger.budgets()["digits"][0].epsilon_spent == 11
    assert ledger.verify().entries == 13
