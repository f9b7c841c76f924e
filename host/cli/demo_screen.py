"""What `spikeveil demo` shows: three questions, each with its measured answer."""

from collections.abc import Sequence
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.panel import Panel
from rich.table import Table

from spikeveil.host.cli.claim_tables import print_claim
from spikeveil.host.cli.demo_run import Verdict
from spikeveil.host.privacy.claim import Claim
from spikeveil.pysim.spec import NetworkSpec


def header(console: Console, spec: NetworkSpec, images: int, steps: int) -> None:
    """What is about to be shown."""
    shape = "-".join(str(size) for size in (spec.inputs, *(layer.neurons for layer in spec.layers)))
    flips = [
        f"layer {index}: each spike is flipped with probability {layer.flip.threshold}/{1 << layer.flip.bits}"
        for index, layer in enumerate(spec.layers)
        if layer.flip is not None
    ]
    console.print(
        Panel(
            f"A spiking network ({shape}, {steps} time steps) reads {images} handwritten digits it never saw, on a chip\n"
            f"design whose outgoing spikes are flipped at random: {'; '.join(flips)}.\n"
            "The golden model (NumPy) says what must leave the chip; the generated gateware (Amaranth) is\n"
            "simulated cycle by cycle (Verilator); every spike that leaves it is compared.",
            title="spikeveil demo",
            title_align="left",
        )
    )


def accuracies(console: Console, rows: Sequence[tuple[str, float, str]]) -> None:
    """Question 1."""
    table = Table(box=SIMPLE, show_header=False, pad_edge=False)
    table.add_column()
    table.add_column(justify="right", style="bold")
    table.add_column()
    for name, share, remark in rows:
        table.add_row(name, f"{100 * share:.1f} %", remark)
    console.rule("1  Does the network still work once its spikes are flipped?", align="left")
    console.print(table)


def comparison(console: Console, verdicts: Sequence[Verdict]) -> None:
    """Question 2."""
    table = Table(box=SIMPLE, pad_edge=False)
    table.add_column("core")
    for name in ("spikes compared", "different", "clock cycles an image", "cycles simulated", "a second"):
        table.add_column(name, justify="right")
    for verdict in verdicts:
        different = 0 if verdict.difference is None else verdict.difference.count
        fixed = verdict.core.plan.schedule == "private"
        cycles, seconds = verdict.outcome.cycles, verdict.outcome.seconds
        table.add_row(
            verdict.core.title,
            f"{verdict.compared:,}",
            f"[bold {'red' if different else 'green'}]{different}[/]",
            f"{verdict.cycles_a_record:,.0f} {'always' if fixed else 'mean  '}",
            f"{cycles:,}",
            f"{cycles / seconds:,.0f}",
        )
    console.rule("2  Does the gateware release what the golden model says, bit for bit?", align="left")
    console.print(table)


def claims(console: Console, found: Sequence[tuple[str, Claim]], classes: int) -> None:
    """Question 3."""
    console.rule("3  What may be claimed of a chip built so?", align="left")
    for title, claim in found:
        print_claim(console, claim, title, classes)


def closing(console: Console, verdicts: Sequence[Verdict], files: Sequence[Any]) -> None:
    """The verdict in one line, and where to look."""
    compared = sum(verdict.compared for verdict in verdicts)
    if all(verdict.difference is None for verdict in verdicts):
        console.print(f"[bold green]All {compared:,} released spikes are equal to the golden model's.[/]")
    for path, what in files:
        console.print(f"  {path}  {what}", highlight=False, soft_wrap=True)
