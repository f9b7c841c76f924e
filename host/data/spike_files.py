"""Data files of every command: input spikes of records, with labels and recorded output spikes where there are any.

An .npz file holds `x` (or `spikes`), the input (records, steps, inputs), and may hold `labels` (records,), `classes`,
and `output_spikes` (records, steps, neurons), what another library's network fired. A .npy file, or the only array of
an .npz file, is the input. Files of before version 0.3 with both `x` and `spikes`, steps first, are still read:
there `spikes` is the output.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeveil.host.data.file_kinds import file_kind
from spikeveil.pysim.model import array_file, checks

LAYOUTS = ("records-first", "steps-first")
NAMES = ("x", "spikes", "labels", "classes", "output_spikes")
MIN_CORRELATION = 0.1  # by which records must be more alike than steps for an array to look steps-first
STREAMED_BYTES = 1 << 24  # an input of more is read in blocks where that is possible
MAX_CORRELATED = 256  # entries of the other axis that a correlation is computed from


@dataclass(frozen=True, eq=False)
class SpikeData:
    """The records of a data file.

    | field | meaning |
    |---|---|
    | `name` | the file, for messages |
    | `inputs` | numbers (records, steps, ...) |
    | `layout` | the order of the file's arrays: `records-first` or `steps-first` |
    | `labels` | (records,) int64 of 0 or more, or None |
    | `classes` | the number of classes where the file holds it, or None |
    | `output_spikes` | (records, steps, neurons) bool, recorded from another network, or None |
    | `columns` | every other array of the file, by name |
    """

    name: str
    inputs: NDArray[Any]
    layout: str = "records-first"
    labels: NDArray[np.int64] | None = None
    classes: int | None = None
    output_spikes: NDArray[np.bool_] | None = None
    columns: dict[str, NDArray[Any]] = field(default_factory=dict)

    def spikes(self, inputs: int) -> NDArray[np.bool_]:
        """The input as spikes (records, steps, `inputs`); ValueError, one sentence, for values other than 0 and 1."""
        return binary_spikes(self.inputs, inputs, f"data {self.name}" if self.name else "data")


def load_data(path: str | Path, layout: str | None = None) -> SpikeData:
    """Read a data file; `layout` (LAYOUTS) says the order of its arrays. ValueError, one sentence; OSError."""
    if layout is not None:
        checks.choice("data layout", layout, LAYOUTS)
    path = Path(path)
    contents = read_arrays(path)
    name = _input_name(path, contents)
    is_old = "x" in contents and "spikes" in contents and "output_spikes" not in contents
    order = layout or ("steps-first" if is_old else "records-first")
    inputs = _records_first(path, name, contents[name], order)
    output = contents.get("spikes" if is_old else "output_spikes")
    labels = _labels(path, contents.get("labels"), inputs, contents[name].shape)
    return SpikeData(
        str(path),
        inputs,
        order,
        labels,
        _classes(path, contents.get("classes"), labels),
        None if output is None else _output(path, output, inputs, order),
        {key: value for key, value in contents.items() if key not in NAMES and key != name},
    )


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a .npy or .npz file; the only one of a .npy file is called `array`. Nothing is unpickled.

    ValueError, one sentence that says what the file looks like, where it is neither; OSError.
    """
    try:
        return array_file.read_arrays(path, f"data file {path}")
    except array_file.SizeError:
        raise
    except ValueError as error:
        kind = file_kind(path)
        if kind is None:
            raise
        raise ValueError(f"data file {path} must be {array_file.NUMBERS}: it is {kind}") from error


def binary_spikes(inputs: NDArray[Any], count: int, field_name: str = "data") -> NDArray[np.bool_]:
    """Numbers (records, steps, ...) of 0 and 1 as spikes (records, steps, count). ValueError for any others."""
    array = np.asarray(inputs)
    spikes: NDArray[np.bool_] = array == 1
    wrong = ~spikes & (array != 0)
    if wrong.any():
        raise ValueError(f"{field_name} must be 0 and 1, not {array[wrong][0]}: {_remedy(array)}")
    flat: NDArray[np.bool_] = spikes.reshape(*array.shape[:2], -1)
    if flat.shape[2] != count:
        raise ValueError(
            f"{field_name} must have shape (records, steps, {count}), the network's inputs, not {array.shape}"
        )
    return flat


def _remedy(array: NDArray[Any]) -> str:
    """What to do about numbers that are not spikes."""
    if not np.isfinite(array).all():
        return "numbers that are not finite have to be found at their source"
    if (array != np.rint(array)).any():
        return "real numbers are encoded as spikes first (docs/data.md)"
    if array.min() < 0:
        return "signed events need an input for each sign: `np.concatenate([x > 0, x < 0], axis=2)`"
    return "counts of events become spikes by `x > 0`, intensities by an encoder (docs/data.md)"


def _input_name(path: Path, contents: dict[str, NDArray[Any]]) -> str:
    for name in ("x", "spikes"):
        if name in contents:
            return name
    names = list(contents)
    if len(names) == 1:
        return names[0]
    hint = ": event lists are binned into such an array first" if _are_events(contents) else ""
    raise ValueError(f"data file {path} must hold an array 'x' or 'spikes', not {', '.join(names) or 'nothing'}{hint}")


def _are_events(contents: dict[str, NDArray[Any]]) -> bool:
    """Whether all arrays are lists of one length, as event lists are."""
    shapes = {array.shape for array in contents.values()}
    return len(contents) > 1 and len(shapes) == 1 and len(next(iter(shapes))) == 1


