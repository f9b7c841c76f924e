"""Folders of results whose files have digests: damage is found before use, and a crash leaves no part of a folder."""

import hashlib
import json
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from spikeveil.host.scratch import LOCK

SEAL = "seal.json"  # the file with the digests; itself under a digest


def publish(folder: Path, target: Path, **facts: Any) -> None:
    """Seal `folder` with `facts` (JSON values), sync it to the disk and rename it to `target`.

    A folder that is there already is replaced unless it is intact: another process has then made the same. OSError.
    """
    (folder / LOCK).unlink(missing_ok=True)
    files = {str(path.relative_to(folder)): file_digest(path) for path in sorted(folder.rglob("*")) if path.is_file()}
    content = {"facts": facts, "files": files}
    (folder / SEAL).write_text(json.dumps({**content, "digest": _digest(content)}) + "\n")
    for path in (*folder.rglob("*"), folder):
        _sync(path)
    if read_facts(target, **facts_of_identity(facts)) is None:
        _remove(target)
        with suppress(OSError):  # another process was faster
            folder.rename(target)
            _sync(target.parent)
    if read_facts(target) is None:
        raise OSError(f"{target} could not be replaced")


def facts_of_identity(facts: dict[str, Any]) -> dict[str, Any]:
    """The facts that name a folder: text. Figures such as seconds differ from one making to the next."""
    return {name: value for name, value in facts.items() if isinstance(value, str)}


def read_facts(folder: Path, **expected: Any) -> dict[str, Any] | None:
    """The facts of a sealed folder; None unless every file is as it was sealed and the facts include `expected`."""
    try:
        content = json.loads((folder / SEAL).read_bytes())
        digest = content.pop("digest")
        facts, files = dict(content["facts"]), dict(content["files"])
        whole = digest == _digest(content) and all(file_digest(folder / name) == files[name] for name in files)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return facts if whole and expected.items() <= facts.items() else None


def file_digest(path: Path) -> str:
    """SHA-256 of a file, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _digest(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _remove(folder: Path) -> None:
    """Remove a folder, or a file in its place, under another name first: no process sees it in part."""
    doomed = folder.with_name(f".removing-{os.getpid()}-{folder.name}")
    with suppress(FileNotFoundError):
        folder.rename(doomed)
    if doomed.is_dir():
        shutil.rmtree(doomed, ignore_errors=True)
    else:
        doomed.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
