"""From floats to integers: weights, bias and threshold times one power of two for each layer or neuron.

A layer whose numbers are multiplied by one positive factor spikes exactly as before, so only rounding
changes it; a power of two keeps every product exact in floating point too. Where weights and bias are already multiples
of 2^-exponent, and the leak rounds nothing, the integers spike exactly as the floats do.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeveil.host.networks.float_model import FloatLayer, FloatNetwork
from spikeveil.pysim import LayerSpec, Leak, NetworkSpec
from spikeveil.pysim.model import checks, layer
from spikeveil.pysim.model.layer_spec import MAX_INT32

Exponent = int | NDArray[np.int64]  # one a layer, or one a neuron
LEAK_BITS = 8  # of the fraction a / 2^f that approximates a decay
MIN_EXPONENT, MAX_EXPONENT = -24, 24
FINER = 3  # automatic scales try this many powers of two above the one that clips no weight, and one below


@dataclass(frozen=True, eq=False)
class LayerReport:
    """One layer in integers, compared with the float layer on the data that its scale was chosen by.

    | field | meaning |
    |---|---|
    | `exponent` | integers are floats times 2^exponent; lowest and highest, equal where the layer has one |
    | `float_range`, `integer_range` | smallest and largest weight |
    | `clipped` | share of the weights that were cut to fit their bits |
    | `threshold` | integers, lowest and highest; None for a readout |
    | `decay`, `leak` | decay of the floats, and the leak that approximates it |
    | `potential_range` | smallest and largest potential on the data |
    | `saturated` | share of the potentials at a limit of `state_bits` |
    | `agreement` | share of (record, step, neuron) where both networks spike alike, each fed by its own previous \
