"""From floats to integers: weights, bias and threshold times one factor for each layer or neuron.

A layer whose numbers are multiplied by one positive factor spikes exactly as before, so only rounding
changes it; a power of two keeps every product exact in floating point too. Where weights and bias are already multiples
of 1 / factor, and the leak rounds nothing, the integers spike exactly as the floats do.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeveil.host.networks.float_model import FloatLayer
from spikeveil.pysim import LayerSpec, Leak, NetworkSpec
from spikeveil.pysim.model import checks
from spikeveil.pysim.model.layer_spec import MAX_INT32
from spikeveil.pysim.model.leak import Rounding

Exponent = int | NDArray[np.int64]  # one a layer, or one a neuron
Scale = float | NDArray[np.float64]  # one a layer, or (neurons,)
Rounder = Callable[[NDArray[np.float64]], NDArray[np.float64]]
LEAK_BITS = 8  # of the fraction a / 2^f that approximates a decay
MIN_EXPONENT, MAX_EXPONENT = -24, 24
TIE = 1e-5  # of an integer: float32 numbers in other units differ by less
WHOLE = 1e-6  # relative: a threshold so close to an integer is that integer


@dataclass(frozen=True, eq=False)
class LayerFormat:
    """How a float layer becomes integers.

    | field | meaning |
    |---|---|
    | `scale` | integer weights are floats times this; one, or (neurons,) |
    | `weight_bits`, `state_bits` | of the weights (2 to 8) and potentials (2 to 32) |
    | `fraction_bits` | potential, bias and threshold are floats times scale times 2^fraction_bits |
    | `leak_bits` | a decay that is no shift becomes the nearest a / 2^leak_bits, 1 to 16 |
    | `rounding` | of the leak: `floor` or `nearest` |
    | `leak` | the layer's leak, in place of the one that `leak_bits` and `rounding` say |
    """

    scale: Scale
    weight_bits: int = 8
    state_bits: int = 16
    fraction_bits: int = 0
    leak_bits: int = LEAK_BITS
    rounding: Rounding = "floor"
    leak: Leak | None = None

    @property
    def potential_scale(self) -> NDArray[np.float64]:
        """Integer potentials are floats times this; one, or (neurons,)."""
        return np.asarray(self.scale, np.float64) * 2.0**self.fraction_bits


def closest_leak(decay: float, bits: int = LEAK_BITS, rounding: Rounding = "floor") -> Leak:
    """The leak closest to `decay` (0 to 1): none for 1, a shift for 1 - 2^-k, else the nearest a / 2^bits.

    Each rounds as `rounding` says. A decay of 0 needs no rounding, and gets `floor`.

    Raises ValueError where `decay` is out of range, or `bits` is not 1 to 16.
    """
    checks.integer("leak bits", bits, 1, 16)
    if not 0 <= decay <= 1:
        raise ValueError(f"decay must be 0 to 1, not {decay!r}")
    if decay == 1:
        return Leak.none()
    for k in range(1, bits + 1):
        if decay == 1 - 2.0**-k:
            return Leak.shift(k, rounding)
    factor = round(decay * (1 << bits))
    return Leak.scale(factor, bits, rounding if factor else "floor")


def leak_fields(decay: float | NDArray[np.floating[Any]], bits: int, rounding: Rounding) -> dict[str, Any]:
    """`leak` and `leak_factors` of a LayerSpec for one decay, or for (neurons,) of them."""
    decays = np.asarray(decay, np.float64)
    if decays.size == 1 or (decays == decays.flat[0]).all():
        return {"leak": closest_leak(float(decays.flat[0]), bits, rounding)}
    factors = np.rint(decays * (1 << checks.integer("leak bits", bits, 1, 16))).astype(np.int64)
    return {"leak": Leak.scale(int(factors.max()), bits, rounding), "leak_factors": factors}


def fitting_exponent(weights: NDArray[np.floating[Any]], bits: int) -> Exponent:
    """The largest exponent at which every weight, times 2^exponent and rounded, fits `bits` bits.

    Call it row by row for a scale for each neuron. Weights of zero give 0.
    Raises ValueError where no exponent of -24 to 24 fits.
    """
    low, high = weight_range(bits)
    smallest, largest = float(np.min(weights, initial=0)), float(np.max(weights, initial=0))
    if smallest == largest == 0:
        return 0
    for exponent in range(MAX_EXPONENT, MIN_EXPONENT - 1, -1):
        if np.rint(np.ldexp(smallest, exponent)) >= low and np.rint(np.ldexp(largest, exponent)) <= high:
            return exponent
    raise ValueError(f"weights must fit {bits} bits at an exponent of {MIN_EXPONENT} or more, not reach {largest!r}")


def weight_range(bits: int) -> tuple[int, int]:
    """The smallest and largest weight of `bits` bits (2 to 8)."""
    half = 1 << (checks.integer("weight bits", bits, 2, 8) - 1)
    return -half, half - 1


def integer_layer(
    floats: FloatLayer, exponent: Exponent, *, weight_bits: int = 8, state_bits: int = 16, leak: Leak | None = None
) -> LayerSpec:
    """The layer times 2^exponent, rounded to the nearest integer (halves to even), weights cut to `weight_bits`.

    An integer potential passes the real threshold h = threshold * 2^exponent from ceil(h) on (`compare` "ge"), or from
    floor(h) + 1 on ("gt"), so that is the integer threshold, and 1 at least. `leak` is the closest one where None.
    `exponent` is -24 to 24, or (neurons,) of them; a readout, whose potentials are compared with each other, takes one.
    Raises ValueError for another exponent, and as LayerSpec does.
    """
    layer_format = LayerFormat(_scale(floats, exponent), weight_bits, state_bits, leak=leak)
    return formatted_layer(floats, layer_format, np.rint)


def halves_away(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rounded to nearest; what lies within `TIE` of a half goes away from 0."""
    rounded: NDArray[np.float64] = np.copysign(np.floor(np.abs(values) + 0.5 + TIE), values)
    return rounded


