"""The ledger under kills, full disks and torn writes: nothing committed is lost, no lease number comes back."""

import json
import random
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from fractions import Fraction
from pathlib import Path

import pytest
from support.paths import SUPPORT, TESTS

from spikeveil.host.privacy import RandomizedResponse, Unit
from spikeveil.host.privacy.ledger import (
    Ledger,
    LedgerFull,
    LedgerRolledBack,
    LedgerUnavailable,
    Session,
    Stated,
    database,
)

KEY = bytes.fromhex("8f3a0b5c7d219e4466f0")
SESSION = Session(RandomizedResponse(1, 2), steps=2, neurons=2, releases=1, delta=Fraction(0))
PAGE = 4096
FRAME = 24 + PAGE  # a frame of SQLite's write-ahead log: header and page (sqlite.org/fileformat2.html, section 4.1)


def lease(ledger: Ledger) -> int:
    return ledger.lease("digits", SESSION, key=KEY, specification="5a" * 32).number


def fresh(folder: Path) -> Ledger:
    ledger = Ledger(folder / "ledger.db", state_directory=folder / "state")
    ledger.create_budget("digits", Unit.RECORD, 10**6, 0)
    return ledger


def leases_in(path: Path) -> int:
    with closing(sqlite3.connect(path)) as raw:
        return int(raw.execute("SELECT count(lease) FROM entries").fetchone()[0])


