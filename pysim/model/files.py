"""Files that are replaced atomically: a reader finds the old content or the new, never a part."""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


def write_atomically(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Replace the file `path` by `content`; see `replacing`."""
    with replacing(path, mode) as file:
        file.write(content)


@contextmanager
def replacing(path: Path, mode: int = 0o644) -> Iterator[BinaryIO]:
    """A file to write in the block, which replaces `path` at its end, with permissions `mode`, synced to disk.

    On any error `path` stays as it was. OSError where there is something else than a regular file: a device node is
    not replaced by a file.
    """
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "not a regular file, so it was left as it is", str(path))
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(mode)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
