"""Options, refusals and number formats that `spikeveil budget`, `epsilon` and `plan` share."""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from spikeveil.host.cli.refusals import refusals as refusals

Command = TypeVar("Command", bound=Callable[..., Any])

UNITS = ("spike", "neuron", "step", "record")
SOURCES = ("trivium", "os", "lfsr", "none")


def _stack(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def raster_options(required: bool = True) -> Callable[[Command], Command]:
    """T, N and the limits of one record."""
    return _stack(
        click.option("-T", "--steps", type=click.IntRange(1), required=required, help="Time steps of a record (T)."),
        click.option("-N", "--neurons", type=click.IntRange(1), required=required, help="Neurons of the layer (N)."),
        click.option("--spike-limit", type=click.IntRange(1), help="Most spikes of a record that enter the flipper."),
        click.option(
            "--step-spike-limit", type=click.IntRange(1), help="Most spikes of a step that enter the flipper."
        ),
    )


def mechanism_options() -> Callable[[Command], Command]:
    """The flipper: its integers, or a wanted epsilon for one spike."""
    return _stack(
        click.option("-k", "--threshold", type=int, help="Flip threshold k: a spike flips with probability k / 2^w."),
        click.option("-w", "--bits", type=int, default=16, show_default=True, help="Bits w of a random word."),
        click.option("--epsilon", "wanted", type=float, help="Wanted epsilon of ONE spike, instead of -k."),
    )


def up(value: float, digits: int = 6) -> str:
    """`value` to `digits` significant digits, never below it."""
    from spikeveil.host.privacy.wording import up as shown

    return shown(value, digits)


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def mechanism_of(threshold: int | None, bits: int, wanted: float | None) -> Any:
    """The RandomizedResponse that the options ask for. Call inside `refusals`."""
    from spikeveil.host.privacy.mechanisms import RandomizedResponse

    if (threshold is None) == (wanted is None):
        raise click.UsageError("give either -k/--threshold or --epsilon")
    if threshold is not None:
        return RandomizedResponse(threshold, bits)
    return RandomizedResponse.for_epsilon(float(str(wanted)), bits)
