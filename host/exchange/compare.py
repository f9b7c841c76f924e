"""Where two networks first part: step, then layer, then neuron."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeveil.host.exchange.exporting import without_flippers
from spikeveil.host.exchange.importing import binary
from spikeveil.host.exchange.reference import FloatGraph
from spikeveil.host.networks.float_model import FloatNetwork
from spikeveil.pysim import LayerSpec, Network, NetworkSpec
from spikeveil.pysim.model import layer, neuron

Spikes = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Run:
    """What one side did: `spikes[l]` (records, steps, neurons) of each layer that fires, and how to show a neuron.

    `outputs_only`: it has the last layer alone, as a recording does. `readout`: integers (records, steps, neurons) of
    a readout behind those layers, or None. `show(layer, record, step, neuron)` says its potential and threshold.
    """

    name: str
    spikes: tuple[Spikes, ...]
    show: Callable[[int, int, int, int], str]
    outputs_only: bool = False
    readout: NDArray[Any] | None = None


@dataclass(frozen=True)
class Difference:
    """The first place where two runs part; `a` and `b` say what each did there, `different` of `compared` spikes."""

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


def run_integers(name: str, spec: NetworkSpec, inputs: NDArray[Any]) -> Run:
    """The golden model without flippers: their noise is no property of the network."""
    plain = without_flippers(spec)
    x = binary(inputs, plain.inputs)
    result = Network(plain).run(x)

    def show(index: int, record: int, step: int, place: int) -> str:
        spec = plain.layers[index]
        before = result.potentials[index][record, step - 1] if step else np.zeros(spec.neurons, np.int64)
        given = (result.sent[index - 1] if index else x)[record, step]
        total = layer.current(layer.cap_inputs(given[None], spec.input_cap), spec)[0]
        u = int((neuron.leak(before.astype(np.int64), spec.leak) + total)[place])
        return f"u = {u}, threshold {_at(spec.threshold, place)}"

    firing = tuple(raw for raw, spec in zip(result.raw, plain.layers, strict=True) if not spec.readout)
    return Run(name, firing, show, readout=result.readout)


def run_graph(name: str, graph: FloatGraph, inputs: NDArray[Any]) -> Run:
    """The float network of a NIR file."""
    traces = graph.run(inputs)
    pairs = [
        (stage.neurons, trace) for stage, trace in zip(graph.stages, traces, strict=True) if stage.neurons is not None
    ]
    firing = [(neurons, trace) for neurons, trace in pairs if neurons.threshold is not None]

    def show(index: int, record: int, step: int, place: int) -> str:
        neurons, trace = firing[index]
        level = np.zeros(1) if neurons.threshold is None else neurons.threshold.ravel()
        return f"u = {trace.potentials[record, step, place]:.9g}, threshold {_at(level, place):.9g}"

    return Run(name, tuple(trace.spikes for _, trace in firing), show)


def run_floats(name: str, network: FloatNetwork, inputs: NDArray[Any]) -> Run:
    """A dense float network."""
    x = binary(inputs, network.layers[0].inputs)
    traces: list[tuple[Spikes, NDArray[np.float32]]] = []
    for each in network.layers:
        traces.append(each.trace(traces[-1][0] if traces else x))

    def show(index: int, record: int, step: int, place: int) -> str:
        level = _at(network.layers[index].threshold, place)
        return f"v = {traces[index][1][record, step, place]:.9g} after the step, threshold {level:.9g}"

    firing = [spikes for (spikes, _), each in zip(traces, network.layers, strict=True) if not each.readout]
    return Run(name, tuple(firing), show)


def recording(name: str, spikes: Spikes) -> Run:
    """Output spikes that another library gave."""
    return Run(name, (spikes,), lambda *_: "recorded", outputs_only=True)


def _at(value: Any, place: int) -> Any:
    array = np.asarray(value).ravel()
    return array[place if array.size > 1 else 0]


def first_difference(a: Run, b: Run) -> Difference | None:
    """The first place, by step, then layer, then neuron, then record, where the spikes differ; None where none do.

    Readouts of two integer networks are compared too, after the layers that fire. ValueError where the two cannot be
    compared: other layers, or other sizes.
    """
    offset = 0
    ours, theirs = list(a.spikes), list(b.spikes)
    if a.outputs_only or b.outputs_only:
        offset = max(len(ours), len(theirs)) - 1
        ours, theirs = ours[-1:], theirs[-1:]
    if len(ours) != len(theirs):
        raise ValueError(f"{b.name} must have {len(ours)} layers that fire, as {a.name} has, not {len(theirs)}")
    if not ours:
        raise ValueError(f"{a.name} and {b.name} must have a layer that fires to be compared by their spikes")
    pairs: list[tuple[NDArray[Any], NDArray[Any]]] = list(zip(ours, theirs, strict=True))
    if a.readout is not None and b.readout is not None:
        pairs.append((a.readout, b.readout))
    for index, (x, y) in enumerate(pairs):
        if x.shape != y.shape:
            raise ValueError(
                f"{b.name} layer {index + offset} must have shape {x.shape}, as in {a.name}, not {y.shape}"
            )
    unequal = [x != y for x, y in pairs]
    places = [
        (int(step), index, int(place), int(record))
        for index, wrong in enumerate(unequal)
        for record, step, place in _earliest(wrong)
    ]
    if not places:
        return None
    step, index, place, record = min(places)
    did_a, did_b = (
        f"{run.name} {_did(values, run, index, offset, (record, step, place), fires=index < len(ours))}"
        for run, values in zip((a, b), pairs[index], strict=True)
    )
    different, compared = sum(int(wrong.sum()) for wrong in unequal), sum(wrong.size for wrong in unequal)
    return Difference(step, index + offset, place, record, did_a, did_b, different, compared)


def _earliest(wrong: Spikes) -> list[tuple[int, int, int]]:
    """The first (record, step, neuron) by step, neuron, record; empty where nothing is wrong."""
    found = np.argwhere(np.moveaxis(wrong, (0, 1, 2), (2, 0, 1)))
    return [(int(record), int(step), int(place)) for step, place, record in found[:1]]


def _did(values: NDArray[Any], run: Run, index: int, offset: int, at: tuple[int, int, int], *, fires: bool) -> str:
    record, step, place = at
    if not fires:
        return f"reads out {values[record, step, place]}"
    local = index if run.outputs_only else index + offset
    word = "spikes" if values[record, step, place] else "is silent"
    return f"{word} ({run.show(local, record, step, place)})"


def first_unequal_number(a: NetworkSpec, b: NetworkSpec) -> str | None:
    """The first number of two specifications that differs, in words; None where they are equal."""
    if len(a.layers) != len(b.layers):
        return f"{len(a.layers)} layers against {len(b.layers)}"
    for index, (x, y) in enumerate(zip(a.layers, b.layers, strict=True)):
        for field in fields(LayerSpec):
            left, right = getattr(x, field.name), getattr(y, field.name)
            if np.shape(left) != np.shape(right):
                return f"layer {index} {field.name}: shape {np.shape(left)} against {np.shape(right)}"
            if isinstance(left, np.ndarray) and isinstance(right, np.ndarray):
                if (left != right).any():
                    place = tuple(int(i) for i in np.argwhere(left != right)[0])
                    return f"layer {index} {field.name}{list(place)}: {left[place]} against {right[place]}"
            elif left != right:
                return f"layer {index} {field.name}: {left} against {right}"
    return None if a.cadence == b.cadence else f"cadence: {a.cadence} against {b.cadence}"
