"""Durable leases a second: the ledger beside a bare JSON-lines append with a sync for every line."""

import json
import os
import secrets
import tempfile
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

from benchmarks import Row
from spikeveil.host.privacy import Ledger, RandomizedResponse, Session, Unit

LEASES = 200
ROUNDS = 3


def rows() -> Iterator[Row]:
    """One row; the two take turns on the same disk, and the best round of each counts."""
    session = Session(RandomizedResponse(17626), steps=16, neurons=10, releases=100, delta=Fraction(1, 10**6))
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as name:
        folder = Path(name)
        with Ledger(folder / "bench.ledger", state_directory=folder / "state") as ledger:
            ledger.create_budget("bench", Unit.RECORD, 10**9, Fraction(1, 2))
            key, line = secrets.token_bytes(10), ""
            ours, baseline = [], []
            for _ in range(ROUNDS):
                start = time.perf_counter()
                for _ in range(LEASES):
                    granted = ledger.lease("bench", session, key=key, specification="0" * 64)
                ours.append(LEASES / (time.perf_counter() - start))
                line = json.dumps(granted.entry.content)
                baseline.append(_appends_a_second(folder / "bench.jsonl", line))
            ledger.verify()
    yield Row("ledger leases", "1/s", max(ours), max(baseline), "JSON line + fsync", max(ours) / max(baseline))


def _appends_a_second(path: Path, line: str) -> float:
    """Lines a second that are appended and synced one by one: durable, but with no budget, chain, lock or index."""
    with path.open("a") as stream:
        start = time.perf_counter()
        for _ in range(LEASES):
            stream.write(line + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        return LEASES / (time.perf_counter() - start)
