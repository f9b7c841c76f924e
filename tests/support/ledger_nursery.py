"""Run by test_ledger_faults: four processes that write one ledger, killed at random moments.

python ledger_nursery.py FOLDER MOMENTS SEED

Writers report each entry over a pipe AFTER the call that committed it returned. After every moment of killing, the
file must hold every reported entry, no lease twice, and a chain that verifies. Prints one JSON object of counts.
"""

import json
import os
import random
import signal
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from fractions import Fraction
from pathlib import Path

from spikeveil.host.privacy import RandomizedResponse, Unit
from spikeveil.host.privacy.ledger import Ledger, Session, Stated, database

WRITERS = 4
MOST = 40  # times as many moments, where the machine lets hardly anything be written between two
KEY = bytes.fromhex("8f3a0b5c7d219e4466f0")
SESSION = Session(RandomizedResponse(1, 2), steps=2, neurons=2, releases=1, delta=Fraction(0))


def write_for_ever(path: Path, state: Path, report: int, seed: int) -> None:
    """Lease and spend until killed."""
    dice = random.Random(seed)
    ledger = Ledger(path, create=False, timeout=60, state_directory=state)
    while True:
        if dice.random() < 0.7:
            entry = ledger.lease("digits", SESSION, key=KEY, specification="5a" * 32).entry
        else:
            entry = ledger.spend("digits", Stated("label", Unit.RECORD, "0.1", 0), source="os")
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


def check(path: Path, state: Path, known: dict[int, tuple[int, str]]) -> int:
    """Raise SystemExit where an entry is lost, a lease repeats or the chain is broken; the number of entries."""
    with Ledger(path, create=False, timeout=60, state_directory=state) as ledger:
        ledger.verify()
    with closing(sqlite3.connect(path, timeout=60)) as raw:
        rows = raw.execute("SELECT sequence, coalesce(lease, 0), hash FROM entries").fetchall()
    present = {sequence: (lease, digest) for sequence, lease, digest in rows}
    leases = [lease for _, lease, _ in rows if lease]
    if sorted(leases) != list(range(1, len(leases) + 1)):
        raise SystemExit(f"lease numbers repeat or are missing: {sorted(leases)}")
    for sequence, entry in known.items():
        if present.get(sequence) != entry:
            raise SystemExit(f"entry {sequence} was reported as {entry} and is {present.get(sequence)}")
    return len(rows)


def run_round(folder: Path, moments: int, dice: random.Random) -> dict[str, int]:
    """Kill at `moments` random moments on one ledger."""
    path, state = folder / "ledger.db", folder / "state"
    with Ledger(path, state_directory=state) as ledger:
        ledger.create_budget("digits", "record", 10**9, 0)
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
            entries = check(path, state, known)
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
    totals = {"moments": 0, "kills": 0, "reported": 0, "entries": 0}
    while totals["moments"] < moments or (totals["reported"] < moments and totals["moments"] < MOST * moments):
        part = folder / str(totals["moments"])
        part.mkdir()
        for name, count in run_round(part, min(50, max(1, moments - totals["moments"])), dice).items():
            totals[name] += count
    print(json.dumps(totals))


if __name__ == "__main__":
    main()
