"""`spikeveil epsilon`: the epsilon of a flipper at every unit, or of decisions, by every composition theorem."""

from typing import Any

import click

from spikeveil.host.cli.errors import usage_errors
from spikeveil.host.cli.options.common import json_option
from spikeveil.host.cli.options.privacy import (
    RASTER,
    SOURCES,
    UNITS,
    decision_options,
    mechanism_options,
    raster_options,
    read_decision,
    read_delta,
    read_mechanism,
    require,
)
from spikeveil.host.cli.screens import epsilon_plots
from spikeveil.host.cli.screens.epsilon import print_decisions, print_epsilon
from spikeveil.host.cli.screens.tables import print_json
from spikeveil.host.privacy.bounds import Bound, comparison
from spikeveil.host.privacy.decisions import epsilon_of_decisions
from spikeveil.host.privacy.events import Event
from spikeveil.host.privacy.mechanisms import RandomizedResponse
from spikeveil.host.privacy.plan import UnitCost, unit_costs
from spikeveil.host.privacy.wording import AGAINST, Raster
from spikeveil.pysim import Decision
from spikeveil.pysim.model.decision import describe

EXAMPLE = "Example: spikeveil epsilon --epsilon 1 -T 16 -N 10 --delta 1e-5 --plot-delta curve.svg"


@click.command(epilog=EXAMPLE)
@mechanism_options
@decision_options
@raster_options(required=False)
@click.option("--releases", type=click.IntRange(1), default=1, show_default=True, help="Records of the same data.")
@click.option("--delta", required=True, help="Delta of all releases together; 0 gives the plain sum.")
@click.option(
    "--unit", type=click.Choice(UNITS), default="record", show_default=True, help="Unit of table 2 and plots."
)
@click.option(
    "--source", type=click.Choice(SOURCES), default="trivium", show_default=True, help="Where noise comes from."
)
@click.option("--plot-delta", type=click.Path(dir_okay=False), help="Draw delta against epsilon (.png or .svg).")
@click.option("--plot-releases", type=click.Path(dir_okay=False), help="Draw epsilon against the number of releases.")
@json_option
def epsilon(**options: Any) -> None:
    """Print the epsilon of released spikes, or of decisions.

    Shows the epsilon of a record, by exact composition of all releases, and the older theorems (basic, advanced, zCDP,
    Rényi) for comparison. Decisions cost the same at every unit. Figures are rounded up.
    """
    decision = read_decision(options)
    if decision is not None:
        return _decisions(decision, options)
    require(options, "steps", "neurons")
    mechanism, delta = read_mechanism(options), read_delta(options["delta"])
    with usage_errors():
        raster = Raster(*(options[name] for name in RASTER))
        costs = unit_costs(mechanism, raster, options["releases"], delta)
        unit_cost = next(cost for cost in costs if cost.unit.value == options["unit"])
        bounds = comparison([Event(mechanism, unit_cost.bits)], delta)
    report = _report(mechanism, raster, costs, bounds, options, delta)
    if options["as_json"]:
        print_json(report)
    else:
        print_epsilon(mechanism, raster, costs, bounds, report)
    _plot(mechanism, raster, unit_cost, options, delta)


def _decisions(decision: Decision, options: dict[str, Any]) -> None:
    """The figures of decisions about one record."""
    if options["plot_delta"] or options["plot_releases"]:
        raise click.UsageError("plots are for flipped spikes")
    releases, delta = options["releases"], read_delta(options["delta"])
    with usage_errors():
        bounds = comparison([Event(decision, releases)], delta)
        report = {
            "decision": describe(decision),
            "record_epsilon": decision.epsilon,
            "epsilon": epsilon_of_decisions(decision, releases, delta if releases > 1 else 0.0),
            "releases": releases,
            "delta": delta if releases > 1 else 0.0,
            "against": AGAINST[options["source"]],
            "private": options["source"] in ("trivium", "os"),
            "compositions": {"unit": "record", **_bounds_dict(bounds)},
        }
    if options["as_json"]:
        print_json(report)
    else:
        print_decisions(decision, bounds, report)


def _bounds_dict(bounds: tuple[Bound, ...]) -> dict[str, Any]:
    return {
        bound.name: {"epsilon": "inf" if bound.epsilon == float("inf") else bound.epsilon, "theorem": bound.theorem}
        for bound in bounds
    }


def _report(
    mechanism: RandomizedResponse,
    raster: Raster,
    costs: tuple[UnitCost, ...],
    bounds: tuple[Bound, ...],
    options: dict[str, Any],
    delta: float,
) -> dict[str, Any]:
    return {
        "threshold": mechanism.threshold,
        "bits": mechanism.bits,
        "flip_probability": str(mechanism.flip_probability),
        "epsilon_per_spike": mechanism.epsilon,
        "released": raster.released,
        "against": AGAINST[options["source"]],
        "private": options["source"] in ("trivium", "os"),
        "releases": options["releases"],
        "delta": delta,
        "units": [
            {
                "unit": cost.unit.value,
                "neighbours_differ_in": cost.unit.relation,
                "composed_bits_one_release": cost.bits_one,
                "epsilon_one_release": cost.epsilon_one,
                "composed_bits": cost.bits,
                "epsilon": cost.epsilon,
            }
            for cost in costs
        ],
        "compositions": {
            "unit": options["unit"],
            **_bounds_dict(bounds),
        },
    }


def _plot(
    mechanism: RandomizedResponse, raster: Raster, unit_cost: UnitCost, options: dict[str, Any], delta: float
) -> None:
    """Draw the plots that the options ask for."""
    label = {} if options["source"] in ("trivium", "os") else {"note": "NOMINAL: the noise is predictable"}
    try:
        if options["plot_delta"]:
            epsilon_plots.delta_curve(options["plot_delta"], mechanism, unit_cost.unit, unit_cost.bits, **label)
        if options["plot_releases"]:
            max_releases = max(options["releases"], 10)
            epsilon_plots.release_curve(
                options["plot_releases"], mechanism, raster, unit_cost.unit, max_releases, delta, **label
            )
    except (OSError, ValueError) as error:
        raise click.ClickException(f"the plot could not be written: {error}") from error