def formatted_layer(floats: FloatLayer, layer_format: LayerFormat, rounded: Rounder = halves_away) -> LayerSpec:
    """The layer in `layer_format`: numbers `rounded` to integers, weights cut to their bits.

    As `integer_layer`, but for any scale above 0. A number within 1e-5 of a half, or a threshold within 1e-6 of an
    integer, counts as that: a network in other units (all its numbers times one factor) becomes the same integers.
    Raises ValueError as LayerSpec does.
    """
    scale, potential_scale = np.asarray(layer_format.scale, np.float64), layer_format.potential_scale
    bits = layer_format.weight_bits
    wide = rounded(floats.weights.astype(np.float64) * (scale[:, None] if scale.ndim else scale))
    bias = _int32("bias", rounded(floats.bias.astype(np.float64) * potential_scale))
    low, high = state_range(layer_format.state_bits)
    starts = np.asarray(floats.initial, np.float64) * potential_scale
    after_spike = np.asarray(floats.reset_potential, np.float64) * potential_scale
    if layer_format.leak is None:
        leak = leak_fields(floats.decay, layer_format.leak_bits, layer_format.rounding)
    else:
        leak = {"leak": layer_format.leak}
    return LayerSpec(
        np.clip(wide, *weight_range(bits)).astype(np.int64),
        _threshold(floats, potential_scale),
        **leak,
        reset=floats.reset if floats.reset in ("subtract", "value") else "zero",  # type: ignore[arg-type]
        bias=bias if bias.any() else None,
        state_bits=layer_format.state_bits,
        weight_bits=bits,
        readout=floats.readout,
        fraction_bits=layer_format.fraction_bits,
        initial=_potentials(rounded(starts), low, high, floats.neurons) if starts.any() else None,
        reset_potential=_potentials(rounded(after_spike), low, high, floats.neurons)
        if floats.reset == "value"
        else None,
    )


def _potentials(values: NDArray[np.float64], low: int, high: int, neurons: int) -> NDArray[np.int64]:
    """One potential a neuron, cut to the range of a state."""
    return np.broadcast_to(np.clip(values, low, high), (neurons,)).astype(np.int64)


def state_range(bits: int) -> tuple[int, int]:
    """The smallest and largest potential of `bits` bits (2 to 32)."""
    half = 1 << (checks.integer("state bits", bits, 2, 32) - 1)
    return -half, half - 1


def with_output(spec: NetworkSpec, **changes: Any) -> NetworkSpec:
    """The network with some fields of its last layer changed."""
    return NetworkSpec([*spec.layers[:-1], replace(spec.layers[-1], **changes)], spec.cadence)


def _scale(floats: FloatLayer, exponent: Exponent) -> NDArray[np.float64]:
    """2^exponent, one or (neurons,)."""
    array = np.asarray(exponent)
    if not np.issubdtype(array.dtype, np.integer) or array.shape not in ((), (floats.neurons,)):
        raise ValueError(f"exponent must be an integer or ({floats.neurons},) of them, not {exponent!r}")
    if array.min() < MIN_EXPONENT or array.max() > MAX_EXPONENT:
        raise ValueError(f"exponent must be {MIN_EXPONENT} to {MAX_EXPONENT}, not {array.min()} to {array.max()}")
    if floats.readout and array.shape:
        raise ValueError("exponent must be one for a readout, whose neurons are compared, not one a neuron")
    return np.asarray(np.ldexp(1.0, array))


def _threshold(floats: FloatLayer, scale: NDArray[np.float64]) -> int | NDArray[np.int64] | None:
    if floats.readout:
        return None
    real = np.asarray(floats.threshold, np.float64) * scale
    whole = np.rint(real)
    real = np.where(np.abs(real - whole) <= WHOLE * np.maximum(1, np.abs(whole)), whole, real)
    lowest = np.ceil(real) if floats.compare == "ge" else np.floor(real) + 1
    integers = _int32("threshold", np.maximum(lowest, 1))
    return int(integers) if integers.ndim == 0 else integers


def _int32(name: str, values: NDArray[np.float64]) -> NDArray[np.int64]:
    if np.abs(values).max() > MAX_INT32:
        raise ValueError(f"layer {name} must be within {MAX_INT32} once scaled, not {np.abs(values).max():.0f}")
    return values.astype(np.int64)
