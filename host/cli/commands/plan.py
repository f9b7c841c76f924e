"""`spikeveil plan`: from a privacy target to a flip threshold, or to the decision that meets it."""

from typing import Any

import click

from spikeveil.host.cli.errors import usage_errors
from spikeveil.host.cli.options.common import json_option
from spikeveil.host.cli.options.privacy import RASTER, UNITS, bits_option, raster_options, require
from spikeveil.host.cli.screens.plan import print_decision_plan, print_plan
from spikeveil.host.cli.screens.tables import print_json
from spikeveil.host.privacy.decision_plan import decision_plan_dict, make_decision_plan
from spikeveil.host.privacy.ledger import amount, probability
from spikeveil.host.privacy.plan import PrivacyPlan, make_privacy_plan
from spikeveil.host.privacy.wording import AGAINST, Raster
from spikeveil.pysim.model.decision import MAX_BITS as DECISION_BITS
from spikeveil.pysim.model.flipper import MAX_BITS as FLIP_BITS

EXAMPLE = (
    "Example: spikeveil plan --epsilon 10 --delta 1e-6 --unit record -T 16 -N 10 --spike-limit 16 --releases-per-day 24"
)


@click.command(epilog=EXAMPLE)
@click.option("--epsilon", required=True, help="Target epsilon of everything released in the period.")
@click.option("--delta", required=True, help="Delta that goes with it.")
@click.option("--decision", is_flag=True, help="Plan one decision a record instead of flipped spikes.")
@click.option("--unit", type=click.Choice(UNITS), help="What the target protects; of a decision, always the record.")
@raster_options(required=False)
@click.option(
    "--releases-per-day",
    type=click.IntRange(1),
    required=True,
    help="Records of one subject released a day.",
)
@click.option("--days", type=click.IntRange(1), default=1, show_default=True, help="Length of the period.")
@bits_option
@click.option("--classes", type=click.IntRange(2), default=10, show_default=True, help="Equally likely classes.")
@click.option("--accuracy", type=click.FloatRange(0, 1), help="Of a decision: how often the raw winner is right.")
@click.option("--half-width", type=float, help="Of a decision: the records that class shares need for it, as 0.02.")
@json_option
def plan(**options: Any) -> None:
    """Find the flip threshold, or the decision, for a target.

    All releases together stay within the target. Prints the epsilon of a record, the threshold k or the words q, and
    the best accuracy that any classifier can reach from what is released. Of a decision also the accuracy to expect,
    and the records that shares of a given half-width need.
    """
    if options["decision"]:
        return _decision(options)
    if options["accuracy"] is not None or options["half_width"] is not None:
        raise click.UsageError("--accuracy and --half-width are for --decision")
    require(options, "unit", "steps", "neurons")
    with usage_errors():
        raster = Raster(*(options[name] for name in RASTER))
        releases = options["releases_per_day"] * options["days"]
        target, delta = amount("target epsilon", options["epsilon"]), probability("delta", options["delta"])
        privacy_plan = make_privacy_plan(target, delta, options["unit"], raster, releases, options["bits"] or FLIP_BITS)
        report = _report(privacy_plan, options)
    if options["as_json"]:
        print_json(report)
    else:
        print_plan(privacy_plan, report)


def _decision(options: dict[str, Any]) -> None:
    """The plan of decisions."""
    if any(options[name] is not None for name in RASTER) or options["unit"] not in (None, "record"):
        raise click.UsageError("--decision takes nothing of a flipped layer: its unit is the record")
    with usage_errors():
        releases = options["releases_per_day"] * options["days"]
        target, delta = amount("target epsilon", options["epsilon"]), probability("delta", options["delta"])
        bits = options["bits"] or DECISION_BITS
        decision_plan = make_decision_plan(target, delta, options["classes"], releases, bits)
        report = decision_plan_dict(decision_plan, options["accuracy"], options["half_width"])
    report |= {"target_epsilon": options["epsilon"], "against": AGAINST["trivium"]}
    if options["as_json"]:
        print_json(report)
    else:
        print_decision_plan(decision_plan, report)


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
