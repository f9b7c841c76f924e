"""What `spikeveil dpsnn` shows: one table for each of the paper's."""

import math
from collections.abc import Sequence
from itertools import groupby

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from spikeveil.host.privacy.dpsnn import TITLES, Row

FOOT = (
    "Accuracy and the columns named paper are the paper's printed digits; the others are computed here.\n"
    "Unit: one training example, added or removed; delta 1e-5; released: every weight of the whole run.\n"
    "Holds for clipped per-example gradients and batches of expected size B, Poisson-sampled from N examples.\n"
    "MA and PLD are upper bounds, rounded up. CLT and mu are an APPROXIMATION and no bound; ▼: CLT lies under PLD.\n"
    "Epochs are inferred from the printed privacy columns: the paper does not print them."
)


def print_rows(found: Sequence[Row]) -> None:
    """Print the rows, grouped by the paper's tables, and what the columns mean."""
    console = Console()
    for number, rows in groupby(found, lambda row: row.setting.table):
        console.print(_table(number, list(rows)))
    console.print(FOOT, highlight=False)


def _table(number: int, rows: Sequence[Row]) -> Table:
    setting, sound = rows[0].setting, rows[0].sound is not None
    title = f"{TITLES[number]}; B = {setting.batch}, {_sizes(rows[0])}"
    table = Table(title=title, box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    table.caption = None if setting.ann else "ANN accuracy: not printed"
    first = "T" if _by_window(rows[0]) else "σ"
    accuracies = ["SNN %", "ANN %"] if setting.ann else ["SNN %"]
    names = [first, "epochs", *accuracies, "MA", "paper", "CLT", "paper", "mu", "paper"]
    for name in [*names, "PLD"] if sound else names:
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*_cells(row))
    return table


def _by_window(row: Row) -> bool:
    """Whether the row is of the table whose rows differ in T instead of sigma."""
    return row.setting.table == 4


def _sizes(row: Row) -> str:
    """The N of a table in words."""
    setting = row.setting
    if setting.images == setting.clt_images:
        return f"N = {setting.images:,}"
    return f"MA and PLD at N = {setting.images:,}, CLT and mu at N = {setting.clt_images:,}"


def _cells(row: Row) -> list[str]:
    setting = row.setting
    cells = [str(setting.window) if _by_window(row) else f"{setting.noise:g}", str(setting.epochs), setting.snn]
    cells += [] if setting.ann is None else [setting.ann]
    cells += [_up(row.ma), setting.ma, f"{row.clt:.3f}{'▼' if row.clt_below_sound else ' '}", setting.clt]
    cells += [f"{row.mu:.3f}", setting.mu]
    return cells + ([] if row.sound is None else [_up(row.sound)])


def _up(epsilon: float) -> str:
    return f"{math.ceil(epsilon * 10**3) / 10**3:.3f}"
