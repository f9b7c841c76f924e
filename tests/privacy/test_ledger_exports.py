"""Exports: signatures, and what somebody who recomputes the chain can change without one."""

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikeveil.host.privacy import RandomizedResponse, Unit
from spikeveil.host.privacy.ledger import (
    DecisionSession,
    Evidence,
    Ledger,
    LedgerCorrupt,
    LedgerError,
    Session,
    Signer,
    Stated,
    Subjects,
    TrainingSession,
    countersign,
    verify_export,
)
from spikeveil.host.privacy.ledger.chain import canonical, link
from spikeveil.pysim import Decision

KEY = bytes.fromhex("8f3a0b5c7d219e4466f0")
NETWORK = "5a" * 32
SESSION = Session(RandomizedResponse(69, 8), 4, 5, 3, Fraction(1, 10**6), 9, 4, layer=1)

DECISIONS = DecisionSession(Decision(10, 25, 8), 4, 2, Fraction(1, 10**6), layer=1)

#: fields that no other field of an export determines (docs/ledger.md, "What `verify` checks"), as the end of their path
FREE = {
    "ledger",
    "software",
    "data_set",
    "device",
    "column",
    "digest",
    "key",
    "specification",
    "verilog",
    "versions",
    "time",
    "last_lease",  # of genesis
    "epsilon_limit",
    "delta_limit",
    "mechanism",
    "layer",
    "neurons",
    "steps",  # where the spike limit decides
    "spike_limit",
    "step_limit",
}


