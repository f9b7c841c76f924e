"""Options that the commands on NIR files share."""

from typing import Any

import click

from spikeveil.host.cli.errors import usage_errors
from spikeveil.host.cli.options.common import stack
from spikeveil.host.exchange.choices import Choices
from spikeveil.host.exchange.conventions import CONVENTIONS, convention

choice_options = stack(
    click.option(
        "--from",
        "convention",
        type=click.Choice(tuple(CONVENTIONS)),
        help="The library that wrote the file: all that files leave open, as it means them by default.",
    ),
    click.option("--dt", type=float, help="Length of a step, in the unit of the file's time constants."),
    click.option("--decay", type=click.Choice(("euler", "exp")), help="1 - dt/tau, or exp(-dt/tau)."),
    click.option("--reset", type=click.Choice(("zero", "subtract")), help="To v_reset, or by the threshold."),
    click.option(
        "--reset-timing",
        type=click.Choice(("immediate", "delayed", "snntorch")),
        help="In the step of the spike, in the next one, or as snnTorch's reset_delay=False does.",
    ),
    click.option("--compare", type=click.Choice(("gt", "ge")), help="A spike where v > threshold, or v >= threshold."),
    click.option(
        "--gain",
        type=click.Choice(("dt-over-tau", "one-minus-beta", "r", "one")),
        help="Input of a leaky neuron times r dt/tau, r (1 - beta), r, or 1; Sinabs and Rockpool need the others.  "
        "[default: dt-over-tau]",
    ),
    click.option(
        "--initial",
        type=click.Choice(("zero", "leak", "reset")),
        help="Where potentials start; asked where v_leak or v_reset is not 0.",
    ),
    click.option(
        "--node-reset",
        "node_resets",
        multiple=True,
        metavar="NODE=RESET",
        help="The reset of one node, where it differs from the others; may be given several times.",
    ),
)
CHOICES = ("dt", "decay", "reset", "reset_timing", "compare", "gain", "initial")


def read_choices(options: dict[str, Any]) -> Choices:
    """The choices as typed, in place of those of --from. UsageError for a value out of range."""
    given = {name: options[name] for name in CHOICES if options[name] is not None}
    if options["node_resets"]:
        given["resets"] = dict(_node_reset(text) for text in options["node_resets"])
    with usage_errors():
        if options["convention"] is None:
            return Choices(**given)
        return convention(options["convention"]).with_choices(**given)


def any_choice(options: dict[str, Any]) -> bool:
    """Whether --from or a single choice is given."""
    return bool(options["node_resets"]) or any(options[name] is not None for name in ("convention", *CHOICES))


def _node_reset(text: str) -> tuple[str, str]:
    """Node and reset of `NODE=RESET`. UsageError for other text."""
    node, equals, reset = text.rpartition("=")
    if not node or not equals:
        raise click.UsageError(f"--node-reset must be NODE=RESET, not {text!r}")
    return node, reset
