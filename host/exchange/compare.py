"""Compares two networks spike by spike: the first difference, how well layers match, and rasters."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeveil.host.data.spike_files import binary_spikes
from spikeveil.host.exchange.exporting import without_flippers
from spikeveil.host.exchange.reference import FloatGraph
from spikeveil.host.networks.float_model import FloatNetwork
from spikeveil.host.networks.spike_match import SpikeMatch
from spikeveil.pysim import LayerSpec, Network, NetworkSpec
from spikeveil.pysim.model import checks, layer, neuron

Spikes = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Recording:
    """The spikes of one network on some records.

    | field | meaning |
    |---|---|
    | `name` | name in messages |
    | `spikes` | (records, steps, neurons) for each layer that fires |
    | `describe` | (layer, record, step, neuron) -> text with its potential and threshold |
    | `outputs_only` | `spikes` contains the last layer only, as spikes from a file do |
    | `readout` | integers (records, steps, neurons) of a readout after those layers, or None |
    """

    name: str
    spikes: tuple[Spikes, ...]
    describe: Callable[[int, int, int, int], str]
    outputs_only: bool = False
    readout: NDArray[Any] | None = None


@dataclass(frozen=True)
class NetworkDifference:
    """The first place where two recordings differ.

    `a` and `b` describe the two sides at this place; in total, `different` of `compared` spikes differ.
    """

    step: int
    layer: int
    neuron: int
    record: int
    a: str
    b: str
    different: int
    compared: int

    def __str__(self) -> str:
        return (
            f"first difference at step {self.step}, layer {self.layer}, neuron {self.neuron} (record {self.record}): "
            f"{self.a}; {self.b}; {self.different:,} of {self.compared:,} differ in all"
        )


def run_integers(name: str, spec: NetworkSpec, data: NDArray[Any]) -> Recording:
    """Run the golden model without flippers, since their noise is not a property of the network."""
    plain = without_flippers(spec)
    x = binary_spikes(data, plain.inputs)
    result = Network(plain).run(x)

    def describe(index: int, record: int, step: int, neuron_index: int) -> str:
        spec = plain.layers[index]
        previous = result.potentials[index][record, step - 1] if step else neuron.initial(1, spec)[0]
        factors = None if spec.leak_factors is None else spec.leak_factors.astype(np.int64)
        inputs = (result.sent[index - 1] if index else x)[record, step]
        total = layer.current(layer.cap_inputs(inputs[None], spec.input_cap), spec)[0]
        u = int((neuron.leak(previous.astype(np.int64), spec.leak, factors) + total)[neuron_index])
        return f"u = {u}, threshold {_neuron_value(spec.threshold, neuron_index)}"

    firing = tuple(raw for raw, spec in zip(result.raw, plain.layers, strict=True) if not spec.readout)
    return Recording(name, firing, describe, readout=result.readout)


def run_graph(name: str, graph: FloatGraph, inputs: NDArray[Any]) -> Recording:
    """Run the float network of a NIR file."""
    traces = graph.run(inputs)
    pairs = [
        (stage.neurons, trace) for stage, trace in zip(graph.stages, traces, strict=True) if stage.neurons is not None
    ]
    firing = [(neurons, trace) for neurons, trace in pairs if neurons.threshold is not None]

    def describe(index: int, record: int, step: int, neuron_index: int) -> str:
        neurons, trace = firing[index]
        level = np.zeros(1) if neurons.threshold is None else neurons.threshold.ravel()
        threshold = _neuron_value(level, neuron_index)
        return f"u = {trace.potentials[record, step, neuron_index]:.9g}, threshold {threshold:.9g}"

    return Recording(name, tuple(trace.spikes for _, trace in firing), describe)


def run_floats(name: str, network: FloatNetwork, inputs: NDArray[Any]) -> Recording:
    """Run a dense float network."""
    x = binary_spikes(inputs, network.layers[0].inputs)
    traces: list[tuple[Spikes, NDArray[np.float32]]] = []
    for floats in network.layers:
        traces.append(floats.trace(traces[-1][0] if traces else x))

    def describe(index: int, record: int, step: int, neuron_index: int) -> str:
        level = _neuron_value(network.layers[index].threshold, neuron_index)
        return f"v = {traces[index][1][record, step, neuron_index]:.9g} after the step, threshold {level:.9g}"

    firing = [spikes for (spikes, _), floats in zip(traces, network.layers, strict=True) if not floats.readout]
    return Recording(name, tuple(firing), describe)


def recording(name: str, spikes: Spikes) -> Recording:
    """A recording of output spikes that were read from a file."""
    return Recording(name, (spikes,), lambda *_: "recorded", outputs_only=True)


def _neuron_value(value: Any, neuron_index: int) -> Any:
    """The value of a neuron; a single number applies to all neurons."""
    array = np.asarray(value).ravel()
    return array[neuron_index if array.size > 1 else 0]


def first_difference(a: Recording, b: Recording) -> NetworkDifference | None:
    """The first place, by step, then layer, then neuron, then record, where the spikes differ, or None.

    Readouts of two integer networks are compared too, after the layers that fire. ValueError if the two have different
    layers or sizes.
    """
    pairs, firing, offset = _pairs(a, b)
    unequal = [x != y for x, y in pairs]
    candidates = [
        (int(step), index, int(neuron_index), int(record))
        for index, differs in enumerate(unequal)
        for record, step, neuron_index in _earliest(differs)
    ]
    if not candidates:
        return None
    step, index, neuron_index, record = min(candidates)
    words = [
        f"{side.name} {_words(values, side, index, offset, (record, step, neuron_index), fires=index < firing)}"
        for side, values in zip((a, b), pairs[index], strict=True)
    ]
    different, compared = sum(int(differs.sum()) for differs in unequal), sum(differs.size for differs in unequal)
    return NetworkDifference(step, index + offset, neuron_index, record, words[0], words[1], different, compared)


def match_layers(a: Recording, b: Recording) -> list[tuple[int, SpikeMatch]]:
    """The number of each layer that fires in both, and how well its spikes match: `a` is the reference."""
    pairs, firing, offset = _pairs(a, b)
    return [(index + offset, SpikeMatch.of(x, y)) for index, (x, y) in enumerate(pairs[:firing])]


def raster(a: Recording, b: Recording, record: int) -> list[tuple[int, list[str]]]:
    """The spikes of one record in both: for each layer that fires its number, and a line of steps for each neuron.

    `|`: both spike; `a`, `b`: only that one; `.`: neither. ValueError where there is no such record.
    """
    pairs, firing, offset = _pairs(a, b)
    checks.integer("raster record", record, 0, len(pairs[0][0]) - 1)
    marks = np.array([".", "a", "b", "|"])
    layers = []
    for index, (x, y) in enumerate(pairs[:firing]):
        cells = marks[x[record].astype(int) + 2 * y[record].astype(int)]  # (steps, neurons)
        layers.append((index + offset, ["".join(line) for line in cells.T]))
    return layers


def _pairs(a: Recording, b: Recording) -> tuple[list[tuple[NDArray[Any], NDArray[Any]]], int, int]:
    """Arrays of both sides layer by layer, how many of them fire, and the number of the first layer."""
    offset = 0
    layers_a, layers_b = list(a.spikes), list(b.spikes)
    if a.outputs_only or b.outputs_only:
        offset = max(len(layers_a), len(layers_b)) - 1
        layers_a, layers_b = layers_a[-1:], layers_b[-1:]
    if len(layers_a) != len(layers_b):
        raise ValueError(f"{b.name} must have {len(layers_a)} layers that fire, as {a.name} has, not {len(layers_b)}")
    if not layers_a:
        raise ValueError(f"{a.name} and {b.name} must have a layer that fires to be compared by their spikes")
    pairs: list[tuple[NDArray[Any], NDArray[Any]]] = list(zip(layers_a, layers_b, strict=True))
    if a.readout is not None and b.readout is not None:
        pairs.append((a.readout, b.readout))
    for index, (x, y) in enumerate(pairs):
        if x.shape != y.shape:
            raise ValueError(
                f"{b.name} layer {index + offset} must have shape {x.shape}, as in {a.name}, not {y.shape}"
            )
    return pairs, len(layers_a), offset


def _earliest(differs: Spikes) -> list[tuple[int, int, int]]:
    """The first (record, step, neuron) by step, neuron, record; empty where nothing differs."""
    ordered = np.argwhere(np.moveaxis(differs, (0, 1, 2), (2, 0, 1)))
    return [(int(record), int(step), int(neuron_index)) for step, neuron_index, record in ordered[:1]]


def _words(
    values: NDArray[Any], side: Recording, index: int, offset: int, position: tuple[int, int, int], *, fires: bool
) -> str:
    record, step, neuron_index = position
    if not fires:
        return f"reads out {values[record, step, neuron_index]}"
    layer_index = index if side.outputs_only else index + offset
    verb = "spikes" if values[record, step, neuron_index] else "is silent"
    return f"{verb} ({side.describe(layer_index, record, step, neuron_index)})"


def first_unequal_number(a: NetworkSpec, b: NetworkSpec) -> str | None:
    """The first number in which two specifications differ, as text, or None if they are equal."""
    if len(a.layers) != len(b.layers):
        return f"{len(a.layers)} layers against {len(b.layers)}"
    for index, (x, y) in enumerate(zip(a.layers, b.layers, strict=True)):
        for field in fields(LayerSpec):
            value_a, value_b = getattr(x, field.name), getattr(y, field.name)
            if np.shape(value_a) != np.shape(value_b):
                return f"layer {index} {field.name}: shape {np.shape(value_a)} against {np.shape(value_b)}"
            if isinstance(value_a, np.ndarray) and isinstance(value_b, np.ndarray):
                if (value_a != value_b).any():
                    cell = tuple(int(i) for i in np.argwhere(value_a != value_b)[0])
                    return f"layer {index} {field.name}{list(cell)}: {value_a[cell]} against {value_b[cell]}"
            elif value_a != value_b:
                return f"layer {index} {field.name}: {value_a} against {value_b}"
    return None if a.cadence == b.cadence else f"cadence: {a.cadence} against {b.cadence}"
