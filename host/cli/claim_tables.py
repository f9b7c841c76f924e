"""How a claim looks on the screen: four parts, always."""

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from spikeveil.host.privacy.claim import Claim
from spikeveil.host.privacy.claims import up
from spikeveil.host.privacy.units import Unit


def print_claim(console: Console, claim: Claim, title: str, classes: int = 0) -> None:
    """The four parts, then every unit's figures, then the accuracy ceiling for `classes` classes."""
    table = Table(title=title, title_justify="left", box=SIMPLE, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for name, text in claim.parts().items():
        table.add_row(name, text)
    console.print(table)
    if claim.costs:
        console.print(_units(claim))
    if classes:
        console.print(ceiling(claim, classes))


def _units(claim: Claim) -> Table:
    nominal = "" if claim.private else "nominal "
    table = Table(box=SIMPLE, pad_edge=False)
    table.add_column("unit", style="bold")
    table.add_column("neighbours differ in")
    table.add_column("bits", justify="right")
    table.add_column(f"{nominal}epsilon, delta {up(claim.delta)}", justify="right")
    for cost in claim.costs:
        table.add_row(cost.unit.value, cost.unit.relation, f"{cost.bits}", up(cost.epsilon))
    return table


def ceiling(claim: Claim, classes: int) -> str:
    """The accuracy ceiling in a sentence."""
    best = f"{up(100 * claim.ceiling(classes), 4)} %"
    if not claim.private:
        return f"accuracy ceiling at {classes} equally likely classes: {best}, none, because epsilon is infinite"
    epsilon = up(claim.epsilon(Unit.RECORD))
    return f"accuracy ceiling at {classes} equally likely classes and record epsilon {epsilon}: {best}"
