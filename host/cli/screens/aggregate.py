"""Tables and plot of `spikeveil aggregate`."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from spikeveil.host.privacy.frequency import Shares


def print_shares(report: dict[str, Any]) -> None:
    """The shares with both kinds of interval, and what they are of."""
    console, percent = Console(highlight=False), f"{100 * report['confidence']:g} %"
    simplex = report["on_simplex"]
    table = Table("class", "share", f"interval, {percent}", f"for all classes at once, {percent}")
    if simplex:
        table.add_column("on the simplex")
    for number, share in enumerate(report["shares"]):
        own = _interval(report["low"][number], report["high"][number])
        every = _interval(report["simultaneous_low"][number], report["simultaneous_high"][number])
        row = [str(number), f"{100 * share:.2f} %", own, every]
        table.add_row(*row, *([f"{100 * simplex[number]:.2f} %"] if simplex else []))
    console.print(table)
    console.print(f"Estimated: {report['estimand']}; {report['reports']:,} reports.")
    for part in report["mechanisms"]:
        console.print(
            f"{part['reports']:,} reports at record epsilon {part['record_epsilon']:.6g}, delta 0: {part['text']}"
        )


def _interval(low: float, high: float) -> str:
    return f"{100 * low:.2f} to {100 * high:.2f} %"


def print_plan(report: dict[str, Any]) -> None:
    """Records for a half-width."""
    share = report["share"]
    whose = "every interval" if share is None else f"the interval of a class of {100 * share:g} %"
    Console(highlight=False).print(
        f"{report['records']:,} records: then {whose} at {100 * report['confidence']:g} % is no wider than "
        f"+-{100 * report['half_width']:g} points, at record epsilon {report['record_epsilon']:.6g} (delta 0) and "
        f"{report['classes']} classes"
    )


def draw_shares(path: Path, shares: Shares, true: Any = None, title: str = "") -> None:
    """The shares with their intervals, and the true ones where they are known, as a PNG file."""
    from matplotlib.figure import Figure  # heavy, and needed for the plot alone

    figure = Figure(figsize=(7, 3.5), layout="constrained")
    axes = figure.add_subplot()
    classes = list(range(len(shares.shares)))
    axes.errorbar(
        classes, 100 * shares.shares, 100 * (shares.high - shares.shares), fmt="o", capsize=4, label="estimated"
    )
    if true is not None:
        axes.plot(classes, [100 * share for share in true], "_", markersize=16, label="true")
    axes.set(xlabel="class", ylabel="share, %", xticks=classes)
    axes.set_title(title, fontsize=9)
    axes.legend()
    figure.savefig(path, dpi=120)
