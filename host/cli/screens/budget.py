"""What `spikeveil budget` prints: every epsilon with its unit, delta, bits, mechanism and against whom it holds."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from spikeveil.host.cli.screens.tables import print_json
from spikeveil.host.privacy.ledger import Balance, Entry, Mark, Preview, Verified, shown_down, shown_up
from spikeveil.host.privacy.ledger.amounts import Amount, from_text
from spikeveil.host.privacy.units import Unit
from spikeveil.host.privacy.wording import AGAINST

FILTER = (
    "Filter: pure sum of (epsilon, delta) over pre-declared sessions, in exact fractions; a session's epsilon is the "
    "exact binomial composition at its delta."
)
NOMINAL = "NOMINAL: an insecure demonstration was charged; the figures are no guarantee against anybody."


def _console() -> Console:
    return Console(markup=False, highlight=False)


def _table(title: str, *columns: str) -> Table:
    """A table whose figures are never cut short; a column named with ">" in front is set to the right."""
    table = Table(title=title)
    for column in columns:
        figures = column[0] == ">"
        table.add_column(column.lstrip(">"), justify="right" if figures else "left", overflow="fold", no_wrap=figures)
    return table


def _remaining(limit: Amount, spent: Amount) -> Amount:
    return limit if limit == float("inf") else limit - spent


def _balance(balance: Balance) -> dict[str, Any]:
    return {
        "unit": balance.unit.value,
        "neighbours_differ_in": balance.unit.relation,
        "epsilon_limit": shown_down(balance.epsilon_limit),
        "epsilon_spent": shown_up(balance.epsilon_spent),
        "epsilon_remaining": shown_down(_remaining(balance.epsilon_limit, balance.epsilon_spent)),
        "delta_limit": shown_down(balance.delta_limit),
        "delta_spent": shown_up(balance.delta_spent),
        "delta_remaining": shown_down(_remaining(balance.delta_limit, balance.delta_spent)),
        "nominal": balance.nominal,
    }


def state(
    budgets: Mapping[str, Sequence[Balance]], head: Mark, last_lease: int, witness_error: str | None
) -> dict[str, Any]:
    """The ledger's state, ready for JSON."""
    return {
        "data_sets": {name: [_balance(balance) for balance in balances] for name, balances in budgets.items()},
        "entries": head.entries,
        "head": head.head,
        "last_lease": last_lease,
        "filter": FILTER,
        "witness_error": witness_error,
    }


def print_state(path: str, record: dict[str, Any], as_json: bool) -> None:
    """Print what `state` made."""
    if as_json:
        print_json(record)
        return
    table = _table(f"Budgets in {path}", "data set", "unit", "quantity", ">limit", ">spent", ">remaining")
    marked = False
    for name, balances in record["data_sets"].items():
        for balance in balances:
            marked = marked or balance["nominal"]
            unit = balance["unit"] + (" (nominal)" if balance["nominal"] else "")
            for quantity in ("epsilon", "delta"):
                figures = (balance[f"{quantity}_{part}"] for part in ("limit", "spent", "remaining"))
                table.add_row(name, unit, quantity, *figures)
    console = _console()
    console.print(table)
    for unit in Unit:
        if any(balance["unit"] == unit.value for balances in record["data_sets"].values() for balance in balances):
            console.print(f"{unit.value} level: neighbours differ in {unit.relation}")
    console.print(FILTER)
    if marked:
        console.print(NOMINAL, style="bold red")
    if record["witness_error"]:
        console.print(f"No rollback can be noticed here: {record['witness_error']}", style="yellow")
    head = f"{record['entries']}:{record['head']}"
    console.print(f"Head (note it down for verify --head): {head}", soft_wrap=True)


def _session_text(session: dict[str, Any]) -> str:
    if session["kind"] == "stated":
        return f"{session['mechanism']} (stated at {session['unit']} level)"
    limits = "".join(
        f", {name.replace('_', ' ')} {session[name]}" for name in ("spike_limit", "step_limit") if session[name]
    )
    return (
        f"randomised response {session['threshold']}/2^{session['bits']} on {session['steps']} x {session['neurons']} "
        f"bits{limits}, {session['releases']} releases, {session['composition']}"
    )