#: what is charged at infinity may be any mechanism
INFINITE = {
    "spend session.threshold: 69 -> 70",
    "spend session.threshold: 69 -> 68",
    "spend session.bits: 8 -> 9",
    "spend unsafe: False -> True",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export with every kind of entry, signed."""
    path = tmp_path_factory.mktemp("export")
    with Ledger(path / "my.ledger", state_directory=path, after_lease=6) as ledger:
        data = ledger.identify(np.eye(6, dtype=bool), create=True)
        groups = Subjects.of("who", [1, 1, 2, 2, 2, 3])
        ledger.create_budget("digits", "record", 500, "1e-3", data=data, subjects=groups)
        ledger.create_budget("digits", "subject", 900, "1e-3")
        ledger.create_budget("digits", "spike", 300, "1e-3")
        ledger.create_budget("digits", "record", 30, "1e-3", relation="add/remove")
        evidence = Evidence(verilog="ab" * 32, versions="yosys 0.70")
        ledger.lease("digits", SESSION, key=KEY, specification=NETWORK, evidence=evidence, records=[0, 1, 4], data=data)
        ledger.lease("digits", replace(SESSION, releases=1), key=KEY, specification=NETWORK, device="bench")
        ledger.lease("digits", DECISIONS, key=KEY, specification=NETWORK, records=[0, 1], data=data)
        ledger.spend("digits", TrainingSession(1.5, 10, 100, 7, Fraction(1, 10**5), "rdp"), source="os")
        ledger.create_budget("faces", "record", "inf", "1e-2")
        ledger.spend("faces", replace(SESSION, layer=None), source="lfsr")
        ledger.spend("faces", replace(SESSION, layer=None), source="lfsr", demonstration=True)
        ledger.spend("faces", Stated("label", Unit.RECORD, "0.5", 0), source="os")
        ledger.extend("digits", ledger.identify(np.ones((2, 6), bool)), Subjects.of("who", [9, 9], groups.count))
        with (path / "my.jsonl").open("w", encoding="ascii", newline="\n") as stream:
            ledger.export(stream, Signer(state_directory=path))
    return path


def entries_of(path: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    *lines, end = path.read_text().splitlines()
    return [json.loads(line)["entry"] for line in lines], json.loads(end)


def chained(entries: list[dict[str, Any]], end: dict[str, Any]) -> str:
    """The export of `entries`, every hash computed anew."""
    head, lines = "0" * 64, []
    for entry in entries:
        text = canonical(entry)
        head = link(head, text)
        lines.append(f'{{"entry":{text},"hash":"{head}"}}')
    return "\n".join([*lines, canonical({**end, "end": {"entries": len(entries), "head": head}})]) + "\n"


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Every field with its path."""
    if isinstance(value, dict | list):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(part, (*path, key))
    else:
        yield path, value


def others(value: Any) -> list[Any]:
    """Values to put in a field's place: of the same form, below and above, and another."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, max(value - 1, 0) if value else 2]
    if value is None:
        return [1]
    if "/" in value and value.replace("/", "").isdigit():
        found = [Fraction(value) / 2, Fraction(value) + 1]
        return [f"{one.numerator}/{one.denominator}" for one in found if one != Fraction(value)]
    if value == "inf":
        return ["5/1"]
    if len(value) in (32, 64) and set(value) <= set("0123456789abcdef"):
        return [value[::-1]] if value != value[::-1] else ["0" * len(value)]
    return [value + "x", "renyi"]


def changed(entries: list[dict[str, Any]]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Every entry list in which one field has another value."""
    for number, entry in enumerate(entries):
        for path, value in leaves(entry):
            for other in others(value):
                if other == value:
                    continue
                altered = copy.deepcopy(entries)
                place = altered[number]
                for key in path[:-1]:
                    place = place[key]
                place[path[-1]] = other
                yield f"{entry['kind']} {'.'.join(map(str, path))}: {value} -> {other}", altered


def test_with_the_signature_every_change_is_found(folder: Path, tmp_path: Path) -> None:
    public = Signer(state_directory=folder).public
    assert verify_export(folder / "my.jsonl", signer=public).signers == (public,)
    entries, end = entries_of(folder / "my.jsonl")
    assert chained(entries, end) == (folder / "my.jsonl").read_text()
    forged, count = tmp_path / "forged.jsonl", 0
    for what, altered in changed(entries):
        forged.write_text(chained(altered, end))
        with pytest.raises(LedgerError):
            verify_export(forged, signer=public)
            pytest.fail(f"not found: {what}")
        count += 1
    assert count > 400
    forged.write_text(chained(entries, {"end": end["end"]}))
    with pytest.raises(LedgerError, match=r"is not signed by .*, but by nobody"):
        verify_export(forged, signer=public)


def test_without_it_every_field_that_others_determine(folder: Path, tmp_path: Path) -> None:
    entries, end = entries_of(folder / "my.jsonl")
    forged, passed = tmp_path / "forged.jsonl", set()
    for what, altered in changed(entries):
        forged.write_text(chained(altered, {"end": end["end"]}))
        try:
            checked = verify_export(forged)
        except LedgerCorrupt:
            continue
        if not checked.above:
            passed.add(what)
    free = {what for what in passed if what.split(":")[0].split()[-1].split(".")[-1] in FREE or what in INFINITE}
    assert passed - free == set()
    assert free


@pytest.mark.parametrize(
    ("kind", "change", "sentence"),
    [
        ("lease", lambda e: [c.update(epsilon="0/1") for c in e["charges"]], "balances that do not add up"),
        ("lease", lambda e: e["session"].update(releases=1 << 31), "releases 2147483648 records and names 3"),
        ("spend", lambda e: e.update(source="lfsr"), "books lfsr as private, and it is worth none"),
        ("lease", lambda e: e.update(time="2020-01-01T00:00:00.000000+00:00"), "is older than the one before it"),
    ],
)
def test_the_faults_that_once_passed(folder: Path, tmp_path: Path, kind: str, change: Any, sentence: str) -> None:
    entries, end = entries_of(folder / "my.jsonl")
    entry = next(one for one in entries if one["kind"] == kind)
    change(entry)
    (tmp_path / "forged.jsonl").write_text(chained(entries, {"end": end["end"]}))
    with pytest.raises(LedgerCorrupt, match=sentence):
        verify_export(tmp_path / "forged.jsonl")


def test_a_charge_of_nothing_with_fitting_balances(tmp_path: Path) -> None:
    """64 releases charged 0, balances, hashes and head all recomputed to fit."""
    with Ledger(tmp_path / "my.ledger", state_directory=tmp_path) as ledger:
        ledger.create_budget("digits", "record", 500, "1e-3")
        ledger.spend("digits", replace(SESSION, delta=Fraction(0)), source="os")
        with (tmp_path / "my.jsonl").open("w", encoding="ascii", newline="\n") as stream:
            ledger.export(stream)
    entries, end = entries_of(tmp_path / "my.jsonl")
    entries[-1]["charges"][0]["epsilon"] = "0/1"
    entries[-1]["balances"] = entries[-2]["balances"]
    (tmp_path / "forged.jsonl").write_text(chained(entries, end))
    with pytest.raises(LedgerCorrupt, match=r"entry 3 charges epsilon 0 at record level for what costs 53\."):
        verify_export(tmp_path / "forged.jsonl")


def test_a_second_key_signs_too(folder: Path, tmp_path: Path) -> None:
    first, second = Signer(state_directory=folder), Signer(state_directory=tmp_path)
    assert second.path.stat().st_mode & 0o777 == 0o600
    twice = tmp_path / "twice.jsonl"
    twice.write_text(countersign(folder / "my.jsonl", second))
    assert verify_export(twice, signer=second.public).signers == (first.public, second.public)
    with pytest.raises(LedgerError, match=r"is signed by \S+ already"):
        countersign(twice, second)
    twice.write_text(twice.read_text().replace(second.public, first.public))
    with pytest.raises(LedgerCorrupt, match="does not hold"):
        verify_export(twice)
    second.path.chmod(0o640)
    with pytest.raises(LedgerError, match="must be for its owner alone"):
        Signer(second.path)
