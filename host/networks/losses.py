"""Where a network of integers lost the spikes of its float network, and why."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeveil.host.networks.float_model import FloatLayer
from spikeveil.host.networks.spike_match import SpikeMatch
from spikeveil.pysim import LayerSpec

MAX_LOSS = 0.5  # of a layer's spikes, unless another share is stated
MANY_SATURATED = 0.01


class SpikeLossError(ValueError):
    """A layer of integers falls silent, or loses more than the stated share of the float layer's spikes."""


def check_loss(index: int, spec: LayerSpec, match: SpikeMatch, saturated: float, max_loss: float = MAX_LOSS) -> None:
    """Raise SpikeLossError, one sentence with layer and reason, where `match` shows a loss above `max_loss`."""
    if match.lost <= max_loss:
        return
    spikes = f"{match.found:,} of {match.reference:,} spikes remain" if match.found else "it is silent"
    raise SpikeLossError(
        f"layer {index} must keep {1 - max_loss:.0%} of the float layer's spikes, and {spikes}: "
        f"{loss_reason(spec, saturated)}; --allow-loss accepts that"
    )


def loss_reason(spec: LayerSpec, saturated: float = 0.0) -> str:
    """Why a layer of integers may spike less than its floats, in words."""
    if not spec.weights.any():
        return f"all its weights round to 0 in {spec.weight_bits} bits"
    if unreachable(spec).all():
        return (
            f"no input can reach its threshold in {spec.weight_bits}-bit weights and {spec.state_bits}-bit potentials"
        )
    if saturated > MANY_SATURATED:
        return f"{saturated:.0%} of its potentials saturate at {spec.state_bits} bits"
    return f"{spec.weight_bits}-bit weights and the leak {spec.leak} round too much"


def sentences(reports: Sequence[Any] | None, max_loss: float = MAX_LOSS) -> list[str]:
    """What was lost, a sentence a layer, for `LayerReport`s of a network whose losses were allowed."""
    if reports is None:
        return ["nothing was measured"]
    return [
        f"layer {index}: {report.match.found:,} of {report.match.reference:,} spikes remain"
        for index, report in enumerate(reports)
        if report.match is not None and report.match.lost > max_loss
    ]


def unreachable(spec: LayerSpec) -> NDArray[np.bool_]:
    """Which neurons (neurons,) of a layer that fires can never spike, whatever their input."""
    factors = spec.leak.factor if spec.leak_factors is None else spec.leak_factors
    decay = np.asarray(factors / (1 << spec.leak.shift_by) if spec.leak.kind == "scale" else spec.leak.decay)
    positive = np.sort(np.maximum(spec.weights, 0), axis=1)[:, spec.inputs - (spec.input_cap or spec.inputs) :]
    current = positive.sum(axis=1) * 2.0**spec.fraction_bits + (0 if spec.bias is None else spec.bias)
    current = current + (0.5 if spec.leak.rounding == "nearest" else 0.0)  # what a leak may round up
    highest = _highest(current, decay, np.zeros(1) if spec.initial is None else spec.initial.astype(np.float64))
    highest = np.minimum(highest, spec.state_range[1] * decay + current)
    return np.asarray(highest < np.inf if spec.threshold is None else highest < spec.threshold)


def unreachable_floats(layer: FloatLayer) -> NDArray[np.bool_]:
    """Which neurons (neurons,) of a float layer that fires can never spike, whatever their input."""
    current = np.maximum(layer.weights.astype(np.float64), 0).sum(axis=1) + layer.bias
    highest = _highest(current, np.asarray(layer.decay), np.asarray(layer.initial, np.float64))
    return np.asarray(highest < np.asarray(layer.threshold) if layer.compare == "ge" else highest <= layer.threshold)


def _highest(
    current: NDArray[np.float64], decay: NDArray[np.float64], start: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The supremum of u where every step adds at most `current`, from the potential `start`."""
    with np.errstate(divide="ignore", invalid="ignore"):
        steady = np.where(current > 0, current / (1 - decay), current)
    return np.asarray(np.maximum(steady, decay * start + current))


def check_reachable(index: int, spec: LayerSpec, floats: FloatLayer) -> None:
    """Raise SpikeLossError where no input makes the integers spike, and one makes the floats spike."""
    if unreachable(spec).all() and not unreachable_floats(floats).all():
        raise SpikeLossError(
            f"layer {index} must be able to spike as the float layer is: {loss_reason(spec)}; --allow-loss accepts that"
        )


def silence(index: int, layer: FloatLayer, match: SpikeMatch | None = None) -> Iterator[str]:
    """Sentences about a float layer that cannot spike, or that is silent on the data and so was not measured."""
    dead = unreachable_floats(layer)
    if dead.all():
        yield f"layer {index}: no input can reach its threshold, in the float network either"
    elif dead.any():
        yield f"layer {index}: {dead.sum()} of {layer.neurons} neurons can never spike, in the float network either"
    if match is not None and match.silent == "both" and not dead.all():
        yield f"layer {index}: silent on these data, in floats and integers: nothing was measured"
