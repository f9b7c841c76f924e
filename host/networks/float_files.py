"""Float networks from files of weights: NumPy archives, safetensors, and state dicts of PyTorch.

Weights hold no neurons, so a small TOML file says what the layers are made of::

    [[layer]]
    weights = "0.weight"     # array of the file, (neurons, inputs), as in torch.nn.Linear
    bias = "0.bias"          # optional
    decay = "1.beta"         # a number, or an array of the file with one; 1 is the default
    threshold = 1.0          # the same; 1 is the default
    reset = "subtract"       # "subtract" or "zero"; no default, because files do not say it
    compare = "gt"           # a spike where u > threshold ("gt", snnTorch) or u >= threshold ("ge", the default)
    readout = false          # true for a last layer that does not fire

Nothing in a file is ever executed: a pickled module is refused.
"""

import json
import struct
import tomllib
import zipfile
from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeveil.host.data.file_kinds import file_kind
from spikeveil.host.networks.float_model import FloatLayer, FloatNetwork
from spikeveil.pysim.model import array_file

Arrays = dict[str, NDArray[Any]]

FIELDS = ("weights", "bias", "decay", "threshold", "reset", "compare", "readout")
MAX_TOML = 1 << 20  # bytes
MAX_HEADER = 1 << 24  # bytes of the header of a safetensors file
#: safetensors' names of number types
DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U8": "u1"}


def load_weights(path: Path, layers: Path | None = None) -> FloatNetwork:
    """The network that `layers`, a TOML file, describes, with the weights of `path`.

    Without `layers`, `path` is an .npz file whose arrays are named `0.weights`, `0.bias`, `0.decay`, ..., fields as
    above. ValueError, one sentence, where either file is another or they do not fit; OSError.
    """
    arrays = read_tensors(path)
    if layers is None:
        return _chain(
            _layer(f"weights {path} layer {i}", table, arrays) for i, table in enumerate(_numbered(path, arrays))
        )
    return _chain(_layer(f"layers file {layers} layer {i}", table, arrays) for i, table in enumerate(_tables(layers)))


def _chain(layers: Iterable[FloatLayer]) -> FloatNetwork:
    """The network of layers that fit one another."""
    chain = tuple(layers)
    for index, (before, after) in enumerate(pairwise(chain)):
        if after.inputs != before.neurons:
            raise ValueError(
                f"weights of layer {index + 1} must have {before.neurons} inputs, the neurons before, "
                f"not {after.inputs}"
            )
    return FloatNetwork(chain)


def _numbered(path: Path, arrays: Arrays) -> list[dict[str, Any]]:
    """The tables of an .npz file whose arrays are named by layer and field."""
    count = len({name.partition(".")[0] for name in arrays})
    if not count or not all(f"{index}.weights" in arrays and f"{index}.reset" in arrays for index in range(count)):
        raise ValueError(
            f"weights {path} hold no neurons ({_names(arrays)}): --layers FILE.toml says which arrays are layers, and "
            "how they leak, reset and fire (docs/privatise.md)"
        )
    tables: list[dict[str, Any]] = [{} for _ in range(count)]
    for name, value in arrays.items():
        index, _, field = name.partition(".")
        plain = field in ("reset", "compare", "readout")
        tables[int(index)][field] = value.reshape(-1)[0].item() if plain and value.size == 1 else name
    return tables


def read_tensors(path: Path) -> Arrays:
    """The arrays of an .npz, .safetensors, .pt or .pth file by name. ValueError, one sentence, for another; OSError."""
    with path.open("rb") as stream:
        head = stream.read(16)
    if head[:2] == b"PK" and _is_torch(path):
        return _read_torch(path)
    if head[8:9] == b"{" and head[:6] != b"\x93NUMPY":
        return _read_safetensors(path)
    try:
        return array_file.read_arrays(path, f"weights {path}")
    except array_file.SizeError:
        raise
    except ValueError as error:
        kind = file_kind(path)
        raise ValueError(
            f"weights {path} must be an .npz, .safetensors or .pt file of tensors: {f'it is {kind}' if kind else error}"
        ) from error


def _is_torch(path: Path) -> bool:
    try:
        with array_file.ArrayFile(path, str(path)) as archive:
            return any(name.endswith(("/data.pkl", "/serialization_id")) for name in archive.names)
    except ValueError:
        return False


