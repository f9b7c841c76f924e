"""`spikeveil dpsnn`: DPSNN's tables as printed and as computed, beside a sound bound."""

from typing import Any

import click

from spikeveil.host.cli.options.common import json_option
from spikeveil.host.cli.screens.dpsnn import print_rows
from spikeveil.host.cli.screens.tables import print_json
from spikeveil.host.privacy.dpsnn import Row, rows
from spikeveil.host.privacy.pld import AccountingMissing


@click.command(epilog="Example: spikeveil dpsnn --json")
@json_option
@click.option("--no-sound", is_flag=True, help="Leave out the PLD column, which needs dp-accounting (seconds a row).")
def dpsnn(as_json: bool, no_sound: bool) -> None:
    """Print DPSNN's tables (arXiv 2205.12718), privacy columns as printed and as computed.

    Tables 1 to 4. MA (moments accountant: Rényi), CLT and mu (an approximation) are computed beside the printed digits,
    and the privacy-loss-distribution bound (PLD) is added: the epsilon that may be claimed. Exit code 1 where a figure
    does not round to the printed digits.
    """
    try:
        table_rows = list(rows(sound=not no_sound))
    except AccountingMissing as missing:
        raise click.ClickException(f"{missing}; or use --no-sound") from None
    if as_json:
        print_json([_report(row) for row in table_rows])
    else:
        print_rows(table_rows)
    if not all(row.agrees for row in table_rows):
        raise click.ClickException("a computed figure does not round to the paper's printed digits")


def _report(row: Row) -> dict[str, Any]:
    """The row ready for JSON; what the paper does not print, and what was not computed, has no key."""
    setting = row.setting
    report = {
        "table": setting.table,
        "noise_multiplier": setting.noise,
        "time_steps": setting.window,
        "batch_size": setting.batch,
        "dataset_size": setting.images,
        "dataset_size_of_clt": setting.clt_images,
        "epochs_inferred": setting.epochs,
        "steps": setting.steps,
        "delta": 1e-5,
        "unit": "training example, add or remove one",
        "printed_snn_accuracy": setting.snn,
        "printed_ann_accuracy": setting.ann,
        "epsilon_ma": row.ma,
        "printed_ma": setting.ma,
        "epsilon_clt_approximation": row.clt,
        "printed_clt": setting.clt,
        "mu_clt_approximation": row.mu,
        "printed_mu": setting.mu,
        "agrees": row.agrees,
        "epsilon_pld": row.sound,
        "clt_below_pld": None if row.sound is None else row.clt_below_sound,
    }
    return {name: value for name, value in report.items() if value is not None}
