"""What `spikeveil epsilon` prints."""

from typing import Any

from rich.console import Console
from rich.table import Table

from spikeveil.host.privacy.bounds import Bound
from spikeveil.host.privacy.mechanisms import RandomizedResponse
from spikeveil.host.privacy.plan import UnitCost
from spikeveil.host.privacy.wording import Raster, decision_text, mechanism_text, up
from spikeveil.pysim import Decision


def print_epsilon(
    mechanism: RandomizedResponse,
    raster: Raster,
    costs: tuple[UnitCost, ...],
    bounds: tuple[Bound, ...],
    record: dict[str, Any],
) -> None:
    """Print the mechanism, the epsilon of every unit, and that of one unit by every theorem."""
    console, delta = Console(), up(record["delta"])
    nominal = "" if record["private"] else "nominal "
    console.print(mechanism_text(mechanism), highlight=False)
    whole, level = costs[-1], "record level"
    sentence = f"{nominal}epsilon of a record: {up(whole.epsilon_one)} ({level}, delta {delta}, {whole.bits_one} bits)"
    console.print(sentence, highlight=False)
    sentence = f"{nominal}epsilon of ONE spike: {up(mechanism.epsilon)} (spike level, delta 0, 1 bit)"
    console.print(sentence, highlight=False)
    console.print(f"released: {raster.released}", highlight=False)
    console.print(f"holds against {record['against']}", highlight=False)
    console.print(_unit_table(costs, f"{nominal}epsilon at delta {delta}, exact composition, rounded up", record))
    unit = record["compositions"]["unit"]
    bits = next(cost.bits for cost in costs if cost.unit.value == unit)
    console.print(_theorem_table(bounds, f"{nominal}epsilon at {unit} level, {bits} bits, delta {delta}, by theorem"))


def print_decisions(decision: Decision, bounds: tuple[Bound, ...], report: dict[str, Any]) -> None:
    """Print the mechanism, the epsilon of one decision and of all of them, and that of all by every theorem."""
    console, delta, releases = Console(), up(report["delta"]), report["releases"]
    nominal = "" if report["private"] else "nominal "
    for sentence in (
        decision_text(decision),
        f"{nominal}epsilon of a record: {up(decision.epsilon)} for one decision (every unit, delta 0)",
        f"{nominal}epsilon of {releases} decisions about one record: {up(report['epsilon'])} (delta {delta})",
        f"holds against {report['against']}",
    ):
        console.print(sentence, highlight=False)
    title = f"{nominal}epsilon at record level, {releases} decisions about one record, delta {delta}, by theorem"
    console.print(_theorem_table(bounds, title))


def _unit_table(costs: tuple[UnitCost, ...], title: str, record: dict[str, Any]) -> Table:
    table = Table(title=title)
    columns = ("unit", "neighbours differ in", "bits", "one release", "bits", f"all {record['releases']} releases")
    for name in columns:
        table.add_column(name, justify="left" if name in ("unit", "neighbours differ in") else "right")
    for cost in reversed(costs):  # the record's stands first
        figures = (str(cost.bits_one), up(cost.epsilon_one), str(cost.bits), up(cost.epsilon))
        table.add_row(cost.unit.value, cost.unit.relation, *figures)
    return table


def _theorem_table(bounds: tuple[Bound, ...], title: str) -> Table:
    table = Table(title=title)
    table.add_column("composition")
    table.add_column("epsilon", justify="right")
    table.add_column("theorem")
    for bound in bounds:
        table.add_row(bound.name, up(bound.epsilon), f"{bound.theorem}; {bound.conditions}")
    return table
