"""What `spikeveil budget` prints: every epsilon with its unit, delta, number of bits, mechanism and adversary."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from spikeveil.host.cli.screens.budget_charges import charged_text, charges_of_entry, composed_text, session_text
from spikeveil.host.cli.screens.tables import print_json
from spikeveil.host.privacy.ledger import (
    Balance,
    Entry,
    Mark,
    Preview,
    Standing,
    axis_name,
    shown_down,
    shown_up,
)
from spikeveil.host.privacy.units import Unit
from spikeveil.host.privacy.wording import AGAINST

FILTER = (
    "Filter: pure sum of (epsilon, delta) over pre-declared sessions, in exact fractions; a session's epsilon is the "
    "exact binomial composition at its delta."
)
RENYI = (
    "{name}, {unit} level: {filter}. It adds up divergences; from the first charge on, only the whole limit can be "
    "stated, for all charges together."
)
NOMINAL = "NOMINAL: an insecure demonstration was charged; the figures guarantee nothing, against any adversary."


def _console() -> Console:
    return Console(markup=False, highlight=False)


def _table(title: str, *columns: str) -> Table:
    """A table; a column whose name starts with ">" is aligned to the right and never wrapped."""
    table = Table(title=title)
    for column in columns:
        figures = column[0] == ">"
        table.add_column(column.lstrip(">"), justify="right" if figures else "left", overflow="fold", no_wrap=figures)
    return table


def _balance(balance: Balance) -> dict[str, Any]:
    return {
        "unit": balance.unit.value,
        "neighbours_differ_in": balance.unit.relation,
        "relation": balance.relation,
        "specification": balance.specification,
        "layer": balance.layer,
        "epsilon_limit": shown_down(balance.epsilon_limit),
        "epsilon_spent": shown_up(balance.epsilon_spent),
        "epsilon_remaining": shown_down(balance.epsilon_remaining),
        "delta_limit": shown_down(balance.delta_limit),
        "delta_spent": shown_up(balance.delta_stated),
        "delta_remaining": shown_down(balance.delta_limit - balance.delta_spent),
        "nominal": balance.nominal,
        "filter": balance.filter,
        **({} if balance.order is None else _divergence(balance)),
    }


def _divergence(balance: Balance) -> dict[str, Any]:
    return {
        "divergence_limit": shown_down(balance.capacity),
        "divergence_spent": shown_up(balance.spent),
        "divergence_remaining": shown_down(balance.capacity - balance.spent),
    }


def _standing(balance: Balance, standing: Standing) -> dict[str, Any]:
    """The record or subject with the highest spending, None if all are equal; and the number of releases left."""
    has_worst = balance.unit in standing.worst
    releases: Any = standing.left.get(balance.unit, "unknown")
    return {
        "worst": standing.worst[balance.unit] if has_worst else None,
        "worst_of": axis_name(balance.unit),
        "releases_left": "without end" if releases is None else releases,
    }


def _data(standing: Standing) -> dict[str, Any]:
    binding = standing.binding
    return {
        "files": len(binding.parts),
        "records": binding.records or None,
        "subjects": binding.subjects and binding.subjects.count,
        "subject_column": binding.subjects and binding.subjects.column,
    }


def _data_text(name: str, data: Mapping[str, Any]) -> str:
    """One sentence: the files, records and subjects that a data set is bound to."""
    if not data["files"]:
        return f"{name}: bound to no file, so every charge counts for every record"
    files = "one file" if data["files"] == 1 else f"{data['files']} files, stated by their owner to be DISJOINT,"
    subjects = f", {data['subjects']:,} subjects by {data['subject_column']!r}" if data["subjects"] else ""
    return f"{name}: bound to {files} of {data['records']:,} records{subjects}"


def _standing_text(name: str, balance: Mapping[str, Any]) -> str:
    """One sentence: the record or subject that determines the amount spent, and the releases left."""
    axis = balance["worst_of"]
    spent = (
        f"the amount spent is that of {axis} {balance['worst']:,}, the highest"
        if balance["worst"] is not None
        else f"every {axis} has spent the same"
    )
    releases = balance["releases_left"]
    remaining = "" if releases == "unknown" else f"; {releases} more releases like the last one fit the budget"
    return f"{name}, {balance['unit']} level: {spent}{remaining}"


def state(
    budgets: Mapping[str, Sequence[Balance]],
    standing: Mapping[str, Standing],
    head: Mark,
    last_lease: int,
    witness_error: str | None,
) -> dict[str, Any]:
    """The ledger's state as a JSON object."""
    return {
        "data_sets": {
            name: [_balance(balance) | _standing(balance, standing[name]) for balance in balances]
            for name, balances in budgets.items()
        },
        "data": {name: _data(entry) for name, entry in standing.items()},
        "entries": head.entries,
        "head": head.head,
        "last_lease": last_lease,
        "filter": FILTER,
        "witness_error": witness_error,
    }