layers; for a readout the correlation of the last potentials |
    | `float_rate`, `integer_rate` | spikes per neuron and step |
    """

    exponent: tuple[int, int]
    float_range: tuple[float, float]
    integer_range: tuple[int, int]
    clipped: float
    threshold: tuple[int, int] | None
    decay: float
    leak: Leak
    potential_range: tuple[int, int]
    saturated: float
    agreement: float
    float_rate: float
    integer_rate: float


@dataclass(frozen=True, eq=False)
class Quantised:
    """An integer network, with an exponent and a report for each layer."""

    spec: NetworkSpec
    exponents: tuple[Exponent, ...]
    reports: tuple[LayerReport, ...]


def closest_leak(decay: float, bits: int = LEAK_BITS) -> Leak:
    """The leak closest to `decay` (0 to 1): none for 1, a shift for 1 - 2^-k, else the nearest a / 2^bits.

    Raises ValueError where `decay` is out of range, or `bits` is not 1 to 16.
    """
    checks.integer("leak bits", bits, 1, 16)
    if not 0 <= decay <= 1:
        raise ValueError(f"decay must be 0 to 1, not {decay!r}")
    if decay == 1:
        return Leak.none()
    for k in range(1, bits + 1):
        if decay == 1 - 2.0**-k:
            return Leak.shift(k)
    return Leak.scale(round(decay * (1 << bits)), bits)


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
    scale = _scale(floats, exponent)
    low, high = weight_range(weight_bits)
    wide = floats.weights.astype(np.float64) * (scale[:, None] if scale.ndim else scale)
    bias = _int32("bias", np.rint(floats.bias.astype(np.float64) * scale))
    return LayerSpec(
        np.clip(np.rint(wide), low, high).astype(np.int64),
        _threshold(floats, scale),
        closest_leak(floats.decay) if leak is None else leak,
        "subtract" if floats.reset == "subtract" else "zero",
        bias=bias if bias.any() else None,
        state_bits=state_bits,
        weight_bits=weight_bits,
        readout=floats.readout,
    )


def quantise_network(
    network: FloatNetwork,
    spikes: NDArray[np.bool_],
    *,
    weight_bits: int | Sequence[int] = 8,
    state_bits: int = 16,
    exponents: Sequence[Exponent | None] | None = None,
    per_neuron: bool = False,
    leaks: Sequence[Leak | None] | None = None,
) -> Quantised:
    """The network as integers, layer by layer, with scales from input spikes (records, steps, inputs).

    Where a layer's exponent is None, every power of two is tried from one below the one that clips no weight to FINER
    above it. The one is kept whose spikes agree best with the float network's on these data (`LayerReport`), the
    largest of several. With `per_neuron` each neuron starts from the power of two of its own weights. ValueError as
    LayerSpec, or where a length does not fit.
    """
    count = len(network.layers)
    bits = [weight_bits] * count if isinstance(weight_bits, int) else list(weight_bits)
    fixed, given_leaks = list(exponents or [None] * count), list(leaks or [None] * count)
    for name, values in (("weight bits", bits), ("exponents", fixed), ("leaks", given_leaks)):
        if len(values) != count:
            raise ValueError(f"{name} must be {count}, one a layer, not {len(values)}")
    specs: list[LayerSpec] = []
    exponents_used: list[Exponent] = []
    reports: list[LayerReport] = []
    x = truth = checks.spikes(spikes, network.layers[0].inputs)
    for index, floats in enumerate(network.layers):
        expected = floats.trace(truth)
        fixed_exponent = fixed[index]
        tries = _candidates(floats, bits[index], per_neuron) if fixed_exponent is None else [fixed_exponent]
        options = [
            _try(floats, exponent, x, expected, bits[index], state_bits, given_leaks[index])
            for exponent in tries
            if fixed_exponent is not None or _threshold_fits(floats, exponent, state_bits)
        ]
        if not options:
            raise ValueError(f"layer {index} threshold must fit {state_bits} state bits at some scale; none was found")
        spec, exponent, report, sent = max(options, key=lambda option: option[2].agreement)
        specs.append(spec)
        exponents_used.append(exponent)
        reports.append(report)
        x, truth = sent, expected[0]
    return Quantised(NetworkSpec(specs), tuple(exponents_used), tuple(reports))


def with_output(spec: NetworkSpec, **changes: Any) -> NetworkSpec:
    """The network with some fields of its last layer changed."""
    return NetworkSpec([*spec.layers[:-1], replace(spec.layers[-1], **changes)], spec.cadence)


def _candidates(floats: FloatLayer, bits: int, per_neuron: bool) -> list[Exponent]:
    """Exponents to try, the largest first."""
    base: Exponent = fitting_exponent(floats.weights, bits)
    if per_neuron and not floats.readout:
        base = np.array([fitting_exponent(row, bits) for row in floats.weights], np.int64)
    return [np.clip(base + step, MIN_EXPONENT, MAX_EXPONENT) for step in range(FINER, -2, -1)]


def _threshold_fits(floats: FloatLayer, exponent: Exponent, state_bits: int) -> bool:
    """Whether the threshold is within the range of `state_bits`."""
    threshold = _threshold(floats, _scale(floats, exponent))
    return threshold is None or bool(np.max(threshold) < 1 << (state_bits - 1))


Option = tuple[LayerSpec, Exponent, LayerReport, NDArray[np.bool_]]


def _try(
    floats: FloatLayer,
    exponent: Exponent,
    x: NDArray[np.bool_],
    expected: tuple[NDArray[np.bool_], NDArray[np.float32]],
    weight_bits: int,
    state_bits: int,
    leak: Leak | None,
) -> Option:
    spec = integer_layer(floats, exponent, weight_bits=weight_bits, state_bits=state_bits, leak=leak)
    trace = layer.run(x, spec)
    potentials, (low, high) = trace.potentials, spec.state_range
    scale = _scale(floats, exponent)
    wide = np.rint(floats.weights * (scale[:, None] if scale.ndim else scale))
    report = LayerReport(
        exponent=(int(np.min(exponent)), int(np.max(exponent))),
        float_range=(float(floats.weights.min()), float(floats.weights.max())),
        integer_range=(int(spec.weights.min()), int(spec.weights.max())),
        clipped=float(np.mean(wide != spec.weights)),
        threshold=None if spec.threshold is None else (int(np.min(spec.threshold)), int(np.max(spec.threshold))),
        decay=float(floats.decay),
        leak=spec.leak,
        potential_range=(int(potentials.min()), int(potentials.max())),
        saturated=float(np.mean((potentials == low) | (potentials == high))),
        agreement=_correlation(expected[1][:, -1], potentials[:, -1])
        if floats.readout
        else float(np.mean(trace.raw == expected[0])),
        float_rate=float(expected[0].mean()),
        integer_rate=float(trace.raw.mean()),
    )
    return spec, exponent, report, np.ascontiguousarray(trace.raw)


def _correlation(a: NDArray[Any], b: NDArray[Any]) -> float:
    x, y = (np.asarray(values, np.float64).ravel() - np.mean(values) for values in (a, b))
    norm = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / norm if norm else 0.0


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
    lowest = np.ceil(real) if floats.compare == "ge" else np.floor(real) + 1
    integers = _int32("threshold", np.maximum(lowest, 1))
    return int(integers) if integers.ndim == 0 else integers


def _int32(name: str, values: NDArray[np.float64]) -> NDArray[np.int64]:
    if np.abs(values).max() > MAX_INT32:
        raise ValueError(f"layer {name} must be within {MAX_INT32} once scaled, not {np.abs(values).max():.0f}")
    return values.astype(np.int64)
