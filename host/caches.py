"""Bounded folders in the user's cache: the entries used least recently are removed. Processes may share a folder.

An entry is a folder whose name is a digest of everything that it depends on. It is created and removed by a rename, so
that no process sees it in part.
"""

import os
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import ModuleType

GRACE = 24 * 3600.0  # seconds after its last use in which an entry is kept: a process may be about to open it


def folder(name: str) -> Path:
    """`spikeveil/NAME` in the user's cache folder, `$XDG_CACHE_HOME` or `~/.cache`."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "spikeveil" / name


def package_sources(*packages: ModuleType) -> list[Path]:
    """The Python files of these packages and their sub-packages, in a fixed order, for the digest of a design."""
    roots = [Path(root) for package in packages for root in package.__path__]
    return [path for root in roots for path in sorted(root.rglob("*.py"))]


def touch(entry: Path) -> None:
    """Set the time of last use of `entry` to now, where that is permitted."""
    with suppress(OSError):
        os.utime(entry)


def evict(cache: Path, keep: int, grace: float = GRACE) -> list[Path]:
    """Remove the least recently used entries; the removed ones.

    The `keep` most recent ones stay, and those used in the last `grace` seconds. Temporary folders of interrupted work,
    whose names begin with a dot, are removed after the same time.
    """
    before = time.time() - grace
    used = sorted(((when, entry) for entry in _entries(cache) if (when := _last_use(entry)) is not None), reverse=True)
    entries = [(when, entry) for when, entry in used if not entry.name.startswith(".")]
    temporary = [(when, entry) for when, entry in used if entry.name.startswith(".")]
    return [entry for when, entry in [*entries[keep:], *temporary] if when < before and _removed(entry)]


def _entries(cache: Path) -> list[Path]:
    try:
        return [entry for entry in cache.iterdir() if entry.is_dir() and not entry.is_symlink()]
    except FileNotFoundError:
        return []


def _last_use(entry: Path) -> float | None:
    """Time of last use in seconds since 1970; None where another process has removed the entry."""
    try:
        return entry.stat().st_mtime
    except FileNotFoundError:
        return None


def _removed(entry: Path) -> bool:
    """Rename the entry out of the cache, so that no process sees it in part, then delete its files."""
    try:
        removal_folder = Path(tempfile.mkdtemp(dir=entry.parent, prefix=".removing-"))
        try:
            entry.rename(removal_folder / "entry")
        finally:
            shutil.rmtree(removal_folder, ignore_errors=True)
    except OSError:  # another process was faster, or permission is missing
        return False
    return True
