"""How a claim looks on the screen: four parts, always."""

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from spikeveil.host.privacy.claim import Claim
from spikeveil.host.privacy.wording import up

LITTLE = 0.99  # an accuracy ceiling above it is as good as none


def print_claim(console: Console, claim: Claim, title: str, classes: int = 0, *, units: bool = True) -> None:
    """The four parts; what a classifier of `classes` classes may reach; with `units`, the figures of every unit."""
    table = Table(title=title, title_justify="left", box=SIMPLE, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for name, text in claim.parts().items():
        table.add_row(name, text)
    if classes and claim.costs:
        table.add_row("", ceiling(claim, classes))
    console.print(table)
    if claim.costs and units:
        console.print(_units(claim))


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
    if not claim.private:
        return f"(no ceiling on the accuracy at {classes} classes: epsilon is infinite)"
    best = claim.ceiling(classes)
    little = "at record level this hides next to nothing: " if best > LITTLE else ""
    return f"({little}a guess among {classes} equally likely classes may be right {up(100 * best, 4)} % of the time)"
