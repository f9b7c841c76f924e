"""A ledger of very many entries: what is asked of it costs what the answer holds."""

import sqlite3
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from support.long_ledger import KEY, NETWORK, ONE, RECORDS, SESSION, lease, long_ledger

from spikeveil.host.privacy import Unit
from spikeveil.host.privacy.ledger import Ledger, LedgerCorrupt, Stated
from spikeveil.host.privacy.ledger.writer import CHECKED


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Path:
    """20,000 leases; a million under --soak."""
    return long_ledger(tmp_path_factory.mktemp("long"), 1_000_000 if pytestconfig.getoption("--soak") else 20_000)


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    with Ledger(path, state_directory=path.parent / "state") as opened:
        yield opened


@contextmanager
def costs_at_most(seconds: float, mebibytes: float) -> Iterator[None]:
    """Of this process: its time on a processor, and the peak of what Python allocates."""
    tracemalloc.start()
    start = time.process_time()
    try:
        yield
        assert time.process_time() - start < seconds
        assert tracemalloc.get_traced_memory()[1] < mebibytes * 2**20
    finally:
        tracemalloc.stop()


def test_pages_of_the_history(ledger: Ledger) -> None:
    last = ledger.head.entries
    with costs_at_most(1, 10):
        page = ledger.history(last=20)
        (only,) = ledger.history("many", last=1, before=last)
    assert [entry.sequence for entry in page] == list(range(last - 19, last + 1))
    assert only.sequence == last - 1
    assert [entry.sequence for entry in ledger.history(before=4)] == [1, 2, 3]
    assert ledger.history("nothing", last=1) == []
    with pytest.raises(ValueError, match=r"^history last must be an integer of 1 or more, not 0$"):
        ledger.history(last=0)


def test_the_whole_history_comes_in_pages(ledger: Ledger) -> None:
    count = 0
    with costs_at_most(400, 40):
        for page in ledger.pages(before=20_001):
            assert page[0].sequence == count + 1
            count += len(page)
    assert count == 20_000
    assert [entry.sequence for page in ledger.pages("many", before=5) for entry in page] == [2, 3, 4]


def test_budgets_read_one_entry_of_each_data_set(ledger: Ledger) -> None:
    with costs_at_most(1, 10):
        ((name, (balance,)),) = ledger.budgets().items()
        standing = ledger.standing("many")
    assert (name, balance.epsilon_limit) == ("many", 10**9)
    assert balance.epsilon_spent / ONE >= 1
    assert standing.worst == {Unit.RECORD: 0}


def test_a_lease_stays_within_10_ms(ledger: Ledger) -> None:
    """Of processor time: what the disk's sync and other programs take comes on top of it."""
    lease(ledger, 5)  # the first checks the latest entries
    times = []
    for number in range(100):
        start = time.process_time()
        lease(ledger, number * (RECORDS // 128) + 7)
        times.append(time.process_time() - start)
    assert sorted(times)[90] < 0.010


@pytest.fixture
def short(tmp_path: Path) -> Path:
    return long_ledger(tmp_path, CHECKED + 500)


def opened(path: Path) -> Ledger:
    return Ledger(path, create=False, state_directory=path.parent / "state")


def change(path: Path, statement: str) -> None:
    """Change the file behind the ledger's back."""
    with closing(sqlite3.connect(path, isolation_level=None)) as raw:
        ((trigger,),) = raw.execute("SELECT sql FROM sqlite_master WHERE name = 'no_update'").fetchall()
        raw.execute("DROP TRIGGER no_update")
        raw.execute(statement)
        raw.execute(trigger)


def spoil(number: int) -> str:
    return f"UPDATE entries SET content = replace(content, 'bench', 'bench2') WHERE sequence = {number}"


def test_verification_goes_on_from_the_last_one(short: Path) -> None:
    with opened(short) as ledger:
        whole = ledger.verify(since_verified=True)
        assert (whole.resumed_at, whole.recomputed, whole.leases) == (0, CHECKED + 500, CHECKED + 500)
        for first in (3, 70, 500):
            lease(ledger, first)
        ledger.spend("many", Stated("label", Unit.RECORD, 1, 0), source="os")
        later = ledger.verify(since_verified=True)
        assert (later.resumed_at, later.recomputed, later.leases) == (whole.entries, 3, CHECKED + 503)
        assert (later.entries, len(later.stated)) == (whole.entries + 4, 1)
        assert ledger.verify(since_verified=True).resumed_at == later.entries
        everything = ledger.verify()
        assert (everything.resumed_at, everything.recomputed) == (0, CHECKED + 503)
    snapshot = next((short.parent / "state").glob("verified-*"))
    assert snapshot.stat().st_mode & 0o777 == 0o600
    snapshot.write_bytes(snapshot.read_bytes()[:-9])
    with opened(short) as ledger:
        assert ledger.verify(since_verified=True).resumed_at == 0


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        (spoil(CHECKED + 503), f"entry {CHECKED + 503} or the one before it was changed"),
        ('UPDATE spent SET amounts = \'[["1/1","0/1"]]\' WHERE first = 0', "what its records have spent was changed"),
        (
            f"UPDATE entries SET hash = '{64 * '0'}' WHERE sequence = {CHECKED + 502}",
            "is not the one that was",
        ),
        ("DELETE FROM bindings", "the files that it is bound to were changed"),
    ],
)
def test_what_is_appended_is_checked_from_there(short: Path, statement: str, sentence: str) -> None:
    with opened(short) as ledger:
        ledger.verify()
        lease(ledger, 3)
        lease(ledger, 200)
    change(short, statement)
    with opened(short) as ledger:
        with pytest.raises(LedgerCorrupt, match=sentence):
            ledger.verify(since_verified=True)
        with pytest.raises(LedgerCorrupt, match=sentence):
            lease(ledger, 9)


def test_what_was_verified_before_is_not_read_again(short: Path) -> None:
    with opened(short) as ledger:
        ledger.verify()
    change(short, spoil(7))
    with opened(short) as ledger:
        assert ledger.verify(since_verified=True).resumed_at == CHECKED + 502
        with pytest.raises(LedgerCorrupt, match="entry 7 or the one before it was changed"):
            ledger.verify()


@pytest.mark.parametrize("entry", [7, CHECKED - 100])
def test_a_short_ledger_that_is_corrupt_anywhere_does_not_lease(tmp_path: Path, entry: int) -> None:
    path = long_ledger(tmp_path, CHECKED - 50)
    change(path, spoil(entry))
    with opened(path) as ledger, pytest.raises(LedgerCorrupt, match=rf"entry {entry} or the one before it was changed"):
        lease(ledger, 9)


def test_a_long_ledger_that_is_corrupt_among_its_latest_does_not_lease(short: Path) -> None:
    change(short, spoil(600))
    with opened(short) as ledger, pytest.raises(LedgerCorrupt, match="entry 600 or the one before it was changed"):
        lease(ledger, 9)


def test_the_bulk_is_what_leases_write(tmp_path: Path) -> None:
    """The helper's entries are those that the ledger itself would have written: one that was leased is equal."""
    path = long_ledger(tmp_path, 3)
    with opened(path) as ledger:
        ledger.lease("many", SESSION, key=KEY, specification=NETWORK, device="bench")
        assert ledger.verify().above == ()
