"""The content of a NIR file, read from its HDF5: nodes with named fields, edges, a note of spikeveil.

The format is that of NIR 0.1 to 1.0 (Pedersen et al., Nature Communications 15, 8122, 2024): group `node` with `nodes`,
`edges` and, since 1.0, `metadata`. It is read field by field, so that an unknown node type, or a field
that a later version adds, gives an error sentence and no traceback.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

MAX_NUMBERS = 1 << 28  # in one file: compressed zeros can claim to be more than any memory holds
NOTE = "spikeveil"  # key of the note that spikeveil writes into the graph's metadata


@dataclass(frozen=True, eq=False)
class Node:
    """One node: its name, its type as written in the file, and its fields (arrays, numbers, strings)."""

    name: str
    kind: str
    fields: dict[str, Any]

    def __str__(self) -> str:
        return f"node {self.name!r} ({self.kind})"

    def array(self, field: str) -> np.ndarray[Any, np.dtype[np.floating[Any]]]:
        """A field as a floating array of its own precision. ValueError where it is absent or no number."""
        if field not in self.fields:
            raise ValueError(
                f"{self} must have the field {field!r}, not only {', '.join(sorted(self.fields)) or 'none'}"
            )
        value = np.asarray(self.fields[field])
        if value.dtype.kind not in "fiub":
            raise ValueError(f"{self} {field} must be numbers, not {value.dtype}")
        return value if value.dtype in (np.float16, np.float32, np.float64) else value.astype(np.float64)


@dataclass(frozen=True, eq=False)
class NirFile:
    """A file's graph: nodes by name, edges in any order, SHA-256 of the file, the note of spikeveil if any."""

    nodes: dict[str, Node]
    edges: tuple[tuple[str, str], ...]
    sha256: str
    version: str
    note: str | None = None


def read_nir(path: Path) -> NirFile:
    """Read a NIR file. ValueError, one sentence, where it is none; OSError where it cannot be opened."""
    import h5py

    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    try:
        with h5py.File(path, "r") as file:
            return _graph(file, digest, str(path))
    except (OSError, KeyError, RuntimeError, TypeError, UnicodeDecodeError) as error:
        raise ValueError(
            f"NIR file {path} must be a whole NIR graph in HDF5, and it is cut or foreign: {error}"
        ) from error


def _graph(file: Any, digest: str, path: str) -> NirFile:
    if "node" not in file or "nodes" not in file["node"] or "edges" not in file["node"]:
        raise ValueError(f"NIR file {path} must hold a graph with nodes and edges, not {', '.join(file) or 'nothing'}")
    budget = [MAX_NUMBERS]
    nodes = {name: Node(name, kind, fields) for name, kind, fields in _nodes(file["node"]["nodes"], "", budget)}
    edges = tuple((_text(a), _text(b)) for a, b in file["node"]["edges"][()])
    note = file["node"].get(f"metadata/{NOTE}")
    version = _text(file["version"][()]) if "version" in file else "unknown"
    return NirFile(nodes, edges, digest, version, None if note is None else _text(note[()]))


def _nodes(group: Any, prefix: str, budget: list[int]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every node; a name with a slash in it lies as a group in a group."""
    import h5py

    for name, item in group.items():
        if not isinstance(item, h5py.Group):
            raise ValueError(f"node {prefix + name!r} must be a group of fields, not a lone number")
        if isinstance(item.get("type"), h5py.Dataset):
            fields = {key: _value(entry, budget) for key, entry in item.items() if isinstance(entry, h5py.Dataset)}
            yield prefix + name, str(fields.pop("type")), fields
        else:
            yield from _nodes(item, f"{prefix}{name}/", budget)


def _value(dataset: Any, budget: list[int]) -> Any:
    budget[0] -= int(dataset.size or 0)
    if budget[0] < 0:
        raise ValueError(f"NIR file must hold at most {MAX_NUMBERS} numbers, and it claims more")
    value = dataset[()]
    return _text(value) if isinstance(value, bytes | str) else value


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
