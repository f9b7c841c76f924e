"""What `spikeveil budget` prints: every epsilon with its unit, delta, bits, mechanism and the adversary."""

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from spikeveil.host.cli.screens.tables import print_json, print_json_list
from spikeveil.host.privacy.ledger import (
    Balance,
    Entry,
    Mark,
    Preview,
    Standing,
    Verified,
    axis_name,
    shown_down,
    shown_up,
)
from spikeveil.host.privacy.ledger.amounts import fraction_from_text, from_text
from spikeveil.host.privacy.units import Unit
from spikeveil.host.privacy.wording import AGAINST, decision_text
from spikeveil.pysim.model.decision import from_description

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


def _session_text(session: dict[str, Any]) -> str:
    if session["kind"] == "stated":
        return f"{session['mechanism']} (stated at {session['unit']} level)"
    if session["kind"] == "dp-sgd":
        noise = float(fraction_from_text(session["noise_multiplier"]))
        return (
            f"DP-SGD, all {session['steps']} steps of the run, noise {noise:g}, Poisson {session['batch_size']}/"
            f"{session['dataset_size']}, {session['method']} bound, one example added or removed"
        )
    if session["kind"] == "decision":
        count = f"{session['releases']} decision{'s' * (session['releases'] > 1)}"
        return f"{count}, {decision_text(from_description(session['decision']))}, {session['composition']}"
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
            **_charged(charge),
            "delta": shown_up(from_text(charge["delta"])),
        }
        for charge in content["charges"]
    ]


def _composed(count: int, decides: bool) -> str:
    """How many bits or decisions were composed, in words; "stated" where nothing was."""
    if not count:
        return "stated"
    return f"{count} {'decision' if decides else 'bit'}{'s' * (count > 1)}"


def _charged(charge: Mapping[str, Any]) -> dict[str, str]:
    if "order" not in charge:
        return {"epsilon": shown_up(from_text(charge["epsilon"]))}
    order = float(fraction_from_text(charge["order"]))
    return {"divergence": shown_up(from_text(charge["divergence"])), "order": f"{order:g}"}


def _charged_text(charge: Mapping[str, str]) -> str:
    """What was charged, with its quantity where that is not epsilon."""
    return charge["epsilon"] if "epsilon" in charge else f"divergence {charge['divergence']} of order {charge['order']}"


def print_charge(entry: Entry, as_json: bool, extra: Mapping[str, Any] | None = None) -> None:
    """Print a charge that was made."""
    content = entry.content
    report = {
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
        print_json(report)
        return
    title = f"lease {content['lease']}" if "lease" in content else "spend"
    title = f"Charged: {title}, entry {entry.sequence}, data set {content['data_set']}"
    table = _table(title, "unit", ">composed", ">epsilon", ">delta")
    decides = content["session"]["kind"] == "decision"
    for charge in report["charges"]:
        composed = _composed(charge["composed_bits"], decides)
        table.add_row(charge["unit"], composed, _charged_text(charge), charge["delta"])
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
        bits, verdict = _composed(line["composed_bits"], decides), "yes" if line["allowed"] else "NO"
        quantity = "epsilon" if "epsilon_asked" in line else "divergence"
        asked = (line[f"{quantity}_asked"], line[f"{quantity}_remaining"], line["delta_asked"], line["delta_remaining"])
        table.add_row(line["unit"], bits, *asked, verdict)
    console = _console()
    console.print(table)
    for line in lines:
        if "divergence_asked" in line:
            console.print(f"{line['unit']} level: {line['filter']}; in the column of epsilon are its divergences")
    console.print(f"holds against {AGAINST[source]}")


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
    what = f"lease {content['lease']}" if "lease" in content else entry.kind
    worth = "" if content.get("worth", "private") == "private" else f" ({content['worth']})"
    of = f"  data set {content['data_set']}" if "data_set" in content else ""
    lines = [f"{entry.sequence:>4}  {entry.time[:19].replace('T', ' ')} UTC  {what}{worth}{of}"]
    if "charges" not in content:
        return [*lines, *_budget_lines(content)]
    named = content.get("records")
    records = (
        "every record" if named is None else "records " + ", ".join(f"{first} to {end - 1}" for first, end in named)
    )
    lines.append(f"{_session_text(content['session'])}; source {content['source']}; charged to {records}")
    if content["device"]:
        lines.append(f"device: {content['device']}")
    if content["evidence"]:
        shown = (f"{name} {value[:16] if len(value) == 64 else value}" for name, value in content["evidence"].items())
        lines.append(f"evidence: {', '.join(shown)}")
    for one in _charges(content):
        composed = _composed(one["composed_bits"], content["session"]["kind"] == "decision")
        lines.append(f"{one['unit']} level: {composed}, {_charge_line(one)}, delta {one['delta']}")
    return lines


def _charge_line(charge: Mapping[str, str]) -> str:
    return f"epsilon {charge['epsilon']}" if "epsilon" in charge else _charged_text(charge)


def _budget_lines(content: Mapping[str, Any]) -> list[str]:
    if "run" in content:
        return [_run_line(content)]
    if "balances" not in content:
        return [f"schema {content['schema']}, {content['software']}"]
    limits = (
        f"{one['unit']} level: epsilon {shown_up(from_text(one['epsilon_limit']))}, "
        f"delta {shown_up(from_text(one['delta_limit']))}"
        for one in content["balances"]
    )
    files = content.get("data") or []
    return [
        "limits: " + "; ".join(limits),
        *[f"data of {one['records']} records, {one['digest'][:16]}" for one in files],
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
    """Print that a file was checked and is intact, and what could not be checked."""
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
        click.echo(f"charged more than it costs: {line}")
    for number in checked.reversals:
        click.echo(f"entry {number} of the old schema is older than the one before it")
    for names in checked.names:
        click.echo(f"data sets that differ only in spelling: {', '.join(map(repr, names))}")
    for key in checked.signers:
        click.echo(f"signed by {key}")


def _witness_text(checked: Verified) -> str:
    if not checked.witnessed:
        return "no witness was asked"
    if checked.witness_new:
        return "the witness of this machine is new: it had seen nothing of this ledger before"
    return "the witness of this machine agrees"
