"""Input records for imported networks, and what another library made of them, from .npy and .npz files."""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeveil.pysim.model import checks

LAYOUTS = ("records-first", "steps-first")


@dataclass(frozen=True, eq=False)
class RecordedData:
    """`inputs` (records, steps, ...) of any dtype; `spikes` (records, steps, neurons) bool, where the file has them."""

    inputs: NDArray[Any]
    layout: str
    spikes: NDArray[np.bool_] | None = None


def load(path: Path, layout: str | None = None) -> RecordedData:
    """Read the records of a file.

    In an .npz, an array `x` is the input and lies steps first (T, B, ...), as torch loops give it, with `spikes` beside
    it as the output recorded from it in the same layout; without `x`, an array `spikes`, or the only one, is the input
    and lies records first, as in the other commands. `layout` (LAYOUTS) overrules both.
    Raises ValueError, one sentence, for anything else.
    """
    if layout is not None:
        checks.choice("data layout", layout, LAYOUTS)
    held = arrays(path)
    recorded = held.get("spikes") if "x" in held else None
    name = "x" if "x" in held else "spikes" if "spikes" in held else next(iter(held), "")
    if not name or (name not in ("x", "spikes") and len(held) != 1):
        raise ValueError(f"data file {path} must hold an array 'x' or 'spikes', not {', '.join(held) or 'nothing'}")
    found = layout or ("steps-first" if name == "x" else "records-first")
    inputs = _records_first(path, name, held[name], found)
    if recorded is None:
        return RecordedData(inputs, found)
    wide = _records_first(path, "spikes", recorded, found)
    if wide.shape[:2] != inputs.shape[:2]:
        raise ValueError(f"data file {path} spikes must have as many records and steps as x, not {recorded.shape}")
    flat = wide.reshape(*wide.shape[:2], -1)
    return RecordedData(inputs, found, checks.spikes(flat == 1, flat.shape[2]))


def _records_first(path: Path, name: str, array: NDArray[Any], layout: str) -> NDArray[Any]:
    if array.ndim < 3 or not array.size or array.dtype.kind not in "biuf":
        raise ValueError(
            f"data file {path} {name} must be numbers of shape (records, steps, ...), not {array.dtype} {array.shape}"
        )
    return np.moveaxis(array, 0, 1) if layout == "steps-first" else array


def arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a file; the only one of a .npy file is called `array`."""
    try:
        with path.open("rb") as content:
            loaded = np.load(content, allow_pickle=False)
            return (
                {"array": loaded} if isinstance(loaded, np.ndarray) else {name: loaded[name] for name in loaded.files}
            )
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise ValueError(f"data file {path} must be a .npy or .npz file of plain numbers: {error}") from error
