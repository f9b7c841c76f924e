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

from spikeveil.host.data.file_kinds import file_kind
from spikeveil.pysim.model.array_file import NETWORK_BYTES, require_size
from spikeveil.pysim.model.damage import DAMAGE

MAX_NUMBERS = 1 << 24  # values of one node, as its shapes declare them
MAX_DEPTH = 32  # groups in groups
NOTE = "spikeveil"  # key of the note that spikeveil writes into the graph's metadata


@dataclass(frozen=True, eq=False)
class Node:
    """One node: its name, its type as written in the file, and its fields (arrays, numbers, strings).

    A graph in a graph has the fields `nodes`, a dictionary of Node by name, and `edges`.
    """

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
    """Read a NIR file. ValueError, one sentence, where it is none; OSError where it cannot be opened.

    Everything must lie in the file itself, once: links other than hard links, storage in other files and virtual data
    sets would copy what else is readable on this machine into the network, and are refused. The file, and all
    that it declares, may have NETWORK_BYTES: SizeError, before any of it is read.
    """
    import h5py

    require_size(f"NIR file {path}", path.stat().st_size, NETWORK_BYTES)
    kind = file_kind(path)
    if kind is not None and "HDF5" not in kind:
        raise ValueError(f"NIR file {path} must be a NIR graph in HDF5, and it is {kind}")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    try:
        with h5py.File(path, "r") as file:
            return _Reader(str(path)).graph(file, digest)
    except ValueError as error:
        if type(error) is not UnicodeDecodeError:
            raise
        raise ValueError(f"NIR file {path} must hold text as UTF-8: {error}") from error
    except DAMAGE as error:
        raise ValueError(
            f"NIR file {path} must be a whole NIR graph in HDF5, and it is cut or foreign: {error}"
        ) from error


class _Reader:
    """Walks a file and reads its values, each object once, within a budget of bytes."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._declared = 0
        self._visited: set[int] = set()

    def graph(self, file: Any, digest: str) -> NirFile:
        """The graph of the opened file."""
        root = self._child(file, "node")
        group = None if root is None else self._child(root, "nodes")
        edges = None if root is None else self._child(root, "edges")
        if group is None or edges is None:
            found = ", ".join(file) or "nothing"
            raise ValueError(f"NIR file {self._path} must hold a graph with nodes and edges, not {found}")
        nodes = {name: Node(name, kind, fields) for name, kind, fields in self._nodes(group, "", 0)}
        pairs = self._pairs(self._value(edges))
        metadata, version = self._child(root, "metadata"), self._child(file, "version")
        note = None if metadata is None else self._child(metadata, NOTE)
        return NirFile(
            nodes,
            pairs,
            digest,
            "unknown" if version is None else _text(self._value(version)),
            None if note is None else _text(self._value(note)),
        )

    def _pairs(self, edges: Any) -> tuple[tuple[str, str], ...]:
        if np.ndim(edges) != 2 or np.shape(edges)[1] != 2:
            raise ValueError(f"NIR file {self._path} edges must be pairs of names, not of shape {np.shape(edges)}")
        return tuple((_text(a), _text(b)) for a, b in edges)

    def _nodes(self, group: Any, prefix: str, depth: int) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Every node; a name with a slash in it lies as a group in a group."""
        import h5py

        if depth > MAX_DEPTH:
            raise ValueError(f"NIR file {self._path} must nest groups at most {MAX_DEPTH} deep")
        for name in group:
            item = self._child(group, name)
            if not isinstance(item, h5py.Group):
                raise ValueError(f"node {prefix + name!r} must be a group of fields, not a lone number")
            if "type" in item and isinstance(self._link(item, "type"), h5py.HardLink):
                children = {key: self._child(item, key) for key in item}
                fields = {key: self._value(entry) for key, entry in children.items() if isinstance(entry, h5py.Dataset)}
                if "type" in fields:
                    kind = str(fields.pop("type"))
                    if kind == "NIRGraph":
                        fields |= self._inner_graph(children, fields, depth)
                    yield prefix + name, kind, fields
                    continue
            yield from self._nodes(item, f"{prefix}{name}/", depth + 1)

    def _inner_graph(self, children: dict[str, Any], fields: dict[str, Any], depth: int) -> dict[str, Any]:
        """Nodes and edges of a graph in a graph."""
        import h5py

        if not isinstance(children.get("nodes"), h5py.Group) or "edges" not in fields:
            raise ValueError(f"NIR file {self._path} must hold nodes and edges of each graph in its graph")
        inner = {name: Node(name, kind, own) for name, kind, own in self._nodes(children["nodes"], "", depth + 1)}
        return {"nodes": inner, "edges": self._pairs(fields["edges"])}

    def _link(self, group: Any, name: str) -> Any:
        return group.get(name, getlink=True)

    def _child(self, group: Any, name: str) -> Any:
        """An object of a group, which lies in the file itself and was not visited before; None where there is none."""
        import h5py

        link = self._link(group, name) if name in group or _has_link(group, name) else None
        if link is None:
            return None
        where = f"{group.name.rstrip('/')}/{name}"
        if not isinstance(link, h5py.HardLink):
            raise ValueError(f"NIR file {self._path} must hold its own data, and {where} is a link to elsewhere")
        child = group[name]
        address = h5py.h5o.get_info(child.id).addr
        if address in self._visited:
            raise ValueError(f"NIR file {self._path} must hold every object once, and {where} is another's second name")
        self._visited.add(address)
        return child

    def _value(self, dataset: Any) -> Any:
        """What a data set holds. ValueError for one that is stored elsewhere, or is larger than what remains."""
        import h5py

        if not isinstance(dataset, h5py.Dataset):
            raise ValueError(f"NIR file {self._path} {dataset.name} must be numbers or text, not a group")
        if dataset.external or dataset.is_virtual:
            raise ValueError(f"NIR file {self._path} must hold its own data, and {dataset.name} is stored elsewhere")
        if h5py.check_string_dtype(dataset.dtype) is not None and dataset.dtype.kind == "O":
            return self._strings(dataset)
        if dataset.dtype.kind not in "fiubSU":
            raise ValueError(f"NIR file {self._path} {dataset.name} must be numbers or text, not {dataset.dtype}")
        self._spend(dataset.name, int(dataset.size or 0) * dataset.dtype.itemsize)
        value = dataset[()]
        return _text(value) if isinstance(value, bytes | str) else value

    def _strings(self, dataset: Any) -> Any:
        """Text of any length: each is read alone, since many may name the same long one."""
        if dataset.shape == ():
            value = dataset[()]
            self._spend(dataset.name, len(value))
            return _text(value)
        self._spend(dataset.name, 8 * int(dataset.size or 0))
        texts = np.empty(dataset.shape, object)
        for index in np.ndindex(dataset.shape):
            texts[index] = dataset[index]
            self._spend(dataset.name, len(texts[index]))
        return texts

    def _spend(self, name: str, size: int) -> None:
        self._declared += size
        require_size(f"NIR file {self._path} with what it declares up to {name}", self._declared, NETWORK_BYTES)


def _has_link(group: Any, name: str) -> bool:
    """Whether a name is in the group, though what it links to may not exist."""
    return name in set(group.keys())


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
