"""`spikeveil dpsnn`: DPSNN's privacy columns beside a sound bound."""

import json
import math
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from spikeveil.host.privacy.dpsnn import Row

FOOT = (
    "Unit: one training example, added or removed; delta 1e-5; released: every weight of the whole run.\n"
    "Holds for batches of expected size 250 drawn by Poisson sampling from 60,000 and clipped per-example gradients.\n"
    "MA and sound are upper bounds, rounded up. CLT is an APPROXIMATION and no bound; ▼ marks where it lies under the "
    "sound bound.\n"
    "paper: its own printed digits; a dash means they were not available to compare."
)


@click.command(epilog="Example: spikeveil dpsnn --json")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, every float in full.")
@click.option("--no-sound", is_flag=True, help="Leave out the sound column, which needs dp-accounting (seconds a row).")
def dpsnn(as_json: bool, no_sound: bool) -> None:
    """Compute the privacy columns of DPSNN's tables 1, 2 and 4 (arXiv 2205.12718) beside a sound bound.

    Shows MA (moments accountant: Rényi) and CLT (an approximation), the paper's printed digits where they are known,
    and the privacy-loss-distribution bound: the epsilon that may be claimed. Exit code 1 where a figure does not round
    to the printed digits.
    """
    from spikeveil.host.privacy.dpsnn import rows
    from spikeveil.host.privacy.pld import AccountingMissing

    try:
        found = list(rows(sound=not no_sound))
    except AccountingMissing as missing:
        raise click.ClickException(f"{missing}; or use --no-sound") from None
    if as_json:
        click.echo(json.dumps([_record(row) for row in found], indent=2))
    else:
        _print(found)
    if any(row.agrees is False for row in found):
        raise click.ClickException("a computed epsilon does not round to the paper's printed digits")


def _record(row: "Row") -> dict[str, Any]:
    setting = row.setting
    return {
        "table": setting.table,
        "task": setting.task,
        "noise_multiplier": setting.noise,
        "epochs": setting.epochs,
        "steps": setting.steps,
        "delta": 1e-5,
        "unit": "training example, add or remove one",
        "epsilon_ma": row.ma,
        "printed_ma": setting.printed_ma,
        "epsilon_clt_approximation": row.clt,
        "printed_clt": setting.printed_clt,
        "epsilon_sound": row.sound,
        "clt_below_sound": None if row.sound is None else row.clt_below_sound,
    }


def _print(found: "list[Row]") -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    table = Table(title="DPSNN: epsilon at delta = 1e-5, B = 250 of N = 60,000", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in ("tbl", "task", "noise", "epochs", "MA", "paper", "CLT\napprox.", "paper", "sound\nPLD"):
        table.add_column(name, justify="left" if name == "task" else "right", no_wrap=True)
    for row in found:
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
