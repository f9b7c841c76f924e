"""What `spikeveil dpsnn` prints."""

import math
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from spikeveil.host.privacy.dpsnn import Row

FOOT = (
    "Unit: one training example, added or removed; delta 1e-5; released: every weight of the whole run.\n"
    "Holds for batches of expected size 250 drawn by Poisson sampling from 60,000 and clipped per-example gradients.\n"
    "MA and sound are upper bounds, rounded up. CLT is an APPROXIMATION and no bound; ▼ marks where it lies under the "
    "sound bound.\n"
    "paper: its own printed digits; a dash means they were not available to compare."
)


def print_rows(rows: Sequence[Row]) -> None:
    """Print the table, and the conditions under which it holds."""
    table = Table(title="DPSNN: epsilon at delta = 1e-5, B = 250 of N = 60,000", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("tbl", "task", "noise", "epochs", "MA", "paper", "CLT\napprox.", "paper", "sound\nPLD"):
        table.add_column(name, justify="left" if name == "task" else "right", no_wrap=True)
    for row in rows:
        setting = row.setting
        table.add_row(
            str(setting.table),
            setting.task,
            f"{setting.noise:g}",
            str(setting.epochs),
            _up(row.ma),
            setting.printed_ma or "-",
            f"{row.clt:.4f}{' ▼' if row.clt_below_sound else '  '}",
            setting.printed_clt or "-",
            "-" if row.sound is None else _up(row.sound),
        )
    console = Console()
    console.print(table)
    console.print(FOOT, highlight=False)


def _up(epsilon: float) -> str:
    return f"{math.ceil(epsilon * 10**4) / 10**4:.4f}"
