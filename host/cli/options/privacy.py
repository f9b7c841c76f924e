"""Options that `spikeveil budget`, `epsilon` and `plan` share: records, mechanism, decision, delta."""

from collections.abc import Callable
from typing import Any

import click

from spikeveil.host.cli.errors import usage_errors
from spikeveil.host.cli.options.common import Command, stack
from spikeveil.host.privacy.ledger import amount, probability
from spikeveil.host.privacy.ledger.amounts import float_below
from spikeveil.host.privacy.mechanisms import RandomizedResponse
from spikeveil.pysim import Decision
from spikeveil.pysim.model.decision import MAX_BITS, MAX_CLASSES
from spikeveil.pysim.model.flipper import MAX_BITS as MAX_FLIP_BITS

UNITS = ("spike", "neuron", "step", "record")
SOURCES = ("trivium", "os", "lfsr", "none")
FLIP = ("threshold", "spike_epsilon")
DEFAULT_CLASSES = 10
RASTER = ("steps", "neurons", "spike_limit", "step_spike_limit")  # option names, in the order of `Raster`'s fields

delta_option = click.option("--delta", default="1e-6", show_default=True, help="Delta of the claim; 0 gives the sum.")
bits_option = click.option("-w", "--bits", type=int, help="Bits w of a random word.  [default: 16; 32 for a decision]")
mechanism_options = stack(
    click.option("-k", "--threshold", type=int, help="Flip threshold k: a spike flips with probability k / 2^w."),
    bits_option,
    click.option("--epsilon", "spike_epsilon", type=float, help="Epsilon of ONE spike, instead of -k."),
)


decision_options = stack(
    click.option("--decision-epsilon", help="Of decisions instead of spikes: the epsilon of ONE, which is a record's."),
    click.option("-q", "--decision-words", "q", type=int, help="Words q for each other class, instead."),
    click.option("--classes", type=click.IntRange(2, MAX_CLASSES), help="Classes of a decision.  [default: 10]"),
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
    threshold, epsilon = options["threshold"], options["spike_epsilon"]
    bits = MAX_FLIP_BITS if options["bits"] is None else options["bits"]
    if (threshold is None) == (epsilon is None):
        raise click.UsageError("give either -k/--threshold or --epsilon")
    with usage_errors():
        if threshold is not None:
            return RandomizedResponse(threshold, bits)
        return RandomizedResponse.for_epsilon(float(str(epsilon)), bits)


def read_decision(options: dict[str, Any], *, with_steps: bool = False) -> Decision | None:
    """The k-ary decision that the options name; None where they name none. UsageError for a contradiction.

    with_steps: whether --steps may be given with a decision.
    """
    q, epsilon = options["q"], options["decision_epsilon"]
    if q is None and epsilon is None:
        if options["classes"] is not None:
            raise click.UsageError("--classes is for a decision: give --decision-epsilon or -q/--decision-words")
        return None
    names = {*FLIP, *RASTER} - ({"steps"} if with_steps else set())
    given = [name for name in names if options[name] is not None]
    if given or None not in (q, epsilon):
        raise click.UsageError("a decision takes either --decision-epsilon or -q, and nothing of a flipped layer")
    classes = options["classes"] or DEFAULT_CLASSES
    bits = MAX_BITS if options["bits"] is None else options["bits"]
    with usage_errors():
        if q is not None:
            return Decision(classes, q, bits)
        return Decision.for_epsilon(float(amount("decision epsilon", epsilon)), classes, bits)


def require(options: dict[str, Any], *names: str) -> None:
    """UsageError, as click says it, where one of the options is missing."""
    for parameter in click.get_current_context().command.params:
        if parameter.name in names and options[parameter.name] is None:
            raise click.MissingParameter(param=parameter)
