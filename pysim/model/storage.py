"""Network files: a zip archive of one JSON header and plain .npy arrays, no pickle, the same bytes every time."""

import hashlib
import io
import json
import lzma
import os
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeveil.pysim.model import checks
from spikeveil.pysim.model.flipper import FlipSpec
from spikeveil.pysim.model.leak import Leak
from spikeveil.pysim.model.spec import LayerSpec, NetworkSpec

FORMAT = "spikeveil-network"
VERSION = 1
ARRAYS = ("weights", "threshold", "bias")
LACK = (KeyError, TypeError)  # what the parts of a header raise that are not there, or not what they should be
DAMAGE = (  # what zipfile, zlib, json and NumPy raise on bytes that nobody wrote; the bytes are in memory by then
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, KeyError, ValueError, TypeError, EOFError),
    *(RuntimeError, MemoryError, OSError, OverflowError, SyntaxError),
)
SCALARS = ("reset", "state_bits", "weight_bits", "spike_limit", "step_spike_limit", "input_cap", "readout")


def describe(spec: NetworkSpec) -> tuple[dict[str, Any], dict[str, NDArray[np.int32]]]:
    """The specification as a JSON-ready header and its arrays, named `LAYER.FIELD`."""
    arrays: dict[str, NDArray[np.int32]] = {}
    layers = []
    for index, layer in enumerate(spec.layers):
        entry: dict[str, Any] = {name: getattr(layer, name) for name in SCALARS}
        entry["leak"] = asdict(layer.leak)
        entry["flip"] = None if layer.flip is None else asdict(layer.flip)
        for name in ARRAYS:
            value = getattr(layer, name)
            if isinstance(value, np.ndarray):
                arrays[f"{index}.{name}"] = value.astype("<i4")
                entry[name] = list(value.shape)
            else:
                entry[name] = value
        layers.append(entry)
    return {"format": FORMAT, "version": VERSION, "cadence": spec.cadence, "layers": layers}, arrays


def fingerprint(spec: NetworkSpec) -> str:
    """SHA-256 over the header as canonical JSON, then every array in name order as little-endian 32-bit integers."""
    header, arrays = describe(spec)
    digest = hashlib.sha256(json.dumps(header, sort_keys=True, separators=(",", ":")).encode())
    for name in sorted(arrays):
        digest.update(b"\n" + name.encode() + b"\n" + arrays[name].tobytes())
    return digest.hexdigest()


def save(spec: NetworkSpec, path: Path, origin: dict[str, Any] | None = None) -> None:
    """Write `spec` beside `path`, sync it, then move it there: no reader ever sees half a file.

    `origin`: a note of plain JSON values about where the network is from. It is no part of the specification: the
    fingerprint does not cover it, and whoever alters it is not found out. Raises ValueError where it is not JSON.
    """
    header, arrays = describe(spec)
    header["fingerprint"] = spec.fingerprint
    if origin is not None:
        header["origin"] = _plain(origin)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        _add(archive, "header.json", (json.dumps(header, indent=1, sort_keys=True) + "\n").encode())
        for name in sorted(arrays):
            encoded = io.BytesIO()
            np.lib.format.write_array(encoded, arrays[name], version=(1, 0), allow_pickle=False)
            _add(archive, f"{name}.npy", encoded.getvalue())
    write_whole(path, content.getvalue())


def write_whole(path: Path, content: bytes, mode: int = 0o644) -> None:
    """Replace `path` by `content`, synced to disk, with the permissions `mode`, or leave it as it was."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(mode)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def origin(path: Path) -> dict[str, Any] | None:
    """The note about where the network of a file is from, None where it has none; ValueError as `load`."""
    load(path)
    note: Any = _open(path)[1].get("origin")
    if note is not None and not isinstance(note, dict):
        raise ValueError(f"network file {path} origin must be a JSON object, not {note!r}")
    return note


def load(path: Path) -> NetworkSpec:
    """Read a network file; ValueError, one sentence, where it is not one, not whole, altered or newer."""
    archive, header = _open(path)
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise ValueError(f"network file {path} must be of format {FORMAT!r}, not {_format(header)!r}")
    if header.get("version") != VERSION:
        raise ValueError(
            f"network file {path} must be of version 1 to {VERSION}, which this spikeveil reads, "
            f"not {header.get('version')!r}"
        )
    with _whole(path, LACK):
        layers = [_layer(path, archive, index, entry) for index, entry in enumerate(header["layers"])]
        spec = NetworkSpec(layers, header["cadence"])
    if spec.fingerprint != header.get("fingerprint"):
        raise ValueError(
            f"network file {path} must match its own fingerprint {header.get('fingerprint')!r}, and its content "
            f"has {spec.fingerprint!r}"
        )
    return spec


def _open(path: Path) -> tuple[zipfile.ZipFile, Any]:
    """The archive, in memory, and its header."""
    content = io.BytesIO(path.read_bytes())
    with _whole(path, DAMAGE):
        archive = zipfile.ZipFile(content)
        header = json.loads(archive.read("header.json"))
    return archive, header


def _plain(note: dict[str, Any]) -> dict[str, Any]:
    """`note` as it will be read back."""
    try:
        plain: Any = json.loads(json.dumps(checks.instance("network origin", note, dict), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise ValueError(f"network origin must be plain JSON values: {error}") from error
    found: dict[str, Any] = plain
    return found


@contextmanager
def _whole(path: Path, errors: tuple[type[Exception], ...]) -> Iterator[None]:
    """Turn `errors` into the sentence that the file is cut or foreign."""
    try:
        yield
    except errors as error:
        raise ValueError(
            f"network file {path} must be a whole spikeveil network, and it is cut or foreign: {error}"
        ) from error


def _layer(path: Path, archive: zipfile.ZipFile, index: int, entry: dict[str, Any]) -> LayerSpec:
    values: dict[str, Any] = {name: entry[name] for name in SCALARS}
    for name in ARRAYS:
        value = entry[name]
        values[name] = _array(path, archive, f"{index}.{name}") if isinstance(value, list) else value
    flip = entry["flip"]
    return LayerSpec(**values, leak=Leak(**entry["leak"]), flip=None if flip is None else FlipSpec(**flip))


def _array(path: Path, archive: zipfile.ZipFile, name: str) -> NDArray[Any]:
    with _whole(path, DAMAGE):
        encoded = io.BytesIO(archive.read(f"{name}.npy"))
        array: NDArray[Any] = np.lib.format.read_array(encoded, allow_pickle=False)
    return array


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    archive.writestr(zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0)), content, zipfile.ZIP_DEFLATED)


def _format(header: object) -> object:
    return header.get("format") if isinstance(header, dict) else header
