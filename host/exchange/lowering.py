"""From a float graph to dense layers of the specification's neurons, with their sizes and the deviations."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikeveil.host.exchange import operations
from spikeveil.host.exchange.neurons import Population
from spikeveil.host.exchange.reference import FloatGraph, GraphStage
from spikeveil.host.networks.dense import dense_matrix
from spikeveil.host.networks.float_model import FloatLayer, FloatNetwork

MAX_DENSE = 1 << 26  # weights of one layer: 64 MiB of 8-bit ones, past any FPGA that an open tool knows
BLOCK = 1 << 24  # numbers in one batch of unit vectors

Double = NDArray[np.float64]


@dataclass(frozen=True)
class LoweringSize:
    """The size of a stage in the file and as one dense layer.

    | field | meaning |
    |---|---|
    | `written` | weights that the file stores |
    | `dense` | neurons x inputs, all of which the core stores; also its additions where every input spikes |
    | `nonzero` | of these, those that are not zero |
    | `multiplies` | multiplications of one step in the file's nodes |
    """

    written: int
    dense: int
    nonzero: int
    multiplies: int

    @property
    def factor(self) -> float:
        """dense / multiplies, and infinite where the file multiplies nothing."""
        return self.dense / self.multiplies if self.multiplies else float("inf")

    def memory_bits(self, weight_bits: int) -> int:
        """Weight memory of the dense layer."""
        return self.dense * weight_bits


@dataclass(frozen=True, eq=False)
class Lowered:
    """A chain of dense float layers, the size of each, and a sentence for each deviation from the graph."""

    network: FloatNetwork
    sizes: tuple[LoweringSize, ...]
    deviations: tuple[str, ...]


def lower_graph(graph: FloatGraph) -> Lowered:
    """Dense layers that spike as the graph does, except for the `deviations`.

    The gain goes into weights and bias, the pull towards v_leak into the bias. Potentials are counted from v_reset
    where the threshold lies above it (a reset to zero), else from 0. ValueError, one sentence naming the node, for what
    no dense layer of the specification can be.
    """
    layers, sizes = [], []
    for stage in graph.stages:
        weights, bias = dense(stage)
        layers.append(_layer(stage, weights, bias))
        sizes.append(_size(stage, weights))
    return Lowered(FloatNetwork(tuple(layers)), tuple(sizes), tuple(_deviations(graph)))


def dense(stage: GraphStage) -> tuple[Double, Double]:
    """The stage's linear nodes as weights (neurons, inputs) and bias (neurons,)."""
    inputs, neurons = int(np.prod(stage.input_shape)), int(np.prod(stage.output_shape))
    bias = _push(stage, np.zeros((1, inputs)))[0] if inputs * neurons <= MAX_DENSE else np.zeros(neurons)
    weights = dense_matrix(
        lambda units: _push(stage, units) - bias,
        inputs,
        neurons,
        name=f"node {stage.name!r}",
        max_weights=MAX_DENSE,
        block=max(1, BLOCK // max(inputs, neurons)),
    )
    return weights, bias


def _push(stage: GraphStage, x: Double) -> Double:
    values: operations.Floats = x.reshape(len(x), *stage.input_shape)
    for node in stage.linear:
        values = operations.apply(node, values)
    return values.reshape(len(x), -1).astype(np.float64)


def _size(stage: GraphStage, weights: Double) -> LoweringSize:
    shape, multiplies = stage.input_shape, 0
    for node in stage.linear:
        shape = operations.apply(node, np.zeros((1, *shape), np.float32)).shape[1:]
        multiplies += operations.multiplies(node, int(np.prod(shape)))
    written = sum(operations.parameters(node) for node in stage.linear)
    return LoweringSize(written, weights.size, int(np.count_nonzero(weights)), multiplies)


def _layer(stage: GraphStage, weights: Double, bias: Double) -> FloatLayer:
    neurons = stage.neurons
    if neurons is None:
        return FloatLayer(weights, bias, 1.0, "zero", readout=True)
    gain, beta, drive, start = (
        array.astype(np.float64).ravel() for array in (neurons.gain, neurons.beta, neurons.drive, neurons.initial)
    )
    wide, pull = weights * gain[:, None], gain * bias + drive
    if neurons.threshold is None:
        return FloatLayer(wide, pull, _one_or_more(beta), "zero", readout=True, initial=_one_or_more(start))
    frame = _frame(neurons)
    return FloatLayer(
        wide,
        pull + frame.pull,
        _one_or_more(beta),
        frame.reset,
        _one_or_more(frame.threshold),
        compare=neurons.choices.compare or "ge",
        initial=_one_or_more(start - frame.origin),
        reset_potential=_one_or_more(frame.after_spike),
    )


@dataclass(frozen=True, eq=False)
class _Frame:
    """Potentials w = u - origin in which the specification's neuron computes what the graph's does.

    Every array is (neurons,); `pull` is what the shift adds to the current of a step.
    """

    origin: Double
    pull: Double
    threshold: Double
    reset: str
    after_spike: Double


def _frame(neurons: Population) -> _Frame:
    """The frame of neurons that fire. ValueError where their threshold is not above 0 in it."""
    if neurons.threshold is None:
        raise ValueError(f"{neurons.node} must fire to have a reset")
    threshold, after, beta = (
        array.astype(np.float64).ravel() for array in (neurons.threshold, neurons.after_reset, neurons.beta)
    )
    nothing = np.zeros_like(beta)
    if neurons.choices.reset == "subtract":
        origin = -_raised(neurons, threshold, beta)
        return _checked(neurons, _Frame(origin, -(1 - beta) * origin, threshold - origin, "subtract", nothing))
    if (threshold > after).all():
        return _Frame(after, -(1 - beta) * after, threshold - after, "zero", nothing)
    return _checked(neurons, _Frame(nothing, nothing, threshold, "value", after))


def _checked(neurons: Population, frame: _Frame) -> _Frame:
    if not (frame.threshold > 0).all():
        raise ValueError(f"{neurons.node} v_threshold must be above 0, not {frame.threshold.min():g}")
    return frame


def _raised(neurons: Population, threshold: Double, beta: Double) -> Double:
    """What potentials are raised by for a reset that comes a step late; 0 where it is immediate, or beta is 0 or 1.

    The graph's u' = beta u - threshold s + x is, for w = u + d with d = threshold (1 - beta) / beta::

        w' = beta (w - h s) + x + (1 - beta) d,    s = w > h,    h = threshold + d = threshold / beta

    which is the specification's neuron, started at d.
    """
    if neurons.choices.reset_timing != "delayed":
        return np.zeros_like(beta)
    return np.where(beta > 0, threshold * (1 - beta) / np.where(beta > 0, beta, 1), 0)


def _one_or_more(values: Double) -> float | Double:
    """One number for the layer where all are equal."""
    return float(values[0]) if (values == values[0]).all() else values


def _deviations(graph: FloatGraph) -> Iterator[str]:
    for stage in graph.stages:
        neurons = stage.neurons
        if neurons is None:
            yield (
                f"{stage.name}: linear nodes without neurons become a readout, whose potential adds up over the "
                "steps what the graph puts out in each"
            )
        elif neurons.threshold is not None and neurons.choices.reset == "subtract":
            yield from _reset_deviations(stage.name, neurons)
            if neurons.choices.compare == "gt":
                yield (
                    f"{stage.name}: the core compares with >=, so its threshold is the next integer up, and a spike "
                    "subtracts that instead: at most one unit of the potential too much a spike"
                )


def _reset_deviations(name: str, neurons: Population) -> Iterator[str]:
    if neurons.choices.reset_timing == "delayed" and (neurons.beta == 0).any():
        yield f"{name}: the core subtracts before it leaks, so with beta = 0 nothing is subtracted from the next step"
    if neurons.choices.reset_timing == "snntorch":
        yield (
            f"{name}: a neuron still over its threshold after the reset is compared with twice the threshold in "
            "snnTorch's next step; the core compares with the threshold"
        )
