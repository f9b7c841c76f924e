"""Files with secrets: hexadecimal, of mode 600, drawn from the operating system's generator, never printed."""

import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path


def read_secret(path: str | Path, name: str = "key") -> bytes:
    """The bytes that a file holds in hexadecimal. ValueError, without them, where it holds anything else or where
    others than its owner can read or write it. name: what the file is, for the message."""
    path = Path(path)
    try:
        with path.open("rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            content = stream.read(1 << 16)
    except OSError as error:
        raise ValueError(f"{name} file {path} could not be read: {error.strerror}") from None
    if os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ValueError(
            f"{name} file {path} must be for its owner alone, not of mode {stat.S_IMODE(mode):03o}: chmod 600"
        )
    try:
        return bytes.fromhex(content.decode("ascii").strip())
    except ValueError:
        raise ValueError(f"{name} file {path} does not hold hexadecimal digits") from None


def create_secret(path: str | Path, size: int, draw: Callable[[int], bytes] = secrets.token_bytes) -> bytes:
    """Draw `size` bytes and write them to a new file of mode 600. OSError where the file exists or cannot be made; then
    no part of it stays behind."""
    secret = draw(size)
    handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        with os.fdopen(handle, "w", encoding="ascii") as stream:
            stream.write(secret.hex() + "\n")
            stream.flush()
            os.fsync(stream.fileno())
    except BaseException:
        Path(path).unlink(missing_ok=True)
        raise
    return secret
