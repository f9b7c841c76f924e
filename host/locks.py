"""A lock file between processes, released by the system when its process ends for any reason."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the lock file `path`, which is created for this and removed afterwards.

    A process that was killed leaves the file without a lock; the next process reuses it. BlockingIOError where another
    process holds the lock; OSError.
    """
    handle = _lock(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)  # still locked: a process that has opened it finds that its name is gone
        os.close(handle)


def _lock(path: Path) -> int:
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
        os.close(handle)  # of a process that has just released it
