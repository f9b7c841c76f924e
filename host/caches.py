"""Folders of the user's cache, each bounded: the oldest by last use goes. Several processes may share one.

An entry is a folder whose name is a digest of all that it depends on; it appears whole, by a rename, and goes by one.
"""

import os
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import ModuleType

GRACE = 24 * 3600.0  # seconds after its last use in which nothing goes: whoever found it may not have opened it yet


def folder(name: str) -> Path:
    """`spikeveil/NAME` in the user's cache folder, `$XDG_CACHE_HOME` or `~/.cache`."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "spikeveil" / name


def package_sources(*packages: ModuleType) -> list[Path]:
    """The Python files of these packages and their sub-packages, in a fixed order: what a digest of a design covers."""
    roots = [Path(root) for package in packages for root in package.__path__]
    return [path for root in roots for path in sorted(root.rglob("*.py"))]


def touch(entry: Path) -> None:
    """Note that `entry` is used now, where it may be noted."""
    with suppress(OSError):
        os.utime(entry)


def evict(cache: Path, keep: int, grace: float = GRACE) -> list[Path]:
    """Remove all but the `keep` entries used last, and those used in the last `grace` seconds; which ones went.

    So do folders whose names begin with a dot, of work that was cut off, once they are older than that.
    """
    before = time.time() - grace
    used = sorted(((when, entry) for entry in _entries(cache) if (when := _last_use(entry)) is not None), reverse=True)
    entries = [(when, entry) for when, entry in used if not entry.name.startswith(".")]
    left = [(when, entry) for when, entry in used if entry.name.startswith(".")]
    return [entry for when, entry in [*entries[keep:], *left] if when < before and _removed(entry)]


def _entries(cache: Path) -> list[Path]:
    try:
        return [entry for entry in cache.iterdir() if entry.is_dir() and not entry.is_symlink()]
    except FileNotFoundError:
        return []


def _last_use(entry: Path) -> float | None:
    """Seconds since 1970; None where another process has removed it by now."""
    try:
        return entry.stat().st_mtime
    except FileNotFoundError:
        return None


def _removed(entry: Path) -> bool:
    """Take the entry out of the cache at once, so that nobody finds half of it, then remove what it held."""
    try:
        grave = Path(tempfile.mkdtemp(dir=entry.parent, prefix=".removing-"))
        try:
            entry.rename(grave / "entry")
        finally:
            shutil.rmtree(grave, ignore_errors=True)
    except OSError:  # another process was first, or it is not ours to remove
        return False
    return True
