"""The neuron equations of one time step: the golden model of `hdl/engine/neuron.py`."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeveil.pysim.model.layer_spec import LayerSpec
from spikeveil.pysim.model.leak import Leak

Integers = NDArray[np.signedinteger[Any]]


def state_dtype(spec: LayerSpec) -> type[np.signedinteger[Any]]:
    """The integer type in which no intermediate result of `step` overflows."""
    leak_bits = spec.state_bits + (spec.leak.shift_by + 1 if spec.leak.kind == "scale" else 0)
    if spec.leak.kind == "shift" and spec.leak.half:
        leak_bits = max(leak_bits, spec.leak.shift_by) + 1
    return np.int32 if max(leak_bits, spec.potential_bits) <= 32 else np.int64


def leak(v: Integers, decay: Leak, factors: Integers | None = None) -> Integers:
    """leak(v), rounded as `decay` says: an integer array of the shape and dtype of `v` (..., neurons).

    `factors` (neurons,), of the dtype of `v`, take the place of the factor of a `scale` leak.
    """
    if decay.kind == "shift":
        return v - ((v + v.dtype.type(decay.half) if decay.half else v) >> decay.shift_by)
    if decay.kind == "scale":
        product = v * (decay.factor if factors is None else factors)
        return (product + v.dtype.type(decay.half) if decay.half else product) >> decay.shift_by
    return v


def initial(records: int, spec: LayerSpec) -> Integers:
    """The potentials (records, neurons) before the first step of a record."""
    v = np.zeros((records, spec.neurons), state_dtype(spec))
    if spec.initial is not None:
        v[:] = spec.initial
    return v


def saturate(u: Integers, spec: LayerSpec) -> Integers:
    """`u` clipped to the range of `state_bits` bits."""
    low, high = spec.state_range
    clipped: Integers = np.clip(u, low, high)
    return clipped


def step(v: Integers, current: Integers, spec: LayerSpec) -> tuple[NDArray[np.bool_], Integers]:
    """One step from potentials `v` and input current W x * 2^fraction_bits + bias, both (..., neurons).

    Returns the spikes s and the potentials v'.
    """
    factors = None if spec.leak_factors is None else spec.leak_factors.astype(v.dtype)
    u = leak(v, spec.leak, factors) + current
    if spec.threshold is None:
        return np.zeros(u.shape, np.bool_), saturate(u, spec)
    s: NDArray[np.bool_] = u >= spec.threshold
    if spec.reset_potential is not None:
        return s, saturate(np.where(s, spec.reset_potential.astype(u.dtype), u), spec)
    fired: Integers = s.astype(u.dtype)  # arithmetic instead of a choice: np.where takes five times as long
    return s, saturate(u - fired * spec.threshold if spec.reset == "subtract" else u * (1 - fired), spec)