def _records_first(path: Path, name: str, array: NDArray[Any], layout: str) -> NDArray[Any]:
    where = f"data file {path}" if name == "array" else f"data file {path} {name}"
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{where} must be numbers, not of type {array.dtype}")
    if array.ndim < 3:
        raise ValueError(
            f"{where} must have shape (records, steps, inputs), not {array.shape}: intensities are encoded over steps "
            "first (docs/data.md), and one record gets its axis by `x[None]`"
        )
    array = np.moveaxis(array, 0, 1) if layout == "steps-first" else array
    for axis, what in enumerate(("records", "steps", "inputs")):
        if not array.shape[axis]:
            raise ValueError(f"{where} has no {what}: its shape is {array.shape}")
    return array


def _output(path: Path, array: NDArray[Any], inputs: NDArray[Any], layout: str) -> NDArray[np.bool_]:
    output = _records_first(path, "output spikes", array, layout)
    if output.shape[:2] != inputs.shape[:2]:
        raise ValueError(
            f"data file {path} output spikes must have as many records and steps as x, not shape {array.shape}"
        )
    return binary_spikes(output, int(np.prod(output.shape[2:])), f"data file {path} output spikes")


def _labels(
    path: Path, labels: NDArray[Any] | None, inputs: NDArray[Any], shape: tuple[int, ...]
) -> NDArray[np.int64] | None:
    if labels is None:
        return None
    if labels.dtype.kind not in "biu" or labels.ndim != 1 or (labels.size and labels.min() < 0):
        raise ValueError(
            f"data file {path} labels must be integers of 0 or more, (records,), not {labels.dtype} {labels.shape}"
        )
    if len(labels) != len(inputs):
        other = "; they are as many as its steps, so --layout is the other one" if len(labels) in shape[:2] else ""
        raise ValueError(f"data file {path} labels must be {len(inputs)}, one a record, not {len(labels)}{other}")
    return labels.astype(np.int64)


def _classes(path: Path, classes: NDArray[Any] | None, labels: NDArray[np.int64] | None) -> int | None:
    if classes is None:
        return None
    low = 2 if labels is None else int(labels.max()) + 1
    if classes.size != 1 or classes.dtype.kind not in "iu":
        raise ValueError(f"data file {path} classes must be one integer, not {classes.dtype} {classes.shape}")
    return checks.integer(f"data file {path} classes", int(classes.reshape(-1)[0]), low, 1 << 16)


def layout_warning(inputs: NDArray[Any], steps: int | None = None) -> str | None:
    """A sentence where an array (records, steps, ...) looks steps-first: by the `steps` of a record, or by its values.

    Consecutive steps of a record are usually correlated, and consecutive records are not.
    """
    records, found = inputs.shape[:2]
    fits = steps is not None and found != steps and records == steps
    flat = (inputs != 0).reshape(records, found, -1)
    if not fits and (found == steps or _correlation(flat) < _correlation(np.moveaxis(flat, 0, 1)) + MIN_CORRELATION):
        return None
    return (
        f"the data are read as {records} records of {found} steps; if steps come first in the file, give "
        "--layout steps-first (--layout records-first ends this warning)"
    )


def _correlation(flat: NDArray[np.bool_]) -> float:
    """Mean correlation of neighbours along the first axis of (length, other, inputs)."""
    if len(flat) < 2:
        return 0.0
    centred = flat[:, :MAX_CORRELATED] - flat.mean(axis=(0, 1))
    variance = float((centred**2).mean(axis=(0, 1)).sum())
    return float((centred[1:] * centred[:-1]).mean(axis=(0, 1)).sum()) / variance if variance > 0 else 0.0


@dataclass(frozen=True, eq=False)
class SpikeStream:
    """A large data file, records first, that is read in blocks: `path`, the input's `array` and `shape`, and labels."""

    path: Path
    array: str
    shape: tuple[int, ...]
    labels: NDArray[np.int64] | None = None
    classes: int | None = None

    def blocks(self, inputs: int, first: int, stop: int, count: int) -> Iterator[NDArray[np.bool_]]:
        """Spikes (up to `count` records, steps, `inputs`) of the records from `first` up to `stop`. ValueError."""
        with array_file.ArrayFile(self.path, f"data file {self.path}") as file:
            remaining = stop - first
            for block in file.blocks(self.array, count, first):
                yield binary_spikes(block[:remaining], inputs, f"data {self.path}")
                remaining -= len(block)
                if remaining <= 0:
                    return


def open_stream(path: Path, layout: str | None) -> SpikeStream | None:
    """The file as a stream; None where `load_data` reads it at once: a small one, or one that is not records-first."""
    if layout == "steps-first" or path.suffix not in (".npy", ".npz") or not path.is_file():
        return None
    try:
        with array_file.ArrayFile(path, f"data file {path}") as file:
            named = [name for name in file.names if name in ("x", "spikes")] or list(file.names)
            if len(named) != 1:
                return None
            header = file.header(named[0])
            if header.size < STREAMED_BYTES or len(header.shape) < 3 or header.fortran or not all(header.shape):
                return None
            labels, classes = (file.array(name) if name in file.names else None for name in ("labels", "classes"))
    except ValueError:
        return None  # `load_data` says what is wrong
    known = _labels(path, labels, np.broadcast_to(np.uint8(0), header.shape), header.shape)
    return SpikeStream(path, named[0], header.shape, known, _classes(path, classes, known))
