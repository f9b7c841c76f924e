"""What `spikeveil demo` shows: three questions, each with its measured answer."""

from collections.abc import Sequence
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table

from spikeveil.host.cli.demo_comparison import Comparison
from spikeveil.host.cli.screens.claim import print_claim
from spikeveil.host.privacy.claim import Claim
from spikeveil.host.privacy.units import Unit
from spikeveil.host.privacy.wording import up
from spikeveil.pysim.model.spec import NetworkSpec


def header(console: Console, spec: NetworkSpec, images: int, spikes: Claim, decisions: Claim) -> None:
    """What is about to be shown."""
    shape = "-".join(str(size) for size in (spec.inputs, *(layer.neurons for layer in spec.layers)))
    chance = ", ".join(
        f"{layer.flip.threshold}/{1 << layer.flip.bits}" for layer in spec.layers if layer.flip is not None
    )
    epsilons = [up(claim.nominal(Unit.RECORD).epsilon) for claim in (spikes, decisions)]
    console.print(
        Panel(
            f"A spiking network ({shape}, {spikes.steps} steps) reads {images} handwritten digits that it was not "
            f"trained on. It releases either every output spike, flipped with probability {chance} (epsilon "
            f"{epsilons[0]} for a record), or one randomised decision a record (epsilon {epsilons[1]} for a record).\n"
            "[bold]golden model[/] (NumPy): defines what is released\n"
            "[bold]gateware[/] (Amaranth): generated, simulated clock by clock (Verilator), compared bit by bit",
            title="spikeveil demo",
            title_align="left",
        )
    )


def accuracies(console: Console, rows: Sequence[tuple[str, float, str]]) -> None:
    """Question 1."""
    table = Table(box=SIMPLE, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", style="bold", no_wrap=True)
    table.add_column()
    for name, share, remark in rows:
        table.add_row(name, f"{100 * share:.1f} %", remark)
    console.print(Rule("1  Does it still read digits from what is released?", align="left"))
    console.print(table)


def comparison_table(console: Console, comparisons: Sequence[Comparison]) -> None:
    """Question 2."""
    table = Table(box=SIMPLE, pad_edge=False)
    table.add_column("core", no_wrap=True)
    for name in (
        "\ncompared",
        "\ndifferent",
        "clock cycles\nan image",
        "cycles\nsimulated",
        "cycles\na second",
    ):
        table.add_column(name, justify="right", no_wrap=True)
    for comparison in comparisons:
        different = 0 if comparison.difference is None else comparison.difference.count
        fixed = comparison.core.plan.schedule == "private"
        result = comparison.result
        table.add_row(
            comparison.core.title,
            f"{comparison.compared:,}",
            f"[bold {'red' if different else 'green'}]{different}[/]",
            f"{result.cycles_per_record:,.0f} {'fixed' if fixed else ' mean'}",
            f"{result.cycles:,}",
            f"{result.cycles / result.seconds:,.0f}",
        )
    console.print(Rule("2  Does the gateware release what the golden model does, bit for bit?", align="left"))
    console.print(table)


def utilisation(console: Console, busy: Sequence[float]) -> None:
    """How much of the fast schedule's lanes did useful work."""
    parts = ", ".join(f"layer {index} {100 * share:.0f} %" for index, share in enumerate(busy))
    console.print(f" lanes in use on the fast schedule, whole run: {parts}; the busiest layer sets the pace\n")


def claims(console: Console, named_claims: Sequence[tuple[str, Claim]], classes: int) -> None:
    """Question 3."""
    console.print(Rule("3  What may be claimed of such a chip?", align="left"))
    for index, (title, claim) in enumerate(named_claims):
        worth = _figures(claim) if claim.private else "[red]epsilon infinite[/]"
        print_claim(console, claim, f"[bold]{title}: {worth}[/]", classes, units=index == 0)


def _figures(claim: Claim) -> str:
    """The record's epsilon, and a spike's where spikes are released."""
    record = f"epsilon {up(claim.nominal(Unit.RECORD).epsilon)} for a whole record"
    if claim.spec.decision is not None:
        return record
    return f"{record}; for ONE spike of it {up(claim.nominal(Unit.SPIKE).epsilon)}"


def closing(
    console: Console, comparisons: Sequence[Comparison], files: Sequence[tuple[Any, str]], seconds: float
) -> None:
    """The verdict in one line, and where to look."""
    decisions = sum(one.compared for one in comparisons if one.core.plan.spec.decision is not None)
    spikes = sum(one.compared for one in comparisons) - decisions
    if all(comparison.difference is None for comparison in comparisons):
        equal = f"All {spikes:,} released spikes and {decisions:,} decisions equal the golden model's"
        console.print(f"[bold green]{equal}[/], {seconds:.0f} s.")
    for path, description in files:
        console.print(f"{path}: {description}", soft_wrap=True)
