"""The neuron equations of one time step: the golden model of `hdl/engine/neuron.py`."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeveil.pysim.model.layer_spec import LayerSpec
from spikeveil.pysim.model.leak import Leak

Integers = NDArray[np.signedinteger[Any]]


def state_dtype(spec: LayerSpec) -> type[np.signedinteger[Any]]:
    """The integer type in which no intermediate result of `step` overflows."""
    product_bits = spec.state_bits + (spec.leak.shift_by + 1 if spec.leak.kind == "scale" else 0)
    return np.int32 if max(product_bits, spec.potential_bits) <= 32 else np.int64


def leak(v: Integers, decay: Leak) -> Integers:
    """leak(v), rounded towards minus infinity: an integer array of the shape and dtype of `v`."""
    if decay.kind == "shift":
        return v - (v >> decay.shift_by)
    if decay.kind == "scale":
        return (v * decay.factor) >> decay.shift_by
    return v


def saturate(u: Integers, spec: LayerSpec) -> Integers:
    """`u` clipped to the range of `state_bits` bits."""
    low, high = spec.state_range
    clipped: Integers = np.clip(u, low, high)
    return clipped


def step(v: Integers, current: Integers, spec: LayerSpec) -> tuple[NDArray[np.bool_], Integers]:
    """One step from potentials `v` and input current W x + bias, both (..., neurons): (spikes s, potentials v')."""
    u = leak(v, spec.leak) + current
    if spec.threshold is None:
        return np.zeros(u.shape, np.bool_), saturate(u, spec)
    s: NDArray[np.bool_] = u >= spec.threshold
    fired: Integers = s.astype(u.dtype)  # arithmetic instead of a choice: np.where takes five times as long
    return s, saturate(u - fired * spec.threshold if spec.reset == "subtract" else u * (1 - fired), spec)
