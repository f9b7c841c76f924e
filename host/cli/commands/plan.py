"""`spikeveil plan`: from a privacy target to a flip threshold."""

import json
from typing import TYPE_CHECKING, Any

import click

from spikeveil.host.cli.options.privacy import UNITS, json_option, raster_options, up
from spikeveil.host.cli.refusals import refusals

if TYPE_CHECKING:
    from spikeveil.host.privacy.plan import PrivacyPlan

EXAMPLE = (
    "Example: spikeveil plan --epsilon 10 --delta 1e-6 --unit record -T 16 -N 10 --spike-limit 16 --releases-a-day 24"
)


@click.command(epilog=EXAMPLE)
@click.option("--epsilon", required=True, help="Target epsilon of everything released in the period.")
@click.option("--delta", required=True, help="Delta that goes with it.")
@click.option("--unit", type=click.Choice(UNITS), required=True, help="What the target protects.")
@raster_options()
@click.option("--releases-a-day", type=click.IntRange(1), required=True, help="Records of one subject sent a day.")
@click.option("--days", type=click.IntRange(1), default=1, show_default=True, help="Length of the period.")
@click.option("-w", "--bits", type=int, default=16, show_default=True, help="Bits w of a random word.")
@click.option("--classes", type=click.IntRange(2), default=10, show_default=True, help="Equally likely classes.")
@json_option
def plan(**options: Any) -> None:
    """Find the largest epsilon a spike may have, and its threshold k, so that all releases stay within a target.

    Also prints the best accuracy that any classifier can reach from what is released.
    """
    from spikeveil.host.privacy.ledger import amount, probability
    from spikeveil.host.privacy.plan import make_privacy_plan
    from spikeveil.host.privacy.wording import Raster

    with refusals():
        raster = Raster(*(options[name] for name in ("steps", "neurons", "spike_limit", "step_spike_limit")))
        releases = options["releases_a_day"] * options["days"]
        target, delta = amount("target epsilon", options["epsilon"]), probability("delta", options["delta"])
        found = make_privacy_plan(target, delta, options["unit"], raster, releases, options["bits"])
        record = _record(found, options)
    if options["as_json"]:
        click.echo(json.dumps(record, indent=2))
    else:
        _print(found, record)


def _record(found: "PrivacyPlan", options: dict[str, Any]) -> dict[str, Any]:
    from spikeveil.host.privacy.wording import AGAINST

    classes = options["classes"]
    return {
        "unit": found.unit.value,
        "neighbours_differ_in": found.unit.relation,
        "released": found.raster.released,
        "against": AGAINST["trivium"],
        "releases": found.releases,
        "target_epsilon": options["epsilon"],
        "delta": float(found.delta),
        "threshold": found.mechanism.threshold,
        "bits": found.mechanism.bits,
        "flip_probability": str(found.mechanism.flip_probability),
        "epsilon_per_spike": found.mechanism.epsilon,
        "composed_bits": found.bits,
        "epsilon": found.epsilon,
        "epsilon_one_release": found.epsilon_one,
        "record_epsilon": found.record_epsilon,
        "record_epsilon_one_release": found.record_epsilon_one,
        "classes": classes,
        "accuracy_ceiling": found.ceiling(classes, found.releases),
        "accuracy_ceiling_one_release": found.ceiling(classes, 1),
    }


def _print(found: "PrivacyPlan", record: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    from spikeveil.host.privacy.wording import mechanism_text

    unit, delta = found.unit.value, up(float(found.delta))
    one_bits = found.raster.bits(found.unit)
    one, every = (record[f"accuracy_ceiling{part}"] for part in ("_one_release", ""))
    table = Table(title=f"Plan: epsilon {record['target_epsilon']} at {unit} level for all releases", show_header=False)
    table.add_column(style="bold")
    table.add_column()
    for name, value in (
        ("mechanism", mechanism_text(found.mechanism)),
        ("epsilon of ONE spike", f"{up(found.mechanism.epsilon)}  (spike level, delta 0, 1 bit)"),
        (
            "one release",
            f"{up(found.epsilon_one)}  ({unit} level, delta {delta}, {one_bits} bits)",
        ),
        (f"all {found.releases} releases", f"{up(found.epsilon)}  ({unit} level, delta {delta}, {found.bits} bits)"),
        ("neighbours differ in", found.unit.relation),
        ("released", found.raster.released),
        ("against", record["against"]),
        ("composition", "exact binomial of a session declared beforehand, rounded up"),
        (
            f"accuracy ceiling, {record['classes']} classes",
            f"one release: {up(100 * one, 4)} % (record level epsilon {up(found.record_epsilon_one)}); "
            f"all: {up(100 * every, 4)} % ({up(found.record_epsilon)})",
        ),
    ):
        table.add_row(name, value)
    console = Console()
    console.print(table)
    if record["epsilon_per_spike"] == 0:
        console.print("At this target the flipper is a fair coin: what is released says nothing.", highlight=False)
