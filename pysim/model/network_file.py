"""Network files: the layers and the cadence of a network as a JSON header and arrays, and back."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeveil.pysim.model import checks, storage
from spikeveil.pysim.model import decision as decisions
from spikeveil.pysim.model.array_file import NETWORK_BYTES, SizeError, require_size
from spikeveil.pysim.model.damage import DAMAGE
from spikeveil.pysim.model.decision import RandomisedDecision
from spikeveil.pysim.model.files import write_atomically
from spikeveil.pysim.model.flipper import FlipSpec
from spikeveil.pysim.model.layer_spec import LayerSpec
from spikeveil.pysim.model.leak import Leak

FORMAT = "spikeveil-network"
VERSIONS = (1, 2, 3)  # 2: with a decision; 3: with one of EXTENSIONS, or a leak that rounds to nearest
SCALAR_FIELDS = ("reset", "state_bits", "weight_bits", "spike_limit", "step_spike_limit", "input_cap", "readout")
ARRAY_FIELDS = ("weights", "threshold", "bias")
EXTENSIONS: dict[str, Any] = {"fraction_bits": 0, "initial": None, "reset_potential": None, "leak_factors": None}
_MALFORMED = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError)  # of a field that lacks or is odd

Header = dict[str, Any]
Arrays = dict[str, NDArray[np.int32]]


@dataclass(frozen=True)
class StoredNetwork:
    """What a network file holds; the fields that the reader of the file has yet to check are of any type."""

    layers: tuple[LayerSpec, ...]
    cadence: Any
    decision: RandomisedDecision | None
    steps: Any
    fingerprint: Any
    origin: Any


def describe(
    layers: Sequence[LayerSpec], cadence: int | None, decision: RandomisedDecision | None, steps: int | None
) -> tuple[Header, Arrays]:
    """A network as a JSON-ready header and its arrays, named `LAYER.FIELD`.

    A network is of the lowest version that holds it: readers and fingerprints of version 1 know nothing of decisions,
    those of version 2 nothing of EXTENSIONS, which a layer's entry names only where it uses them.
    """
    arrays: Arrays = {}
    entries = []
    for index, layer in enumerate(layers):
        entry: dict[str, Any] = {name: getattr(layer, name) for name in SCALAR_FIELDS}
        entry["leak"] = layer.leak.describe()
        entry["flip"] = None if layer.flip is None else asdict(layer.flip)
        for name in (*ARRAY_FIELDS, *_extensions(layer)):
            value = getattr(layer, name)
            if isinstance(value, np.ndarray):
                arrays[f"{index}.{name}"] = value.astype("<i4")
                entry[name] = list(value.shape)
            else:
                entry[name] = value
        entries.append(entry)
    header: Header = {"format": FORMAT, "version": 1, "cadence": cadence, "layers": entries}
    if decision is not None:
        header |= {"version": 2, "decision": decisions.describe(decision), "steps": steps}
    if any(layer.extended for layer in layers):
        header = {"decision": None, "steps": None} | header | {"version": 3}
    return header, arrays


def _extensions(layer: LayerSpec) -> list[str]:
    """The names of EXTENSIONS that the layer uses."""
    values = {name: getattr(layer, name) for name in EXTENSIONS}
    return [name for name, value in values.items() if isinstance(value, np.ndarray) or value != EXTENSIONS[name]]


def fingerprint(header: Header, arrays: Arrays) -> str:
    """SHA-256 over the header as canonical JSON, then every array in name order as little-endian 32-bit integers."""
    digest = hashlib.sha256(json.dumps(header, sort_keys=True, separators=(",", ":")).encode())
    for name in sorted(arrays):
        digest.update(b"\n" + name.encode() + b"\n" + arrays[name].tobytes())
    return digest.hexdigest()


def write(path: Path, header: Header, arrays: Arrays, origin: dict[str, Any] | None = None) -> None:
    """Write the file of a network that `describe` described, atomically. ValueError where `origin` is not JSON."""
    content = header | {"fingerprint": fingerprint(header, arrays)}
    if origin is not None:
        content["origin"] = _json_object(origin)
    write_atomically(path, storage.pack(content, arrays))


def read(path: Path) -> StoredNetwork:
    """The content of a network file; ValueError, one sentence, where the file is damaged, foreign or newer."""
    require_size(f"network file {path}", path.stat().st_size, NETWORK_BYTES)
    content = path.read_bytes()
    with _damage_as_sentence(path, DAMAGE):
        container = storage.Container(content, f"network file {path}")
    header = container.header
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        given = header.get("format") if isinstance(header, dict) else header
        raise ValueError(f"network file {path} must be of format {FORMAT!r}, not {given!r}")
    if header.get("version") not in VERSIONS:
        raise ValueError(
            f"network file {path} must be of version 1 to {VERSIONS[-1]}, which this spikeveil reads, "
            f"not {header.get('version')!r}"
        )
    with _damage_as_sentence(path, _MALFORMED):
        layers = tuple(_layer(path, container, index, entry) for index, entry in enumerate(header["layers"]))
        decision, steps = None, None
        if header["version"] > 1:
            stored = header["decision"]
            decision = None if stored is None and header["version"] > 2 else decisions.from_description(stored)
            steps = header["steps"]
        return StoredNetwork(
            layers, header["cadence"], decision, steps, header.get("fingerprint"), header.get("origin")
        )


def _layer(path: Path, container: storage.Container, index: int, entry: dict[str, Any]) -> LayerSpec:
    values: dict[str, Any] = {name: entry[name] for name in SCALAR_FIELDS}
    stored = {name: entry[name] for name in ARRAY_FIELDS} | {name: entry[name] for name in EXTENSIONS if name in entry}
    for name, value in stored.items():
        if isinstance(value, list):
            with _damage_as_sentence(path, DAMAGE):
                values[name] = container.array(f"{index}.{name}")
        else:
            values[name] = value
    flip = entry["flip"]
    return LayerSpec(**values, leak=Leak(**entry["leak"]), flip=None if flip is None else FlipSpec(**flip))


@contextmanager
def _damage_as_sentence(path: Path, errors: tuple[type[Exception], ...]) -> Iterator[None]:
    """Raise `errors` again as the ValueError that the file is cut or foreign."""
    try:
        yield
    except SizeError:
        raise
    except errors as error:
        raise ValueError(
            f"network file {path} must be a whole spikeveil network, and it is cut or foreign: {error}"
        ) from error


def _json_object(origin: dict[str, Any]) -> dict[str, Any]:
    """`origin` as it will be read back."""
    try:
        plain: Any = json.loads(json.dumps(checks.instance("network origin", origin, dict), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ValueError(f"network origin must be plain JSON values: {error}") from error
    parsed: dict[str, Any] = plain
    return parsed
