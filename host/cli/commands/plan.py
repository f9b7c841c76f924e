"""`spikeveil plan`: from a privacy target to a flip threshold."""

from typing import Any

import click

from spikeveil.host.cli.errors import usage_errors
from spikeveil.host.cli.options.common import json_option
from spikeveil.host.cli.options.privacy import RASTER, UNITS, raster_options
from spikeveil.host.cli.screens.plan import print_plan
from spikeveil.host.cli.screens.tables import print_json
from spikeveil.host.privacy.ledger import amount, probability
from spikeveil.host.privacy.plan import PrivacyPlan, make_privacy_plan
from spikeveil.host.privacy.wording import AGAINST, Raster

EXAMPLE = (
    "Example: spikeveil plan --epsilon 10 --delta 1e-6 --unit record -T 16 -N 10 --spike-limit 16 --releases-per-day 24"
)


@click.command(epilog=EXAMPLE)
@click.option("--epsilon", required=True, help="Target epsilon of everything released in the period.")
@click.option("--delta", required=True, help="Delta that goes with it.")
@click.option("--unit", type=click.Choice(UNITS), required=True, help="What the target protects.")
@raster_options()
@click.option(
    "--releases-per-day",
    type=click.IntRange(1),
    required=True,
    help="Records of one subject released a day.",
)
@click.option("--days", type=click.IntRange(1), default=1, show_default=True, help="Length of the period.")
@click.option("-w", "--bits", type=int, default=16, show_default=True, help="Bits w of a random word.")
@click.option("--classes", type=click.IntRange(2), default=10, show_default=True, help="Equally likely classes.")
@json_option
def plan(**options: Any) -> None:
    """Find the flip threshold that keeps all releases within a privacy target.

    Prints the threshold k, the epsilon of a spike under it, and the best accuracy that any classifier can reach from
    what is released.
    """
    with usage_errors():
        raster = Raster(*(options[name] for name in RASTER))
        releases = options["releases_per_day"] * options["days"]
        target, delta = amount("target epsilon", options["epsilon"]), probability("delta", options["delta"])
        chosen = make_privacy_plan(target, delta, options["unit"], raster, releases, options["bits"])
        record = _record(chosen, options)
    if options["as_json"]:
        print_json(record)
    else:
        print_plan(chosen, record)


def _record(chosen: PrivacyPlan, options: dict[str, Any]) -> dict[str, Any]:
    classes = options["classes"]
    return {
        "unit": chosen.unit.value,
        "neighbours_differ_in": chosen.unit.relation,
        "released": chosen.raster.released,
        "against": AGAINST["trivium"],
        "releases": chosen.releases,
        "target_epsilon": options["epsilon"],
        "delta": float(chosen.delta),
        "threshold": chosen.mechanism.threshold,
        "bits": chosen.mechanism.bits,
        "flip_probability": str(chosen.mechanism.flip_probability),
        "epsilon_per_spike": chosen.mechanism.epsilon,
        "composed_bits": chosen.bits,
        "epsilon": chosen.epsilon,
        "epsilon_one_release": chosen.epsilon_one,
        "record_epsilon": chosen.record_epsilon,
        "record_epsilon_one_release": chosen.record_epsilon_one,
        "classes": classes,
        "accuracy_ceiling": chosen.ceiling(classes, chosen.releases),
        "accuracy_ceiling_one_release": chosen.ceiling(classes, 1),
    }