def _charges(content: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "unit": charge["unit"],
            "composed_bits": charge["bits"],
            "epsilon": shown_up(from_text(charge["epsilon"])),
            "delta": shown_up(from_text(charge["delta"])),
        }
        for charge in content["charges"]
    ]


def print_charge(entry: Entry, as_json: bool, extra: Mapping[str, Any] | None = None) -> None:
    """Print a charge that was made."""
    content = entry.content
    record = {
        "entry": entry.sequence,
        "hash": entry.hash,
        **({"lease": content["lease"]} if "lease" in content else {}),
        **(extra or {}),
        "data_set": content["data_set"],
        "mechanism": _session_text(content["session"]),
        "source": content["source"],
        "worth": content["worth"],
        "against": AGAINST[content["source"]],
        "charges": _charges(content),
    }
    if as_json:
        print_json(record)
        return
    title = f"lease {content['lease']}" if "lease" in content else "spend"
    title = f"Charged: {title}, entry {entry.sequence}, data set {content['data_set']}"
    table = _table(title, "unit", ">composed bits", ">epsilon", ">delta")
    for charge in record["charges"]:
        table.add_row(charge["unit"], str(charge["composed_bits"] or "stated"), charge["epsilon"], charge["delta"])
    console = _console()
    console.print(table)
    console.print(f"mechanism: {record['mechanism']}\nagainst: {record['against']}")
    for name, value in (extra or {}).items():
        console.print(f"{name.replace('_', ' ')}: {value}")
    if content["worth"] == "nominal":
        console.print(NOMINAL, style="bold red")


def print_previews(data_set: str, previews: Sequence[Preview], source: str, as_json: bool) -> None:
    """Print what a charge would do."""
    lines = [
        {
            **_balance(preview.balance),
            "composed_bits": preview.cost.bits,
            "epsilon_asked": shown_up(preview.cost.epsilon),
            "delta_asked": shown_up(preview.cost.delta),
            "allowed": preview.allowed,
        }
        for preview in previews
    ]
    if as_json:
        print_json({"data_set": data_set, "against": AGAINST[source], "budgets": lines})
        return
    columns = ("unit", ">bits", ">epsilon asked", ">remaining", ">delta asked", ">remaining", "allowed")
    table = _table(f"Nothing was charged; it would cost data set {data_set}", *columns)
    keys = ("epsilon_asked", "epsilon_remaining", "delta_asked", "delta_remaining")
    for line in lines:
        bits, verdict = str(line["composed_bits"] or "stated"), "yes" if line["allowed"] else "NO"
        table.add_row(line["unit"], bits, *(line[key] for key in keys), verdict)
    console = _console()
    console.print(table)
    console.print(f"against: {AGAINST[source]}")


def print_history(entries: Sequence[Entry], as_json: bool) -> None:
    """Print entries; as JSON, their exact content."""
    if as_json:
        lines = [{"hash": entry.hash, **entry.content} for entry in entries]
        print_json(lines)
        return
    title = "History (charges rounded up; --json shows the exact fractions)"
    table = _table(title, ">entry", "time (UTC)", "what", "data set", "unit", ">bits", ">epsilon", ">delta")
    for entry in entries:
        content = entry.content
        label = f"lease {content['lease']}" if "lease" in content else entry.kind
        worth = "" if content.get("worth", "private") == "private" else f" ({content['worth']})"
        row = [str(entry.sequence), entry.time[5:16].replace("T", " "), label + worth, content.get("data_set", "")]
        for charge in _charges(content) if "charges" in content else []:
            table.add_row(
                *row, charge["unit"], str(charge["composed_bits"] or "stated"), charge["epsilon"], charge["delta"]
            )
            row = [""] * 4
        if "charges" not in content:
            table.add_row(*row)
    _console().print(table)


def print_verified(path: str, checked: Verified, as_json: bool) -> None:
    """Print that a file was checked and is intact."""
    if as_json:
        print_json(asdict(checked))
        return
    witnessed = "the witness of this machine agrees" if checked.witnessed else "no witness was asked"
    click.echo(
        f"{path} holds: {checked.entries} entries, {checked.leases} leases, the last number {checked.last_lease}"
    )
    click.echo(f"{witnessed}; head {checked.entries}:{checked.head}")
