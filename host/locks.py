"""A lock between processes that ends with the process that holds it, however it ends."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold the file `path`, made for it and removed after. BlockingIOError where another process holds it; OSError.

    A process that was killed leaves the file, and nothing that holds it: the next one takes it over.
    """
    handle = _held(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)  # still held: whoever has opened it by now sees that its name is gone
        os.close(handle)


def _held(path: Path) -> int:
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(handle), path.stat()):
                    return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)  # of a holder that has just ended
