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
    """Find the flip threshold that meets a privacy target.

    All releases together stay within the target. Prints the threshold k, the epsilon of a spike under it, and the best
    accuracy that any classifier can reach from what is released.
    """
    with usage_errors():
        raster = Raster(*(options[name] for name in RASTER))
        releases = options["releases_per_day"] * options["days"]
        target, delta = amount("target epsilon", options["epsilon"]), probability("delta", options["delta"])
        privacy_plan = make_privacy_plan(target, delta, options["unit"], raster, releases, options["bits"])
        report = _report(privacy_plan, options)
    if options["as_json"]:
        print_json(report)
    else:
        print_plan(privacy_plan, report)


def _report(privacy_plan: PrivacyPlan, options: dict[str, Any]) -> dict[str, Any]:
    classes = options["classes"]
    return {
        "unit": privacy_plan.unit.value,
        "neighbours_differ_in": privacy_plan.unit.relation,
        "released": privacy_plan.raster.released,
        "against": AGAINST["trivium"],
        "releases": privacy_plan.releases,
        "target_epsilon": options["epsilon"],
        "delta": float(privacy_plan.delta),
        "threshold": privacy_plan.mechanism.threshold,
        "bits": privacy_plan.mechanism.bits,
        "flip_probability": str(privacy_plan.mechanism.flip_probability),
        "epsilon_per_spike": privacy_plan.mechanism.epsilon,
        "composed_bits": privacy_plan.bits,
        "epsilon": privacy_plan.epsilon,
        "epsilon_one_release": privacy_plan.epsilon_one,
        "record_epsilon": privacy_plan.record_epsilon,
        "record_epsilon_one_release": privacy_plan.record_epsilon_one,
        "classes": classes,
        "accuracy_ceiling": privacy_plan.ceiling(classes, privacy_plan.releases),
        "accuracy_ceiling_one_release": privacy_plan.ceiling(classes, 1),
    }
