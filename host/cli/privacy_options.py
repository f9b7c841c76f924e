"""Options, refusals and number formats that `spikeveil budget`, `epsilon` and `plan` share."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import ROUND_CEILING, Decimal, localcontext
from typing import Any, TypeVar

import click

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
        click.option("--step-limit", type=click.IntRange(1), help="Most spikes of a step that enter the flipper."),
    )


def mechanism_options() -> Callable[[Command], Command]:
    """The flipper: its integers, or a wanted epsilon for one spike."""
    return _stack(
        click.option("-k", "--threshold", type=int, help="Flip threshold k: a spike flips with probability k / 2^w."),
        click.option("-w", "--bits", type=int, default=16, show_default=True, help="Bits w of a random word."),
        click.option("--epsilon", "wanted", type=float, help="Wanted epsilon of ONE spike, instead of -k."),
    )


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@contextmanager
def refusals() -> Iterator[None]:
    """Bad values end with exit code 2, refusals and failures of the ledger with 1, each with its one sentence."""
    from spikeveil.host.privacy.budget import BudgetExceeded
    from spikeveil.host.privacy.ledger import LedgerError

    try:
        yield
    except (BudgetExceeded, LedgerError) as refusal:
        raise click.ClickException(str(refusal)) from refusal
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def mechanism_of(threshold: int | None, bits: int, wanted: float | None) -> Any:
    """The RandomizedResponse that the options ask for. Call inside `refusals`."""
    from spikeveil.host.privacy.mechanisms import RandomizedResponse

    if (threshold is None) == (wanted is None):
        raise click.UsageError("give either -k/--threshold or --epsilon")
    if threshold is not None:
        return RandomizedResponse(threshold, bits)
    return RandomizedResponse.for_epsilon(float(str(wanted)), bits)


def up(value: float, digits: int = 6) -> str:
    """`value` to `digits` significant digits, never below it."""
    with localcontext() as context:
        context.prec, context.rounding = digits, ROUND_CEILING
        return f"{float(+Decimal(value)):.{digits}g}"
