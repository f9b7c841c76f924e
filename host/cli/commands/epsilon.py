"""`spikeveil epsilon`: what a flipper costs, at every unit and by every composition theorem."""

import json
from typing import TYPE_CHECKING, Any

import click

from spikeveil.host.cli.options.privacy import (
    SOURCES,
    UNITS,
    json_option,
    mechanism_of,
    mechanism_options,
    raster_options,
    up,
)
from spikeveil.host.cli.refusals import refusals

if TYPE_CHECKING:
    from spikeveil.host.privacy.bounds import Bound
    from spikeveil.host.privacy.mechanisms import RandomizedResponse
    from spikeveil.host.privacy.plan import UnitCost
    from spikeveil.host.privacy.wording import Raster

EXAMPLE = "Example: spikeveil epsilon --epsilon 1 -T 16 -N 10 --delta 1e-5 --plot-delta curve.svg"


@click.command(epilog=EXAMPLE)
@mechanism_options()
@raster_options()
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
    """Print the epsilon of released spikes: of one spike, and of whole releases at every unit, by exact composition.

    Beside it the older theorems (basic, advanced, zCDP, Rényi) for comparison. Figures are rounded up.
    """
    from spikeveil.host.privacy.bounds import comparison
    from spikeveil.host.privacy.events import Event
    from spikeveil.host.privacy.ledger import probability
    from spikeveil.host.privacy.ledger.amounts import float_below
    from spikeveil.host.privacy.plan import unit_costs
    from spikeveil.host.privacy.wording import Raster

    with refusals():
        mechanism = mechanism_of(options["threshold"], options["bits"], options["wanted"])
        raster = Raster(*(options[name] for name in ("steps", "neurons", "spike_limit", "step_spike_limit")))
        delta = float_below(probability("delta", options["delta"]))
        costs = unit_costs(mechanism, raster, options["releases"], delta)
        chosen = next(cost for cost in costs if cost.unit.value == options["unit"])
        bounds = comparison([Event(mechanism, chosen.bits)], delta)
    record = _record(mechanism, raster, costs, bounds, options, delta)
    if options["as_json"]:
        click.echo(json.dumps(record, indent=2))
    else:
        _print(mechanism, raster, costs, bounds, options, record)
    _plot(mechanism, raster, chosen, options, delta)


def _record(
    mechanism: "RandomizedResponse",
    raster: "Raster",
    costs: "tuple[UnitCost, ...]",
    bounds: "tuple[Bound, ...]",
    options: dict[str, Any],
    delta: float,
) -> dict[str, Any]:
    from spikeveil.host.privacy.wording import AGAINST

    def number(value: float) -> float | str:
        return value if value != float("inf") else "inf"

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
            **{bound.name: {"epsilon": number(bound.epsilon), "theorem": bound.theorem} for bound in bounds},
        },
    }


def _print(
    mechanism: "RandomizedResponse",
    raster: "Raster",
    costs: "tuple[UnitCost, ...]",
    bounds: "tuple[Bound, ...]",
    options: dict[str, Any],
    record: dict[str, Any],
) -> None:
    from rich.console import Console
    from rich.table import Table

    from spikeveil.host.privacy.wording import mechanism_text

    console, releases, delta = Console(), options["releases"], up(record["delta"])
    nominal = "" if record["private"] else "nominal "
    console.print(mechanism_text(mechanism), highlight=False)
    one = f"{nominal}epsilon of ONE spike: {up(mechanism.epsilon)} (spike level, delta 0, 1 bit)"
    console.print(one, highlight=False)
    console.print(f"released: {raster.released}", highlight=False)
    console.print(f"against: {record['against']}", highlight=False)
    table = Table(title=f"{nominal}epsilon at delta {delta}, exact composition, rounded up")
    for name in ("unit", "neighbours differ in", "bits", "one release", "bits", f"all {releases} releases"):
        table.add_column(name, justify="left" if name in ("unit", "neighbours differ in") else "right")
    for cost in costs:
        figures = (str(cost.bits_one), up(cost.epsilon_one), str(cost.bits), up(cost.epsilon))
        table.add_row(cost.unit.value, cost.unit.relation, *figures)
    console.print(table)
    bits = next(cost.bits for cost in costs if cost.unit.value == options["unit"])
    beside = Table(title=f"{nominal}epsilon at {options['unit']} level, {bits} bits, delta {delta}, by theorem")
    beside.add_column("composition")
    beside.add_column("epsilon", justify="right")
    beside.add_column("theorem")
    for bound in bounds:
        beside.add_row(bound.name, up(bound.epsilon), f"{bound.theorem}; {bound.conditions}")
    console.print(beside)


def _plot(
    mechanism: "RandomizedResponse", raster: "Raster", chosen: "UnitCost", options: dict[str, Any], delta: float
) -> None:
    """Draw what was asked for; a missing matplotlib is one sentence."""
    if not (options["plot_delta"] or options["plot_releases"]):
        return
    from spikeveil.host.cli.screens import epsilon_plots

    label = {} if options["source"] in ("trivium", "os") else {"note": "NOMINAL: the noise is predictable"}
    try:
        if options["plot_delta"]:
            epsilon_plots.delta_curve(options["plot_delta"], mechanism, chosen.unit, chosen.bits, **label)
        if options["plot_releases"]:
            most = max(options["releases"], 10)
            epsilon_plots.release_curve(options["plot_releases"], mechanism, raster, chosen.unit, most, delta, **label)
    except ImportError:
        raise click.ClickException("plots need matplotlib: pip install 'spikeveil[plot]'") from None
    except (OSError, ValueError) as error:
        raise click.ClickException(f"the plot could not be written: {error}") from error
