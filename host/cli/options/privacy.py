"""Options that `spikeveil budget`, `epsilon` and `plan` share: records, mechanism, delta."""

from collections.abc import Callable
from typing import Any

import click

from spikeveil.host.cli.errors import usage_errors
from spikeveil.host.cli.options.common import Command, stack
from spikeveil.host.privacy.ledger import probability
from spikeveil.host.privacy.ledger.amounts import float_below
from spikeveil.host.privacy.mechanisms import RandomizedResponse

UNITS = ("spike", "neuron", "step", "record")
SOURCES = ("trivium", "os", "lfsr", "none")
RASTER = ("steps", "neurons", "spike_limit", "step_spike_limit")  # option names, in the order of `Raster`'s fields

delta_option = click.option("--delta", default="1e-6", show_default=True, help="Delta of the claim; 0 gives the sum.")
mechanism_options = stack(
    click.option("-k", "--threshold", type=int, help="Flip threshold k: a spike flips with probability k / 2^w."),
    click.option("-w", "--bits", type=int, default=16, show_default=True, help="Bits w of a random word."),
    click.option("--epsilon", "spike_epsilon", type=float, help="Epsilon of ONE spike, instead of -k."),
)


def raster_options(required: bool = True) -> Callable[[Command], Command]:
    """T, N and the spike limits of one record."""
    return stack(
        click.option("-T", "--steps", type=click.IntRange(1), required=required, help="Time steps of a record (T)."),
        click.option("-N", "--neurons", type=click.IntRange(1), required=required, help="Neurons of the layer (N)."),
        click.option("--spike-limit", type=click.IntRange(1), help="Most raw spikes of a record."),
        click.option("--step-spike-limit", type=click.IntRange(1), help="Most raw spikes of a step."),
    )


def read_delta(text: str) -> float:
    """A delta as typed, rounded down to a float. UsageError for anything else."""
    with usage_errors():
        return float_below(probability("delta", text))


def read_mechanism(options: dict[str, Any]) -> RandomizedResponse:
    """The mechanism that the options name. UsageError unless they give one of threshold and epsilon."""
    threshold, bits, epsilon = options["threshold"], options["bits"], options["spike_epsilon"]
    if (threshold is None) == (epsilon is None):
        raise click.UsageError("give either -k/--threshold or --epsilon")
    with usage_errors():
        if threshold is not None:
            return RandomizedResponse(threshold, bits)
        return RandomizedResponse.for_epsilon(float(str(epsilon)), bits)
