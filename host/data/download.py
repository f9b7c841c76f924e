"""Downloads of pinned files: a file with another checksum is discarded before anything reads it."""

import hashlib
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

from spikeveil.host import caches
from spikeveil.host.data.dataset import DataMissing
from spikeveil.pysim.model.files import write_atomically

TIMEOUT = 30.0  # seconds without a byte


@dataclass(frozen=True)
class Pinned:
    """A file: name, size in bytes and SHA-256 as 64 hexadecimal digits."""

    name: str
    size: int
    sha256: str

    def is_content(self, content: bytes) -> bool:
        """Whether `content` is this file."""
        return len(content) == self.size and hashlib.sha256(content).hexdigest() == self.sha256


def cache_folder() -> Path:
    """Where downloads are kept: `spikeveil/data` in the user's cache folder. Deleting it costs a download."""
    return caches.folder("data")


def fetch(pinned: Pinned, mirrors: Sequence[str], folder: Path) -> Path:
    """The path of the pinned file in `folder`, downloaded from the first mirror that has it, unless it is there.

    `mirrors` are URLs of folders, tried in order. A file with another checksum is discarded, from the network and from
    `folder` alike; a file is written atomically. DataMissing, with the answer of each mirror, where none has it.
    """
    path = folder / pinned.name
    if path.is_file() and pinned.is_content(path.read_bytes()):
        return path
    answers = []
    for mirror in mirrors:
        url = mirror.rstrip("/") + "/" + pinned.name
        content, answer = _read(url, pinned.size)
        if content is not None and pinned.is_content(content):
            _write(path, content)
            return path
        answers.append(f"{url}: {answer or 'another file than the pinned one, discarded'}")
    raise DataMissing(
        f"{pinned.name} is not in {folder} and could not be downloaded ({'; '.join(answers)}): "
        "get it elsewhere and give the path of the data"
    )


def _read(url: str, size: int) -> tuple[bytes | None, str]:
    """At most one byte more than `size`; or None and the reason."""
    if not url.startswith(("https://", "http://127.0.0.1:")):
        return None, "refused, because it is not https"
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
            return answer.read(size + 1), ""
    except (urllib.error.URLError, HTTPException, OSError) as error:
        return None, str(getattr(error, "reason", None) or error)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, content)
