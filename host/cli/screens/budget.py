"""What `spikeveil budget` prints: every epsilon with its unit, delta, bits, mechanism and the adversary."""

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
    "{name}, {unit} level: {filter}. It adds up divergences; from the first charge on, what can be stated is the whole "
    "limit, for everything together."
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
    """Who has spent most, and how many releases are left; None where nothing says so."""
    named = balance.unit in standing.worst
    left: Any = standing.left.get(balance.unit, "unknown")
    return {
        "worst": standing.worst[balance.unit] if named else None,
        "worst_of": axis_name(balance.unit),
        "releases_left": "without end" if left is None else left,
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
    """What a data set is bound to, in one sentence."""
    if not data["files"]:
        return f"{name}: bound to no data, so every charge counts for every record"
    files = "one file" if data["files"] == 1 else f"{data['files']} files, DISJOINT by their owner's statement,"
    subjects = f", {data['subjects']:,} subjects by {data['subject_column']!r}" if data["subjects"] else ""
    return f"{name}: bound to {files} of {data['records']:,} records{subjects}"


def _standing_text(name: str, balance: Mapping[str, Any]) -> str:
    """Whose sum a budget's figure is, and what is left of it."""
    who = balance["worst_of"]
    spent = (
        f"{who} {balance['worst']:,} has spent most" if balance["worst"] is not None else f"every {who} has spent this"
    )
    left = balance["releases_left"]
    more = "" if left == "unknown" else f"; {left} more releases of it at the setting of the last charge"
    return f"{name}, {balance['unit']} level: {spent}{more}"


def state(
    budgets: Mapping[str, Sequence[Balance]],
    standing: Mapping[str, Standing],
    head: Mark,
    last_lease: int,
    witness_error: str | None,
) -> dict[str, Any]:
    """The ledger's state, ready for JSON."""
    return {
        "data_sets": {
            name: [_balance(balance) | _standing(balance, standing[name]) for balance in balances]
            for name, balances in budgets.items()
        },
        "data": {name: _data(one) for name, one in standing.items()},
        "entries": head.entries,
        "head": head.head,
        "last_lease": last_lease,
        "filter": FILTER,
        "witness_error": witness_error,
    }


def print_state(path: str, report: dict[str, Any], as_json: bool) -> None:
    """Print what `state` made."""
    if as_json:
        print_json(report)
        return
    table = _table(f"Budgets in {path}", "data set", "unit", "quantity", ">limit", ">spent", ">remaining")
    marked = False
    for name, balances in report["data_sets"].items():
        for balance in balances:
            marked = marked or balance["nominal"]
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
    if marked:
        console.print(NOMINAL, style="bold red")
    if report["witness_error"]:
        console.print(f"No rollback can be noticed here: {report['witness_error']}", style="yellow")
    head = f"{report['entries']}:{report['head']}"
    console.print(f"Head (note it down for verify --head): {head}", soft_wrap=True)


def print_charge(entry: Entry, as_json: bool, extra: Mapping[str, Any] | None = None) -> None:
    """Print a charge that was made."""
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
    """Print what a charge would do; `decides`: a charge of decisions."""
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
