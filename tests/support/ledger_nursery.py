"""Run by test_ledger_faults: four processes that write one ledger, killed at random moments.

python ledger_nursery.py FOLDER MOMENTS SEED

Writers report each entry over a pipe AFTER the call that committed it returned. After every moment of killing, the
file must hold every reported entry, no lease twice, and a chain that verifies; what each record and subject has spent
must be what the entries add up to, by plain arithmetic here. Most ledgers start as a file of schema 1, which the first
writer upgrades. Prints one JSON object of counts.
"""

import json
import os
import random
import shutil
import signal
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from spikeveil.host.privacy import RandomizedResponse, Unit
from spikeveil.host.privacy.ledger import DataIdentity, Ledger, LedgerError, Session, Stated, Subjects, database

WRITERS = 4
MOST = 40  # times as many moments, where the machine lets hardly anything be written between two
KEY = bytes.fromhex("8f3a0b5c7d219e4466f0")
SESSION = Session(RandomizedResponse(1, 2), steps=2, neurons=2, releases=1, delta=Fraction(0))
RECORDS, SUBJECTS = 64, 16
DATA = DataIdentity("c4" * 32, RECORDS)
OLD = Path(__file__).parents[1] / "data" / "ledger" / "schema1.ledger"


def make_budgets(ledger: Ledger) -> None:
    """The budgets of "nursery", at record and at subject level, unless another writer has made them."""
    subjects = Subjects.of("person", [record * SUBJECTS // RECORDS for record in range(RECORDS)])
    for unit in ("record", "subject"):
        with suppress(LedgerError):
            ledger.create_budget("nursery", unit, 10**9, 0, data=DATA, subjects=subjects)


def write_for_ever(path: Path, state: Path, report: int, seed: int) -> None:
    """Lease and spend until killed."""
    dice = random.Random(seed)
    ledger = Ledger(path, create=False, timeout=60, state_directory=state)
    make_budgets(ledger)
    while True:
        if dice.random() < 0.7:
            first = dice.randrange(RECORDS - 8)
            named = ((first, first + 1 + dice.randrange(8)),)
            session = replace(SESSION, releases=named[0][1] - first)
            entry = ledger.lease("nursery", session, key=KEY, specification="5a" * 32, records=named, data=DATA).entry
        else:
            entry = ledger.spend("nursery", Stated("label", Unit.SUBJECT, "0.1", 0), source="os")
        os.write(report, f"{entry.sequence} {entry.content.get('lease', 0)} {entry.hash}\n".encode())


def fork_writer(path: Path, state: Path, report: int, seed: int) -> int:
    """Start one writer; its process id."""
    child = os.fork()
    if child == 0:
        try:
            write_for_ever(path, state, report, seed)
        except BaseException as error:
            print(f"a writer failed: {error!r}", file=sys.stderr, flush=True)
        os._exit(1)
    return child


def reported(reader: int) -> Iterator[tuple[int, int, str]]:
    """What has come through the pipe since the last call."""
    chunks = []
    while True:
        try:
            chunks.append(os.read(reader, 1 << 16))
        except BlockingIOError:
            break
    for line in b"".join(chunks).decode().splitlines():
        sequence, lease, digest = line.split()
        yield int(sequence), int(lease), digest


def check(path: Path, state: Path, known: dict[int, tuple[int, str]], old: bool) -> int:
    """Raise SystemExit where an entry is lost, a lease repeats, a sum is wrong or the chain is broken; the number of
    entries. old: the file began as one of schema 1."""
    with Ledger(path, create=False, timeout=60, state_directory=state) as ledger:
        ledger.verify()
    with closing(sqlite3.connect(path, timeout=60)) as raw:
        raw.execute("BEGIN")
        entries = "SELECT sequence, coalesce(lease, 0), hash, content FROM entries ORDER BY sequence"
        rows, (schema,) = raw.execute(entries).fetchall(), raw.execute("PRAGMA user_version").fetchone()
        spent = raw.execute('SELECT axis, first, "end", amounts FROM spent').fetchall() if schema > 1 else []
    if old and [row[3] for row in rows[: len(old_entries())]] != old_entries():
        raise SystemExit("entries of schema 1 were changed")
    present = {sequence: (lease, digest) for sequence, lease, digest, _ in rows}
    leases = [lease for _, lease, _, _ in rows if lease]
    if sorted(leases) != list(range(1, len(leases) + 1)):
        raise SystemExit(f"lease numbers repeat or are missing: {sorted(leases)}")
    for sequence, entry in known.items():
        if present.get(sequence) != entry:
            raise SystemExit(f"entry {sequence} was reported as {entry} and is {present.get(sequence)}")
    check_sums([json.loads(row[3]) for row in rows], spent)
    return len(rows)


def old_entries() -> list[str]:
    """The entries of the file of schema 1."""
    with closing(sqlite3.connect(f"file:{OLD}?immutable=1", uri=True)) as raw:
        return [row[0] for row in raw.execute("SELECT content FROM entries ORDER BY sequence")]


def check_sums(contents: list[dict[str, Any]], spent: list[tuple[int, int, int, str]]) -> None:
    """Raise SystemExit where the table of what records and subjects have spent is not the sum of the entries."""
    sums = [[Fraction(0)] * RECORDS, [Fraction(0)] * SUBJECTS]
    for content in contents:
        for first, end in content.get("records") or ():
            record, subject = content["charges"]
            by_count = {count: Fraction(epsilon) for count, epsilon, _ in subject["counts"]}
            for number in range(first, end):
                sums[0][number] += Fraction(record["epsilon"])
            people = [number * SUBJECTS // RECORDS for number in range(first, end)]
            for person in set(people):
                sums[1][person] += by_count[people.count(person)]
    kept = [[Fraction(0)] * RECORDS, [Fraction(0)] * SUBJECTS]
    for axis, first, end, amounts in spent:
        kept[axis][first:end] = [Fraction(json.loads(amounts)[0][0])] * (end - first)
    if kept != sums:
        raise SystemExit("what the records have spent is not the sum of the entries")


def run_round(folder: Path, moments: int, dice: random.Random, old: bool) -> dict[str, int]:
    """Kill at `moments` random moments on one ledger; old: one of schema 1, which the first write upgrades."""
    path, state = folder / "ledger.db", folder / "state"
    if old:
        shutil.copy(OLD, path)
    else:
        Ledger(path, state_directory=state).close()
    reader, report = os.pipe()
    os.set_blocking(reader, False)
    known: dict[int, tuple[int, str]] = {}
    granted: set[int] = set()
    writers: list[int] = []
    kills = entries = 0
    try:
        for _ in range(moments):
            writers += [fork_writer(path, state, report, dice.getrandbits(32)) for _ in range(WRITERS - len(writers))]
            time.sleep(dice.uniform(0, 0.06))
            victims = dice.sample(writers, dice.choice((1, 1, 2, WRITERS)))
            for victim in victims:
                os.kill(victim, signal.SIGKILL)
            for victim in victims:
                if os.waitstatus_to_exitcode(os.waitpid(victim, 0)[1]) != -signal.SIGKILL:
                    raise SystemExit("a writer ended by itself")
                writers.remove(victim)
            kills += len(victims)
            for sequence, lease, digest in reported(reader):
                if lease in granted or sequence in known:
                    raise SystemExit(f"lease {lease} or entry {sequence} was granted twice")
                known[sequence] = (lease, digest)
                granted |= {lease} - {0}
            entries = check(path, state, known, old)
    finally:
        for writer in writers:
            os.kill(writer, signal.SIGKILL)
            os.waitpid(writer, 0)
        os.close(reader)
        os.close(report)
    return {"moments": moments, "kills": kills, "reported": len(known), "entries": entries}


def main() -> None:
    folder, moments, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    database.LOG_BYTES = 100_000  # checkpoints every few dozen entries, so that kills hit them too
    dice = random.Random(seed)
    totals, rounds = {"moments": 0, "kills": 0, "reported": 0, "entries": 0}, 0
    while totals["moments"] < moments or (totals["reported"] < moments and totals["moments"] < MOST * moments):
        part = folder / str(totals["moments"])
        part.mkdir()
        old = rounds % 6 > 0
        for name, count in run_round(part, 2 if old else 15, dice, old).items():
            totals[name] += count
        rounds += 1
    print(json.dumps(totals))


if __name__ == "__main__":
    main()
