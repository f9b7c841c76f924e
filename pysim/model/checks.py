"""Argument checks: each raises ValueError with one sentence of the field, its bound and the value given."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray


def integer(field: str, value: object, low: int, high: int) -> int:
    """`value` as an int in low..high."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer):
        raise ValueError(f"{field} must be an integer, not {value!r}")
    if not low <= value <= high:
        raise ValueError(f"{field} must be {low} to {high}, not {value}")
    return int(value)


def optional_integer(field: str, value: object, high: int) -> int | None:
    """None, or `value` as an int in 1..high."""
    return None if value is None else integer(field, value, 1, high)


def instance(field: str, value: Any, kind: type) -> Any:
    """`value` itself, an instance of `kind`."""
    if not isinstance(value, kind):
        raise ValueError(f"{field} must be a {kind.__name__}, not {value!r}")
    return value


def choice(field: str, value: object, allowed: Sequence[str]) -> str:
    """`value`, one of the words in `allowed`."""
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"{field} must be one of {', '.join(map(repr, allowed))}, not {value!r}")
    return value


def flag(field: str, value: object) -> bool:
    """`value` as a bool."""
    if not isinstance(value, bool | np.bool_):
        raise ValueError(f"{field} must be True or False, not {value!r}")
    return bool(value)


def integers(field: str, value: ArrayLike, shape: tuple[int | str, ...], low: int, high: int) -> NDArray[np.int32]:
    """`value` as a read-only int32 array within low..high; a word in `shape` means any length of 1 or more."""
    array = np.asarray(value)
    expected = "(" + ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "") + ")"
    fits = array.ndim == len(shape) and all(
        length >= 1 if isinstance(required, str) else length == required
        for length, required in zip(array.shape, shape, strict=True)
    )
    if not fits:
        raise ValueError(f"{field} must have shape {expected}, not {array.shape}")
    if not np.issubdtype(array.dtype, np.integer):
        raise ValueError(f"{field} must have an integer dtype, not {array.dtype}")
    for extreme in (array.min(), array.max()):
        if not low <= extreme <= high:
            raise ValueError(f"{field} must be {low} to {high}, not {extreme}")
    copy = array.astype(np.int32, order="C")
    copy.flags.writeable = False
    return copy


def spikes(value: Any, inputs: int) -> NDArray[np.bool_]:
    """`value`, 0 and 1 of any numeric type, as a bool array of shape (records, steps, inputs)."""
    array = np.asarray(value)
    if array.ndim != 3 or array.shape[2] != inputs:
        raise ValueError(f"spikes must have shape (records, steps, {inputs}), not {array.shape}")
    if array.dtype == np.bool_:
        return array
    if array.dtype.kind not in "iuf":
        raise ValueError(f"spikes must be numbers or bool, not of type {array.dtype}")
    ones: NDArray[np.bool_] = array == 1
    wrong = ~ones & (array != 0)
    if wrong.any():
        raise ValueError(f"spikes must be 0 or 1, not {array[wrong][0]}")
    return ones
