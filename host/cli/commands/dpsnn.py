"""`spikeveil dpsnn`: DPSNN's privacy columns beside a sound bound."""

from typing import Any

import click

from spikeveil.host.cli.options.common import json_option
from spikeveil.host.cli.screens.dpsnn import print_rows
from spikeveil.host.cli.screens.tables import print_json
from spikeveil.host.privacy.dpsnn import Row, rows
from spikeveil.host.privacy.pld import AccountingMissing


@click.command(epilog="Example: spikeveil dpsnn --json")
@json_option
@click.option("--no-sound", is_flag=True, help="Leave out the sound column, which needs dp-accounting (seconds a row).")
def dpsnn(as_json: bool, no_sound: bool) -> None:
    """Compute DPSNN's privacy columns (arXiv 2205.12718) beside a sound bound.

    Shows, for its tables 1, 2 and 4, MA (moments accountant: Rényi) and CLT (an approximation), the paper's printed
    digits where they are known, and the privacy-loss-distribution bound: the epsilon that may be claimed. Exit code 1
    where a figure does not round to the printed digits.
    """
    try:
        found = list(rows(sound=not no_sound))
    except AccountingMissing as missing:
        raise click.ClickException(f"{missing}; or use --no-sound") from None
    if as_json:
        print_json([_record(row) for row in found])
    else:
        print_rows(found)
    if any(row.agrees is False for row in found):
        raise click.ClickException("a computed epsilon does not round to the paper's printed digits")


def _record(row: Row) -> dict[str, Any]:
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