def print_state(path: str, report: dict[str, Any], as_json: bool) -> None:
    """Print a report that `state` made."""
    if as_json:
        print_json(report)
        return
    table = _table(f"Budgets in {path}", "data set", "unit", "quantity", ">limit", ">spent", ">remaining")
    any_nominal = False
    for name, balances in report["data_sets"].items():
        for balance in balances:
            any_nominal = any_nominal or balance["nominal"]
            unit = balance["unit"] + (" (nominal)" if balance["nominal"] else "")
            for quantity in (
                ("epsilon", "delta", "divergence") if "divergence_spent" in balance else ("epsilon", "delta")
            ):
                figures = (balance[f"{quantity}_{part}"] for part in ("limit", "spent", "remaining"))
                table.add_row(name, unit, quantity, *figures)
    console = _console()
    console.print(table)
    for unit in Unit:
        if any(balance["unit"] == unit.value for balances in report["data_sets"].values() for balance in balances):
            console.print(f"{unit.value} level: neighbours differ in {unit.relation}")
    for name, balances in report["data_sets"].items():
        console.print(_data_text(name, report["data"][name]))
        for balance in balances:
            console.print(_standing_text(name, balance))
            if "divergence_spent" in balance:
                console.print(RENYI.format(name=name, **balance))
            if balance["relation"] != "substitution":
                console.print(f"{name}, {balance['unit']} level: relation {balance['relation']}, for training alone")
            if balance["specification"]:
                network = f"layer {balance['layer']} of network {balance['specification'][:16]}"
                console.print(f"{name}, {balance['unit']} level: for {network} alone")
    console.print(FILTER)
    if any_nominal:
        console.print(NOMINAL, style="bold red")
    if report["witness_error"]:
        console.print(f"A rollback of this ledger cannot be detected: {report['witness_error']}", style="yellow")
    head = f"{report['entries']}:{report['head']}"
    console.print(f"Head (record it for verify --head): {head}", soft_wrap=True)


def print_charge(entry: Entry, as_json: bool, extra: Mapping[str, Any] | None = None) -> None:
    """Print a charge that the ledger has made."""
    content = entry.content
    report = {
        "entry": entry.sequence,
        "hash": entry.hash,
        **({"lease": content["lease"]} if "lease" in content else {}),
        **(extra or {}),
        "data_set": content["data_set"],
        "mechanism": session_text(content["session"]),
        "source": content["source"],
        "worth": content["worth"],
        "against": AGAINST[content["source"]],
        "charges": charges_of_entry(content),
    }
    if as_json:
        print_json(report)
        return
    title = f"lease {content['lease']}" if "lease" in content else "spend"
    title = f"Charged: {title}, entry {entry.sequence}, data set {content['data_set']}"
    table = _table(title, "unit", ">composed", ">epsilon", ">delta")
    decides = content["session"]["kind"] == "decision"
    for charge in report["charges"]:
        composed = composed_text(charge["composed_bits"], decides)
        table.add_row(charge["unit"], composed, charged_text(charge), charge["delta"])
    console = _console()
    console.print(table)
    console.print(f"mechanism: {report['mechanism']}\nholds against {report['against']}")
    for name, value in (extra or {}).items():
        console.print(f"{name.replace('_', ' ')}: {value}")
    if content["worth"] == "nominal":
        console.print(NOMINAL, style="bold red")


def print_previews(
    data_set: str, previews: Sequence[Preview], source: str, as_json: bool, decides: bool = False
) -> None:
    """Print the cost of a charge without making it, and whether each budget allows it; `decides`: of decisions."""
    lines = [
        {
            **_balance(preview.balance),
            "composed_bits": preview.cost.bits,
            f"{'epsilon' if preview.cost.order is None else 'divergence'}_asked": shown_up(preview.cost.epsilon),
            "delta_asked": shown_up(preview.cost.delta),
            "allowed": preview.allowed,
        }
        for preview in previews
    ]
    if as_json:
        print_json({"data_set": data_set, "against": AGAINST[source], "budgets": lines})
        return
    columns = ("unit", ">composed", ">epsilon", ">remaining", ">delta", ">remaining", "allowed")
    table = _table(f"Nothing was charged; it would cost data set {data_set}", *columns)
    for line in lines:
        bits, verdict = composed_text(line["composed_bits"], decides), "yes" if line["allowed"] else "NO"
        quantity = "epsilon" if "epsilon_asked" in line else "divergence"
        asked = (line[f"{quantity}_asked"], line[f"{quantity}_remaining"], line["delta_asked"], line["delta_remaining"])
        table.add_row(line["unit"], bits, *asked, verdict)
    console = _console()
    console.print(table)
    for line in lines:
        if "divergence_asked" in line:
            console.print(f"{line['unit']} level: {line['filter']}; in the column of epsilon are its divergences")
    console.print(f"holds against {AGAINST[source]}")
