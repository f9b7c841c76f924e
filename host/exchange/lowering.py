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

    The gain goes into weights and bias, the pull towards v_leak into the bias, and potentials are counted from
    v_reset, where the specification's neuron starts and resets to. ValueError, one sentence naming the node, for what
    no dense layer of it can be.
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
        return FloatLayer(weights.astype(np.float32), bias.astype(np.float32), 1.0, "zero", readout=True)
    gain, beta, drive, zero = (
        array.astype(np.float64).ravel() for array in (neurons.gain, neurons.beta, neurons.drive, _zero_point(neurons))
    )
    wide = weights * gain[:, None]
    pull = gain * bias + drive - (1 - beta) * zero
    fires = neurons.threshold is not None
    level = neurons.threshold.astype(np.float64).ravel() - zero if neurons.threshold is not None else np.ones(1)
    if neurons.threshold is not None and _owed(neurons):
        decay = _one_decay(neurons)
        pull = pull + level * (1 - decay) ** 2 / decay
        level = level / decay
    if not (level > 0).all():
        raise ValueError(f"{neurons.node} v_threshold must be above v_reset, where potentials start, for the core")
    return FloatLayer(
        wide.astype(np.float32),
        pull.astype(np.float32),
        _one_decay(neurons),
        (neurons.choices.reset or "zero") if fires else "zero",
        float(level[0]) if (level == level[0]).all() else level.astype(np.float32),
        readout=not fires,
        compare=neurons.choices.compare or "ge",
    )


def _zero_point(neurons: Population) -> NDArray[np.float32]:
    """The potential that the specification's zero stands for."""
    zero = neurons.after_reset if neurons.threshold is not None else np.zeros_like(neurons.beta)
    if not np.array_equal(neurons.initial, zero):
        raise ValueError(
            f"{neurons.node} must start where it resets to, as the core does, "
            f"not at {neurons.initial.flat[0]:g} with v_reset {zero.flat[0]:g}"
        )
    return zero


def _one_decay(neurons: Population) -> float:
    values = np.unique(neurons.beta)
    if len(values) > 1:
        raise ValueError(
            f"{neurons.node} must have one decay for all neurons, as a layer of the core has, "
            f"not {len(values)} from {values[0]:g} to {values[-1]:g}"
        )
    return float(values[0])


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


def _owed(neurons: Population) -> bool:
    """Whether a spike takes a whole threshold from the next step's potential, after the leak, and can here too.

    The graph's u' = beta u - threshold s + x is, for w = u + d with d = threshold (1 - beta) / beta::

        w' = beta (w - h s) + x + (1 - beta) d,    s = w > h,    h = threshold + d = threshold / beta

    which is the core's neuron, but that w would have to start at d and starts at 0.
    """
    choices = neurons.choices
    return choices.reset == "subtract" and choices.reset_timing == "delayed" and 0 < _one_decay(neurons) < 1


def _reset_deviations(name: str, neurons: Population) -> Iterator[str]:
    beta = _one_decay(neurons)
    if _owed(neurons):
        yield (
            f"{name}: a reset that comes a step late becomes the core's with potentials raised by "
            f"{(1 - beta) / beta:.3g} of a threshold; the core starts without them, and what is missing fades by "
            f"{beta:g} a step"
        )
    elif neurons.choices.reset_timing == "delayed" and beta == 0:
        yield f"{name}: the core subtracts before it leaks, so with beta = 0 nothing is subtracted from the next step"
    if neurons.choices.reset_timing == "snntorch":
        yield (
            f"{name}: a neuron still over its threshold after the reset is compared with twice the threshold in "
            "snnTorch's next step; the core compares with the threshold"
        )