def test_kills_lose_nothing_and_repeat_nothing(tmp_path: Path, soak: bool) -> None:
    moments = 1000 if soak else 25
    nursery = SUPPORT / "ledger_nursery.py"
    done = subprocess.run(
        [sys.executable, str(nursery), str(tmp_path), str(moments), "20"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    counts = json.loads(done.stdout)
    assert counts["kills"] >= counts["moments"] >= moments
    assert counts["reported"] >= moments  # the writers did write between the kills
    assert counts["entries"] >= counts["reported"]


# No space


def test_a_full_file_refuses_and_goes_on_when_there_is_room(tmp_path: Path) -> None:
    with fresh(tmp_path) as ledger:
        connection = ledger._database._connection
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages + 2}")
        granted = []
        with pytest.raises(LedgerFull, match=r"^the disk that holds ledger .*ledger.db is full: nothing was written$"):
            granted.extend(lease(ledger) for _ in range(1000))
        assert ledger.verify().last_lease == len(granted) > 0
        connection.execute("PRAGMA max_page_count = 1000000")
        assert lease(ledger) == len(granted) + 1
        ledger.verify()


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """No file of this process may grow past `size` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("room", [100, PAGE, FRAME + 10, 3 * FRAME, 3 * FRAME + 1000, 20 * FRAME])
def test_a_log_that_cannot_grow_refuses_and_loses_nothing(tmp_path: Path, room: int) -> None:
    with fresh(tmp_path) as ledger:
        granted = [lease(ledger)]
        size = ledger._database.log_path.stat().st_size
        sentence = r"^the (system could not read or write|disk that holds) ledger .*"
        with file_size_limit(size + room), pytest.raises((LedgerUnavailable, LedgerFull), match=sentence):
            granted.extend(lease(ledger) for _ in range(1000))
        assert ledger.verify().last_lease == granted[-1]
        granted.append(lease(ledger))
        assert granted == list(range(1, len(granted) + 1))
    with Ledger(ledger.path, state_directory=tmp_path / "state") as again:
        assert again.verify().last_lease == granted[-1]


FILL_A_SMALL_DISK = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from privacy.test_ledger_faults import Ledger, LedgerFull, fresh, lease
folder = Path(sys.argv[1])
ledger, granted = fresh(folder), []
try:
    while True:
        granted.append(lease(ledger))
except LedgerFull as error:
    print(error)
assert len(granted) > 5
assert ledger.verify().last_lease == len(granted)
ledger.close()
(folder / "ballast").unlink()
with Ledger(folder / "ledger.db", state_directory=folder / "state") as again:
    assert again.verify().last_lease == len(granted)
    assert lease(again) == len(granted) + 1
"""


def on_a_small_disk(folder: Path, program: str) -> subprocess.CompletedProcess[str]:
    """Run `program` where `folder` is a file system of 1 MB, half of it ballast, in a mount namespace of its own."""
    script = 'mount -t tmpfs -o size=1m none $1 && head -c 500000 /dev/zero > $1/ballast && exec $2 -c "$3" $1 $4'
    unshare = shutil.which("unshare")
    command = [str(unshare), "-rm", "sh", "-ec", "mount -t tmpfs none /mnt"]
    if unshare is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("this machine gives no mount namespace to its users")
    arguments = [str(folder), sys.executable, program, str(TESTS)]
    return subprocess.run(
        [unshare, "-rm", "sh", "-ec", script, "sh", *arguments], capture_output=True, text=True, check=False
    )


def test_a_really_full_disk(tmp_path: Path) -> None:
    done = on_a_small_disk(tmp_path, FILL_A_SMALL_DISK)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"the disk that holds ledger {tmp_path}/ledger.db is full: nothing was written\n"


OPEN_ON_A_FULL_DISK = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from privacy.test_ledger_faults import Ledger, LedgerFull, fresh, lease
folder, state = Path(sys.argv[1]), Path(sys.argv[1], "..", "state of the user")
ledger = Ledger(folder / "ledger.db", state_directory=state)
ledger.create_budget("digits", "record", 10**6, 0)
ledger.close()
with (folder / "ballast").open("ab", buffering=0) as ballast:
    try:
        while True:
            ballast.write(bytes(1000))
    except OSError:
        pass
with Ledger(folder / "ledger.db", state_directory=state) as ledger:
    assert [entry.kind for entry in ledger.history()] == ["genesis", "budget"]
    try:
        lease(ledger)
    except LedgerFull as error:
        print(error)
"""


def test_a_disk_that_is_full_when_the_ledger_is_opened(tmp_path: Path) -> None:
    """SQLite finds no room for its file of locks: that is no read-only file."""
    mounted = tmp_path / "disk"
    mounted.mkdir()
    done = on_a_small_disk(mounted, OPEN_ON_A_FULL_DISK)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"the disk that holds ledger {mounted}/ledger.db is full: nothing was written\n"


# Torn writes


@pytest.fixture(scope="module")
def torn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[int]]:
    """A folder with ledger.db and its log as a power cut leaves them after 12 leases; the log's size after each."""
    folder = tmp_path_factory.mktemp("torn")
    working = folder / "working"
    working.mkdir()
    with fresh(working) as ledger:
        sizes = []
        for _ in range(12):
            lease(ledger)
            sizes.append(ledger._database.log_path.stat().st_size)
        for name in ("ledger.db", "ledger.db-wal"):
            shutil.copy(working / name, folder / name)
        shutil.copytree(working / "state", folder / "state")
    assert sizes == sorted(set(sizes))
    assert all((size - 32) % FRAME == 0 for size in sizes)
    return folder, sizes


def cut_or_garble(log: bytes, offset: int, dice: random.Random, cut: bool) -> bytes:
    """What a disk may hold of a log whose bytes from `offset` on were never written as they should have been."""
    if cut:
        return log[:offset]
    tail = bytearray(log[offset:])
    tail[0] ^= 1 << dice.randrange(8)
    for place in range(1, len(tail)):
        if dice.random() < 0.5:
            tail[place] = dice.randrange(256)
    return log[:offset] + bytes(tail)


@pytest.mark.parametrize("cut", [True, False], ids=["cut", "garbled"])
def test_a_torn_log_keeps_every_commit_before_the_tear(
    torn: tuple[Path, list[int]], tmp_path: Path, soak: bool, cut: bool
) -> None:
    folder, sizes = torn
    log, dice = (folder / "ledger.db-wal").read_bytes(), random.Random(6)
    offsets = [dice.randrange(32, len(log)) for _ in range(1000 if soak else 30)]
    for number, offset in enumerate([*offsets, *sizes[:-1], *(size - 1 for size in sizes)]):
        place = tmp_path / str(number)
        shutil.copytree(folder, place, ignore=shutil.ignore_patterns("working"))
        (place / "ledger.db-wal").write_bytes(cut_or_garble(log, offset, dice, cut))
        whole = sum(size <= offset for size in sizes)
        path = place / "ledger.db"
        with Ledger(path, create=False, state_directory=place / "another machine") as ledger:
            assert ledger.verify().last_lease == whole
            if whole:  # before the first lease, the budget itself may be in the part that was torn away
                assert lease(ledger) == whole + 1
                ledger.verify()
        shutil.rmtree(place)


def test_the_machine_that_lost_its_log_refuses_to_lease(torn: tuple[Path, list[int]], tmp_path: Path) -> None:
    folder, sizes = torn
    place = tmp_path / "place"
    shutil.copytree(folder, place, ignore=shutil.ignore_patterns("working"))
    with Ledger(place / "ledger.db", state_directory=place / "state") as whole:
        whole.verify()
    shutil.copy(folder / "ledger.db", place / "ledger.db")
    (place / "ledger.db-wal").write_bytes((folder / "ledger.db-wal").read_bytes()[: sizes[7]])
    with Ledger(place / "ledger.db", state_directory=place / "state") as ledger:
        assert len(ledger.history("digits")) == 9
        with pytest.raises(LedgerRolledBack, match="ends at entry 10 but entry 14 was seen before"):
            lease(ledger)
    (place / "ledger.db-wal").unlink(missing_ok=True)
    shutil.copy(folder / "ledger.db", place / "ledger.db")
    without_log = Ledger(place / "ledger.db", state_directory=place / "state")
    with without_log, pytest.raises(LedgerRolledBack, match="ends at entry 1 but entry 14 was seen before"):
        without_log.create_budget("digits", "record", 10, 0)


def test_a_checkpoint_torn_by_a_power_cut_is_repaired_from_the_log(
    torn: tuple[Path, list[int]], tmp_path: Path, soak: bool
) -> None:
    """While the log is copied into the file, any page that the log holds may be half written."""
    folder, sizes = torn
    log = (folder / "ledger.db-wal").read_bytes()
    pages = {int.from_bytes(log[at : at + 4], "big") for at in range(32, len(log), FRAME)}
    for seed in range(100 if soak else 10):
        dice = random.Random(seed)
        place = tmp_path / str(seed)
        shutil.copytree(folder, place, ignore=shutil.ignore_patterns("working"))
        content = bytearray((place / "ledger.db").read_bytes().ljust(max(pages) * PAGE, b"\0"))
        for page in dice.sample(sorted(pages), dice.randrange(1, len(pages) + 1)):
            start = (page - 1) * PAGE + dice.choice((0, 512, 2048))
            content[start : page * PAGE] = dice.randbytes(page * PAGE - start)
        (place / "ledger.db").write_bytes(content)
        with Ledger(place / "ledger.db", create=False, state_directory=place / "state") as ledger:
            assert ledger.verify().last_lease == len(sizes)
            assert lease(ledger) == len(sizes) + 1
        assert leases_in(place / "ledger.db") == len(sizes) + 1


# Checkpoints


def test_the_log_is_copied_into_the_file_and_used_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "LOG_BYTES", 20 * FRAME)
    with fresh(tmp_path) as ledger, Ledger(ledger.path, state_directory=tmp_path / "state") as other:
        longest = 0
        for number in range(40):
            assert lease(other if number % 3 else ledger) == number + 1
            longest = max(longest, ledger._database.log_path.stat().st_size)
        assert longest < 40 * FRAME
        assert ledger.path.stat().st_size > 8 * PAGE
        ledger.verify()


