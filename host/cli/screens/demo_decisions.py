"""What `spikeveil demo` shows of its decisions."""

from rich.box import SIMPLE
from rich.console import Console
from rich.rule import Rule
from rich.table import Table

from spikeveil.host.cli.demo_decisions import HALF_WIDTH, TYPICAL_SHARE, DecisionFigures, SmallEpsilon
from spikeveil.host.privacy.wording import up


def shares(console: Console, figures: DecisionFigures, small: SmallEpsilon) -> None:
    """Question 4: the estimated shares beside the true ones, and what a smaller epsilon would need."""
    records, percent = figures.shares.reports, f"{100 * figures.shares.confidence:g} %"
    console.print(Rule(f"4  What do {records} private decisions say about all of them?", align="left"))
    table = Table(box=SIMPLE, pad_edge=False)
    for name in ("class", "share, raw", "estimated", f"interval, {percent}"):
        table.add_column(name, justify="right", no_wrap=True)
    for number, true in enumerate(figures.true):
        share, low, high = (
            100 * array[number] for array in (figures.shares.shares, figures.shares.low, figures.shares.high)
        )
        table.add_row(str(number), f"{100 * true:.1f} %", f"{share:5.1f} %", f"{low:5.1f} to {high:5.1f} %")
    console.print(table)
    console.print(_small(small))


def _small(small: SmallEpsilon) -> str:
    """A smaller epsilon in three sentences."""
    share, points = f"{100 * TYPICAL_SHARE:g} %", f"{100 * HALF_WIDTH:g}"
    return (
        f" At record epsilon {up(small.decision.epsilon)}, no mechanism lets a guess be right more often than "
        f"{up(100 * small.ceiling, 4)} %. There, {small.records} decisions give the share of a class of {share} to "
        f"+-{100 * small.half_width:.1f} points. For +-{points} points, {small.records_needed():,} records are needed, "
        f"or {small.records_needed(None):,} whatever the share.\n"
    )


def accuracy_remark(figures: DecisionFigures) -> str:
    """What stands beside the accuracy of the decisions."""
    return (
        f"one class a record at record epsilon {up(figures.decision.epsilon)}; "
        f"{100 * figures.expected_accuracy:.1f} % expected, ceiling {up(100 * figures.ceiling, 4)} %"
    )
