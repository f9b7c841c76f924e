"""What `spikeveil budget history` and `verify` print."""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import click

from spikeveil.host.cli.screens.budget_charges import charged_text, charges_of_entry, composed_text, session_text
from spikeveil.host.cli.screens.tables import print_json, print_json_list
from spikeveil.host.privacy.ledger import (
    Entry,
    Verified,
    shown_up,
)
from spikeveil.host.privacy.ledger.amounts import from_text


def print_history(pages: Iterable[Sequence[Entry]], as_json: bool) -> None:
    """Print pages of entries, in at most 80 columns; as JSON, their exact content in one list."""
    if as_json:
        print_json_list({"hash": entry.hash, **entry.content} for page in pages for entry in page)
        return
    click.echo("History: amounts rounded up, exact fractions with --json")
    for entry in (entry for page in pages for entry in page):
        for index, line in enumerate(_history_lines(entry)):
            indent = "      " if index else ""
            click.echo(textwrap.fill(line, 80, initial_indent=indent, subsequent_indent="        "))


def _history_lines(entry: Entry) -> list[str]:
    content = entry.content
    title = f"lease {content['lease']}" if "lease" in content else entry.kind
    worth = "" if content.get("worth", "private") == "private" else f" ({content['worth']})"
    data_set = f"  data set {content['data_set']}" if "data_set" in content else ""
    lines = [f"{entry.sequence:>4}  {entry.time[:19].replace('T', ' ')} UTC  {title}{worth}{data_set}"]
    if "charges" not in content:
        return [*lines, *_budget_lines(content)]
    ranges = content.get("records")
    records = (
        "every record" if ranges is None else "records " + ", ".join(f"{first} to {end - 1}" for first, end in ranges)
    )
    lines.append(f"{session_text(content['session'])}; source {content['source']}; charged to {records}")
    if content["device"]:
        lines.append(f"device: {content['device']}")
    if content["evidence"]:
        shown = (f"{name} {value[:16] if len(value) == 64 else value}" for name, value in content["evidence"].items())
        lines.append(f"evidence: {', '.join(shown)}")
    for charge in charges_of_entry(content):
        composed = composed_text(charge["composed_bits"], content["session"]["kind"] == "decision")
        lines.append(f"{charge['unit']} level: {composed}, {_charge_line(charge)}, delta {charge['delta']}")
    return lines


def _charge_line(charge: Mapping[str, str]) -> str:
    return f"epsilon {charge['epsilon']}" if "epsilon" in charge else charged_text(charge)


def _budget_lines(content: Mapping[str, Any]) -> list[str]:
    if "run" in content:
        return [_run_line(content)]
    if "balances" not in content:
        return [f"schema {content['schema']}, {content['software']}"]
    limits = (
        f"{balance['unit']} level: epsilon {shown_up(from_text(balance['epsilon_limit']))}, "
        f"delta {shown_up(from_text(balance['delta_limit']))}"
        for balance in content["balances"]
    )
    files = content.get("data") or []
    return [
        "limits: " + "; ".join(limits),
        *[f"data of {file['records']} records, {file['digest'][:16]}" for file in files],
    ]


def _run_line(content: Mapping[str, Any]) -> str:
    """A block or a checkpoint of a training run."""
    if content["kind"] == "checkpoint":
        return (
            f"training run of entry {content['run']}: checkpoint {content['token'][:16]} after block {content['block']}"
        )
    again = ", run again and charged again" if content["again"] else ""
    last = content["start"] + content["steps"] - 1
    return f"training run of entry {content['run']}: steps {content['start']} to {last}{again}"


def print_verified(path: str, checked: Verified, as_json: bool) -> None:
    """Print that a ledger was verified and is intact, and what could not be verified."""
    if as_json:
        print_json(asdict(checked))
        return
    click.echo(
        f"{path} holds: {checked.entries} entries, {checked.leases} leases, the last number {checked.last_lease}"
    )
    click.echo(f"{_witness_text(checked)}; head {checked.entries}:{checked.head}")
    if checked.resumed_at:
        click.echo(f"entries up to {checked.resumed_at} were verified before on this machine and not read again")
    click.echo(f"{checked.recomputed} charges recomputed, {len(checked.stated)} not recomputed")
    for line in checked.stated:
        click.echo(f"not recomputed: {line}")
    for line in checked.above:
        click.echo(f"charged more than its cost: {line}")
    for number in checked.reversals:
        click.echo(f"entry {number} of the old schema is older than the one before it")
    for names in checked.names:
        click.echo(f"data sets that differ only in spelling: {', '.join(map(repr, names))}")
    for key in checked.signers:
        click.echo(f"signed by {key}")


def _witness_text(checked: Verified) -> str:
    if not checked.witnessed:
        return "no witness was consulted"
    if checked.witness_new:
        return "the witness of this machine is new: it had no earlier head of this ledger"
    return "the ledger agrees with the witness of this machine"
