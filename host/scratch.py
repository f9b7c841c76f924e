"""Temporary folders that are removed at the end of a block, and those of killed processes at the next start."""

import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK = ".spikeveil-lock"  # a file in each folder, locked as long as its process lives


@contextmanager
def scratch_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """A new folder in `parent`, of mode 700, whose name begins with `prefix`; it is removed at the end of the block.

    Folders of that prefix whose process has ended without removing them are removed first. The block may rename the
    folder with `publish`. OSError where it cannot be made.
    """
    parent.mkdir(parents=True, exist_ok=True)
    sweep(parent, prefix)
    folder = Path(tempfile.mkdtemp(dir=parent, prefix=prefix))
    unlocked = folder / f"{LOCK}-new"
    handle = os.open(unlocked, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        unlocked.rename(folder / LOCK)  # locked when it appears: no sweep takes the folder for abandoned
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(handle)


@contextmanager
def memory_file(content: bytes) -> Iterator[Path]:
    """A file in memory that has no name on any disk, and ends with this process; the path by which children open it."""
    handle = os.memfd_create("spikeveil")
    try:
        with open(handle, "wb", closefd=False) as file:
            file.write(content)
        yield Path(f"/proc/{os.getpid()}/fd/{handle}")
    finally:
        os.close(handle)


@contextmanager
def replaced_file(path: Path, mode: int = 0o644) -> Iterator[Path]:
    """A new file that replaces `path`, synced to the disk, when the block ends without an error; until then, `path`
    stays as it is. OSError where `path` is something else than a regular file."""
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "not a regular file, so it was left as it is", str(path))
    with scratch_folder(path.parent, f".{path.name}-") as folder:
        new = folder / path.name
        yield new
        new.chmod(mode)
        with new.open("rb") as file:
            os.fsync(file.fileno())
        new.replace(path)


def sweep(parent: Path, prefix: str) -> list[Path]:
    """Remove the scratch folders of processes that have ended; the removed ones.

    A folder without our lock file stays, whatever its name and age: somebody else may have made it.
    """
    removed = []
    for folder in parent.glob(f"{prefix}*"):
        if not folder.is_symlink() and folder.is_dir() and _abandoned(folder):
            shutil.rmtree(folder, ignore_errors=True)
            removed.append(folder)
    return removed


def _abandoned(folder: Path) -> bool:
    """Whether the folder is ours, and no process holds its lock."""
    try:
        if folder.stat().st_uid != os.getuid():
            return False
        handle = os.open(folder / LOCK, os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(handle)
    return True