def _read_torch(path: Path) -> Arrays:
    """The tensors of a state dict, by the reader of PyTorch that runs no code (`weights_only`)."""
    with zipfile.ZipFile(path) as archive:
        declared = sum(item.file_size for item in archive.infolist())
    array_file.require_size(f"weights {path}", declared, array_file.DATA_BYTES)
    import torch

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # PyTorch raises many kinds
        raise ValueError(
            f"weights {path} must be a state dict, `torch.save(model.state_dict(), path)`: it holds pickled objects, "
            "which are never loaded, or is damaged"
        ) from error
    content = content.get("state_dict", content) if isinstance(content, Mapping) else content
    if not isinstance(content, Mapping) or not all(isinstance(value, torch.Tensor) for value in content.values()):
        raise ValueError(f"weights {path} must be a state dict of tensors, not {type(content).__name__}")
    return {str(name): value.detach().to(torch.float32).numpy() for name, value in content.items()}


def _read_safetensors(path: Path) -> Arrays:
    """The tensors of a safetensors file: the length of a JSON header, the header, the values."""
    array_file.require_size(f"weights {path}", path.stat().st_size, array_file.DATA_BYTES)
    content = path.read_bytes()
    try:
        (length,) = struct.unpack_from("<Q", content)
        if length > min(MAX_HEADER, len(content) - 8):
            raise ValueError(f"its header declares {length:,} bytes")
        header = json.loads(content[8 : 8 + length])
        values = content[8 + length :]
        return {name: _tensor(name, entry, values) for name, entry in header.items() if name != "__metadata__"}
    except (struct.error, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"weights {path} must be a whole safetensors file: {error}") from error


def _tensor(name: str, entry: Mapping[str, Any], values: bytes) -> NDArray[Any]:
    start, end = entry["data_offsets"]
    kind = entry["dtype"]
    if not 0 <= start <= end <= len(values):
        raise ValueError(f"tensor {name!r} lies outside it")
    if kind == "BF16":
        wide = np.frombuffer(values[start:end], "<u2").astype(np.uint32) << 16
        return wide.view(np.float32).reshape(entry["shape"])
    if kind not in DTYPES:
        raise ValueError(f"tensor {name!r} is of type {kind!r}")
    return np.frombuffer(values[start:end], DTYPES[kind]).reshape(entry["shape"])


def _tables(path: Path) -> list[dict[str, Any]]:
    """The tables [[layer]] of a TOML file."""
    array_file.require_size(f"layers file {path}", path.stat().st_size, MAX_TOML)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"layers file {path} must be TOML: {error}") from error
    tables = content.get("layer")
    if not isinstance(tables, list) or not tables or not all(isinstance(table, dict) for table in tables):
        raise ValueError(f"layers file {path} must hold a table [[layer]] for each layer, and nothing else")
    extra = sorted(set(content) - {"layer"})
    if extra:
        raise ValueError(f"layers file {path} must hold tables [[layer]] alone, not {extra[0]!r}")
    return tables


def _layer(where: str, table: dict[str, Any], arrays: Arrays) -> FloatLayer:
    unknown = sorted(set(table) - set(FIELDS))
    if unknown:
        raise ValueError(f"{where} must have fields of {', '.join(FIELDS)}, not {unknown[0]!r}")
    for name in ("weights", "reset"):
        if name not in table and not (name == "reset" and table.get("readout")):
            raise ValueError(f"{where} must have {name}; the file has {_names(arrays)}")
    weights = _array(where, "weights", table["weights"], arrays)
    neurons = len(weights) if weights.ndim else 0
    bias = np.zeros(neurons, np.float32) if "bias" not in table else _array(where, "bias", table["bias"], arrays)
    threshold = _value(where, "threshold", table.get("threshold", 1.0), arrays)
    return FloatLayer(
        weights,
        bias,
        float(_single(where, "decay", _value(where, "decay", table.get("decay", 1.0), arrays))),
        table.get("reset", "subtract"),
        threshold.reshape(()) if threshold.size == 1 else threshold,
        readout=table.get("readout", False),
        compare=table.get("compare", "ge"),
    )


def _array(where: str, field: str, name: Any, arrays: Arrays) -> NDArray[Any]:
    if not isinstance(name, str) or name not in arrays:
        raise ValueError(f"{where} {field} must name an array of the file ({_names(arrays)}), not {name!r}")
    return arrays[name]


def _value(where: str, field: str, value: Any, arrays: Arrays) -> NDArray[Any]:
    """A number, or the array of that name."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return np.asarray(value, np.float64)
    return _array(where, field, value, arrays)


def _single(where: str, field: str, values: NDArray[Any]) -> Any:
    if not values.size or (values != values.flat[0]).any():
        raise ValueError(f"{where} {field} must be one number, not {values.size} different ones")
    return values.flat[0]


def _names(arrays: Arrays) -> str:
    return ", ".join(list(arrays)[:12]) or "no arrays"
