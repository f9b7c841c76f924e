"""File format of checkpoints and weights: a NumPy .npz of one JSON header and plain arrays, written atomically."""

import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikeveil.pysim.model.array_file import NETWORK_BYTES, ArrayFile, SizeError, require_size
from spikeveil.pysim.model.damage import DAMAGE
from spikeveil.pysim.model.files import write_atomically

HEADER = "header"


@dataclass(frozen=True)
class ArchiveKind:
    """One kind of archive: `format` and `version` in its header, and its `name` in error messages."""

    format: str
    version: int
    name: str

    def write(self, path: Path, header: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Write `header`, ready for JSON, and `tensors`, synced to the disk when this returns."""
        text = json.dumps({"format": self.format, "version": self.version, **header}).encode()
        arrays: dict[str, Any] = {HEADER: np.frombuffer(text, np.uint8)}
        arrays |= {name: value.detach().numpy() for name, value in tensors.items()}
        content = io.BytesIO()
        np.savez(content, **arrays)
        write_atomically(path, content.getvalue())

    def read(self, path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """What `write` wrote; ValueError for anything else, OSError where it cannot be read."""
        require_size(f"{self.name} {path.name}", path.stat().st_size, NETWORK_BYTES)
        with self.whole(path):
            with ArrayFile(path, f"{self.name} {path.name}", "a whole file of ours", NETWORK_BYTES) as file:
                tensors = {name: torch.from_numpy(file.array(name)) for name in file.names if name != HEADER}
                header = json.loads(file.array(HEADER).tobytes())
            found, version = header.pop("format"), header.pop("version")
        if found != self.format or version != self.version:
            raise ValueError(f"{self.name} {path.name} must be of version {self.version}, not {version!r}")
        return header, tensors

    @contextmanager
    def whole(self, path: Path) -> Iterator[None]:
        """Context that turns the exceptions of a missing or malformed part into one ValueError."""
        try:
            yield
        except (SizeError, OSError):
            raise
        except DAMAGE as error:
            raise ValueError(f"{self.name} {path.name} must be a whole file of ours, not a damaged one") from error
