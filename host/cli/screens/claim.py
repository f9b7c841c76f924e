"""A claim on the screen: always all four parts."""

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from spikeveil.host.cli.screens.tables import facts_table
from spikeveil.host.privacy.claim import Claim
from spikeveil.host.privacy.wording import up

WEAK = 0.99  # an accuracy ceiling above it is as good as none


def print_claim(console: Console, claim: Claim, title: str, classes: int = 0, *, units: bool = True) -> None:
    """Print the four parts, the accuracy ceiling of `classes` classes, and with `units` the figures of every unit."""
    table = facts_table(claim.parts().items(), title)
    if classes and claim.costs:
        table.add_row("", ceiling(claim, classes))
    console.print(table)
    if claim.costs and units and claim.spec.decision is None:  # a decision costs the same at every unit
        console.print(_units(claim))


def _units(claim: Claim) -> Table:
    nominal = "" if claim.private else "nominal "
    table = Table(box=SIMPLE, pad_edge=False)
    table.add_column("unit", style="bold")
    table.add_column("neighbours differ in")
    table.add_column("bits", justify="right")
    table.add_column(f"{nominal}epsilon, delta {up(claim.delta)}", justify="right")
    for cost in reversed(claim.costs):  # the record's stands first
        table.add_row(cost.unit.value, cost.unit.relation, f"{cost.bits}", up(cost.epsilon))
    return table


def ceiling(claim: Claim, classes: int) -> str:
    """The accuracy ceiling in a sentence."""
    if not claim.private:
        return f"(no bound on the accuracy of a guess among {classes} classes: epsilon is infinite)"
    best = claim.ceiling(classes)
    note = "almost no protection at record level: " if best > WEAK else ""
    return (
        f"({note}a guess among {classes} equally likely classes can be right up to {up(100 * best, 4)} % of the time)"
    )
