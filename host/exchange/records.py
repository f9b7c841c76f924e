"""Input records for imported networks, and output spikes recorded from another library, in .npy and .npz files."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeveil.pysim.model import array_file, checks

LAYOUTS = ("records-first", "steps-first")


@dataclass(frozen=True, eq=False)
class RecordedData:
    """`inputs` (records, steps, ...) of any dtype; `spikes` (records, steps, neurons) bool, where the file has them."""

    inputs: NDArray[Any]
    layout: str
    spikes: NDArray[np.bool_] | None = None


def load_data(path: Path, layout: str | None = None) -> RecordedData:
    """Read the records of a file.

    In an .npz, an array `x` is the input, steps first (T, B, ...) as torch loops give it, and `spikes` is the output
    recorded from it in the same layout. Without `x`, an array `spikes`, or the only array, is the input, records first
    as in the other commands. `layout` (LAYOUTS) overrides both. ValueError for anything else.
    """
    if layout is not None:
        checks.choice("data layout", layout, LAYOUTS)
    contents = read_arrays(path)
    recorded = contents.get("spikes") if "x" in contents else None
    name = "x" if "x" in contents else "spikes" if "spikes" in contents else next(iter(contents), "")
    if not name or (name not in ("x", "spikes") and len(contents) != 1):
        raise ValueError(f"data file {path} must hold an array 'x' or 'spikes', not {', '.join(contents) or 'nothing'}")
    order = layout or ("steps-first" if name == "x" else "records-first")
    inputs = _records_first(path, name, contents[name], order)
    if recorded is None:
        return RecordedData(inputs, order)
    spikes = _records_first(path, "spikes", recorded, order)
    if spikes.shape[:2] != inputs.shape[:2]:
        raise ValueError(f"data file {path} spikes must have as many records and steps as x, not {recorded.shape}")
    flat = spikes.reshape(*spikes.shape[:2], -1)
    return RecordedData(inputs, order, checks.spikes(flat == 1, flat.shape[2]))


def _records_first(path: Path, name: str, array: NDArray[Any], layout: str) -> NDArray[Any]:
    if array.ndim < 3 or not array.size or array.dtype.kind not in "biuf":
        raise ValueError(
            f"data file {path} {name} must be numbers of shape (records, steps, ...), not {array.dtype} {array.shape}"
        )
    return np.moveaxis(array, 0, 1) if layout == "steps-first" else array


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a file; the only one of a .npy file is called `array`."""
    return array_file.read_arrays(path, f"data file {path}")