# Files of schema 1, upgraded by their next write

OLD = TESTS / "data" / "ledger" / "schema1.ledger"


def spends(ledger: Ledger) -> None:
    """A first write, which upgrades, and some after it."""
    for _ in range(3):
        ledger.spend("open", Stated("label", Unit.RECORD, 1, 0), source="os")


def old_entries() -> list[tuple[int, str]]:
    with closing(sqlite3.connect(f"file:{OLD}?immutable=1", uri=True)) as raw:
        return raw.execute("SELECT sequence, hash FROM entries ORDER BY sequence").fetchall()


def check_upgraded(path: Path, state: Path) -> int:
    """The file verifies, its old entries are there, nothing is under-counted, and it goes on; entries before that."""
    with Ledger(path, create=False, state_directory=state) as ledger:
        entries = ledger.verify().entries
        budgets = ledger.budgets()
        assert [(entry.sequence, entry.hash) for entry in ledger.history(before=12)] == old_entries()
        spends(ledger)
        ledger.verify()
        for name in ("digits", "Faces"):
            assert ledger.budgets()[name] == budgets[name]
            assert all(balance.every == balance.spent > 0 for balance in budgets[name])
    return entries


@pytest.mark.parametrize("cut", [True, False], ids=["cut", "garbled"])
def test_an_upgrade_torn_by_a_power_cut(tmp_path: Path, soak: bool, cut: bool) -> None:
    """Whole or not at all: the old file as it was, or the upgraded one with its entry."""
    working = tmp_path / "working"
    working.mkdir()
    shutil.copy(OLD, working / "ledger.db")
    with Ledger(working / "ledger.db", state_directory=working / "state") as ledger:
        before = (working / "ledger.db").read_bytes()
        spends(ledger)
        log = ledger._database.log_path.read_bytes()
    assert (len(log) - 32) % FRAME == 0
    dice, seen = random.Random(8), set()
    offsets = [dice.randrange(32, len(log)) for _ in range(500 if soak else 15)]
    for number, offset in enumerate([*offsets, 32, len(log) - 1]):
        place = tmp_path / str(number)
        place.mkdir()
        (place / "ledger.db").write_bytes(before)
        (place / "ledger.db-wal").write_bytes(cut_or_garble(log, offset, dice, cut))
        seen.add(check_upgraded(place / "ledger.db", place / "state"))
    assert {11} < seen <= {11, 13, 14}  # the upgrade and the charge behind it are one transaction


@pytest.mark.parametrize("room", [0, PAGE, FRAME + 10, 3 * FRAME, 6 * FRAME])
def test_an_upgrade_without_room(tmp_path: Path, room: int) -> None:
    path = tmp_path / "ledger.db"
    shutil.copy(OLD, path)
    ledger = Ledger(path, state_directory=tmp_path / "state")
    with ledger, file_size_limit(OLD.stat().st_size + room), suppress(LedgerUnavailable, LedgerFull):
        spends(ledger)
    assert check_upgraded(path, tmp_path / "state") in (11, 13, 14, 15)
