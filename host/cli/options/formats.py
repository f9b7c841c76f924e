"""Options of the integer formats that a float network is quantised to."""

from typing import Any

import click

from spikeveil.host.cli.options.common import stack
from spikeveil.host.networks.losses import MAX_LOSS
from spikeveil.host.networks.search import Search
from spikeveil.pysim.model.leak import ROUNDINGS

format_options = stack(
    click.option("--weight-bits", type=click.IntRange(2, 8), default=8, show_default=True, help="Bits of a weight."),
    click.option(
        "--state-bits", type=click.IntRange(2, 32), default=16, show_default=True, help="Bits of a potential."
    ),
    click.option(
        "--fraction-bits",
        type=click.IntRange(0, 16),
        help="Bits of a potential below a weight's unit [default: as many as help, up to 4].",
    ),
    click.option(
        "--leak-bits",
        type=click.IntRange(1, 16),
        help="Bits of a leak's fraction [default: 8, or 12 where that helps].",
    ),
    click.option(
        "--rounding", type=click.Choice(ROUNDINGS), help="Of the leak [default: floor, or nearest where that helps]."
    ),
    click.option("--per-neuron", is_flag=True, help="A scale for each neuron instead of each layer."),
    click.option(
        "--max-loss",
        type=click.FloatRange(0, 1),
        default=MAX_LOSS,
        show_default=True,
        help="Share of a layer's spikes that may be lost before it is an error.",
    ),
    click.option("--allow-loss", is_flag=True, help="Accept a layer that falls silent or loses more than that."),
)


def read_search(options: dict[str, Any]) -> Search:
    """What the search for formats must keep."""
    return Search(options["fraction_bits"], options["leak_bits"], options["rounding"], options["per_neuron"])
