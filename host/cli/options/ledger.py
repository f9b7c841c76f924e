"""Keys, heads and exports that `spikeveil budget` takes by name."""

from pathlib import Path
from typing import Any

import click

from spikeveil.host.device import keys
from spikeveil.host.privacy.ledger import Mark


def read_key_option(options: dict[str, Any]) -> bytes | None:
    """The key in the file that --key-file names; refused as `run` refuses it."""
    path, source = options["key_file"], options["source"]
    if options["new_key"] and path:
        raise click.UsageError("give either --key-file or --new-key")
    if not path:
        return None
    if source not in ("trivium", "lfsr"):
        raise click.UsageError(f"a lease under {source} takes no key")
    try:
        secrets = keys.Secrets.file(path, source == "lfsr", options["flippers"])
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    if secrets.public and not options["demonstration"]:
        raise click.ClickException(
            "the key is published or a pattern, which protects nothing: only an insecure demonstration may use it"
        )
    return secrets.next()


def create_new_key(options: dict[str, Any]) -> bytes:
    """A new key in the file that --new-key names, for its owner alone."""
    path, size = options["new_key"], keys.secret_bytes(options["source"] == "lfsr", options["flippers"])
    try:
        return keys.create_key(path, size)
    except OSError as error:
        raise click.ClickException(f"key file {path} could not be made: {error.strerror}") from error


def read_head(text: str | None) -> Mark | None:
    """The ledger's head in NUMBER:HASH. UsageError for another form."""
    if text is None:
        return None
    number, _, digest = text.partition(":")
    if not number.isdecimal() or len(digest) != 64:
        raise click.UsageError(f"--head must be NUMBER:HASH with 64 hexadecimal digits, not {text!r}")
    return Mark(int(number), digest.lower())


def is_export(file: str) -> bool:
    """Whether the file starts as JSON lines do, and not as an SQLite database does."""
    try:
        with Path(file).open("rb") as stream:
            return stream.read(1) == b"{"
    except OSError:
        return False
