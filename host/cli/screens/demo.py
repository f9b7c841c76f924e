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


def header(console: Console, spec: NetworkSpec, images: int, steps: int) -> None:
    """What is about to be shown."""
    shape = "-".join(str(size) for size in (spec.inputs, *(layer.neurons for layer in spec.layers)))
    chance = ", ".join(
        f"{layer.flip.threshold}/{1 << layer.flip.bits}" for layer in spec.layers if layer.flip is not None
    )
    console.print(
        Panel(
            f"A spiking network ({shape}, {steps} steps) reads {images} handwritten digits that it was not trained "
            f"on. Before a spike leaves the chip, it is flipped with probability {chance}.\n"
            "[bold]golden model[/] (NumPy): defines what must leave the chip\n"
            "[bold]gateware[/] (Amaranth): generated, simulated clock by clock (Verilator), compared spike by spike",
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
    console.print(Rule("1  Does it still read digits once its spikes are flipped?", align="left"))
    console.print(table)


def comparison_table(console: Console, comparisons: Sequence[Comparison]) -> None:
    """Question 2."""
    table = Table(box=SIMPLE, pad_edge=False)
    table.add_column("core", no_wrap=True)
    for name in ("spikes\ncompared", "\ndifferent", "clock cycles\nan image", "cycles\nsimulated", "cycles\na second"):
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
        spike, record = claim.nominal(Unit.SPIKE).epsilon, claim.nominal(Unit.RECORD).epsilon
        figures = f"epsilon {up(record)} for a whole record; for ONE spike of it {up(spike)}"
        worth = figures if claim.private else "[red]epsilon infinite[/]"
        print_claim(console, claim, f"[bold]{title}: {worth}[/]", classes, units=index == 0)


def closing(
    console: Console, comparisons: Sequence[Comparison], files: Sequence[tuple[Any, str]], seconds: float
) -> None:
    """The verdict in one line, and where to look."""
    compared = sum(comparison.compared for comparison in comparisons)
    if all(comparison.difference is None for comparison in comparisons):
        console.print(f"[bold green]All {compared:,} released spikes equal the golden model's[/], {seconds:.0f} s.")
    for path, description in files:
        console.print(f"{path}: {description}", soft_wrap=True)
