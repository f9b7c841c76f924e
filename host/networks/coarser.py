"""The same network with fewer bits: weights and potentials rounded to multiples of a power of two."""

from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeveil.pysim import LayerSpec, NetworkSpec
from spikeveil.pysim.model.layer_spec import MAX_FRACTION_BITS, signed_bits


def with_fewer_bits(spec: NetworkSpec, weight_bits: int | None = None, state_bits: int | None = None) -> NetworkSpec:
    """`spec` with weights of at most `weight_bits` bits and potentials of at most `state_bits`; None keeps them.

    Weights that need more bits are divided by a power of two and rounded, halves to even; the potential keeps its unit,
    because it has as many fraction bits more. Potentials that are wider lose fraction bits, as far as they have any:
    threshold, bias and initial potentials are divided by a power of two. ValueError where a threshold does not fit.
    """
    layers = [_coarser(index, layer, weight_bits, state_bits) for index, layer in enumerate(spec.layers)]
    return NetworkSpec(layers, spec.cadence, spec.decision, spec.steps)


def _coarser(index: int, layer: LayerSpec, weight_bits: int | None, state_bits: int | None) -> LayerSpec:
    values: dict[str, Any] = {field.name: getattr(layer, field.name) for field in fields(layer)}
    if weight_bits is not None and weight_bits < layer.weight_bits:
        used = signed_bits(int(layer.weights.min()), int(layer.weights.max()))
        shift = max(0, used - weight_bits)
        low, high = -(1 << (weight_bits - 1)), (1 << (weight_bits - 1)) - 1
        values["weights"] = np.clip(np.rint(layer.weights / (1 << shift)), low, high).astype(np.int64)
        values["weight_bits"] = weight_bits
        values["fraction_bits"] += shift
    if values["fraction_bits"] > MAX_FRACTION_BITS:
        raise ValueError(f"layer {index} weight bits must leave {MAX_FRACTION_BITS} fraction bits or fewer")
    if state_bits is not None and state_bits < layer.state_bits:
        values |= _narrower(values, min(values["fraction_bits"], layer.state_bits - state_bits), state_bits)
        if values["threshold"] is not None and np.max(values["threshold"]) >= 1 << (state_bits - 1):
            raise ValueError(f"layer {index} threshold must fit {state_bits} state bits, not {values['threshold']}")
    return LayerSpec(**values)


def _narrower(values: dict[str, Any], shift: int, state_bits: int) -> dict[str, Any]:
    """Potentials in units of 2^`shift` of those before."""
    changed: dict[str, Any] = {"state_bits": state_bits, "fraction_bits": values["fraction_bits"] - shift}
    if values["threshold"] is not None:
        threshold = np.maximum(1, -(-np.asarray(values["threshold"], np.int64) // (1 << shift)))
        changed["threshold"] = int(threshold) if threshold.ndim == 0 else threshold
    for name in ("bias", "initial", "reset_potential"):
        if values[name] is not None:
            changed[name] = _rounded(values[name], shift)
    return changed


def _rounded(numbers: NDArray[np.int32], shift: int) -> NDArray[np.int64]:
    return np.rint(numbers / (1 << shift)).astype(np.int64)
