"""The files that `spikeveil budget` reads and writes beside the ledger."""

import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

if TYPE_CHECKING:
    from spikeveil.host.privacy.ledger import Mark


def read_or_make_key(options: dict[str, Any]) -> bytes | None:
    """The key that the options name; a new one lies in its file, readable by its owner alone, before the lease."""
    from spikeveil.host.device.keys import read_key

    if options["new_key"] and options["key_file"]:
        raise click.UsageError("give either --key-file or --new-key")
    if options["new_key"]:
        return _new_key(options["new_key"], 16 * options["flippers"] if options["source"] == "lfsr" else 10)
    if options["key_file"]:
        try:
            return read_key(options["key_file"], private=False)
        except ValueError as error:
            raise click.ClickException(str(error)) from None
    return None


def _new_key(path: str, size: int) -> bytes:
    from spikeveil.host.device.keys import create_key

    try:
        return create_key(path, size)
    except OSError as error:
        raise click.ClickException(f"key file {path} could not be made: {error.strerror}") from error


def known_head(text: str | None) -> "Mark | None":
    """The head in NUMBER:HASH. UsageError where it has another form."""
    from spikeveil.host.privacy.ledger import Mark

    if text is None:
        return None
    number, _, digest = text.partition(":")
    if not number.isdecimal() or len(digest) != 64:
        raise click.UsageError(f"--head must be NUMBER:HASH with 64 hexadecimal digits, not {text!r}")
    return Mark(int(number), digest.lower())


def is_export(file: str) -> bool:
    """Whether the file starts as JSON lines do; a ledger starts with SQLite's own words."""
    try:
        with Path(file).open("rb") as stream:
            return stream.read(1) == b"{"
    except OSError:
        return False


def write_whole(path: Path, write: Callable[[TextIO], object]) -> None:
    """Let `write` fill the file at `path`, which appears or changes only when it is whole."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}.new")
    try:
        with draft.open("x", encoding="ascii", newline="\n") as stream:
            write(stream)
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(path)
    except OSError as error:
        raise click.ClickException(f"{path} could not be written: {error.strerror}") from error
    finally:
        draft.unlink(missing_ok=True)
