"""The float network of a NIR file, run as torch runs it: float32, layer after layer, steps in order."""

from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spikeveil.host.exchange import chain, nodes, operations
from spikeveil.host.exchange.choices import Choices
from spikeveil.host.exchange.neurons import Population, population
from spikeveil.host.exchange.nodes import Node

Single = NDArray[np.float32]
BLOCK = 1 << 22  # numbers of one array in flight: a convolution's windows are a kernel's size more
MAX_BATCH = 256
#: dimensions of one sample that the first node of a graph takes
RANKS = {"Affine": 1, "Linear": 1, "Conv1d": 2, "Conv2d": 3, "SumPool2d": 3, "AvgPool2d": 3}


@dataclass(frozen=True, eq=False)
class GraphStage:
    """Linear nodes, and the neurons that take their sum; no neurons where linear nodes end the graph."""

    linear: tuple[Node, ...]
    neurons: Population | None
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]

    @property
    def name(self) -> str:
        """What reports call it: the node that fires, or the last linear one."""
        return self.neurons.node.name if self.neurons else self.linear[-1].name

    def current(self, x: Single) -> Single:
        """The linear nodes on (records, steps, *input shape), without the neurons' gain."""
        flat = x.reshape(-1, *self.input_shape)
        for node in self.linear:
            block = max(1, min(MAX_BATCH, BLOCK // max(1, int(np.prod(flat.shape[1:])))))
            flat = np.concatenate(
                [
                    operations.apply(node, flat[start_index : start_index + block])
                    for start_index in range(0, len(flat), block)
                ]
            ).astype(np.float32, copy=False)
        return flat.reshape(*x.shape[:2], *self.output_shape)


@dataclass(frozen=True, eq=False)
class GraphTrace:
    """One stage over records: `spikes` bool and `potentials` float32 (u, before a reset), (records, steps, neurons).

    Potentials of linear nodes that end the graph are their outputs.
    """

    spikes: NDArray[np.bool_]
    potentials: Single


@dataclass(frozen=True, eq=False)
class FloatGraph:
    """A chain of stages, and what the file left open."""

    stages: tuple[GraphStage, ...]
    choices: Choices
    file: nodes.NirFile

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample."""
        return self.stages[0].input_shape

    def run(self, x: NDArray[np.generic]) -> tuple[GraphTrace, ...]:
        """Every stage on inputs (records, steps, ...), one sample's numbers in the file's shape or flattened."""
        array = np.asarray(x)
        size = int(np.prod(self.input_shape))
        if array.ndim < 3 or int(np.prod(array.shape[2:])) != size or not array.size:
            raise ValueError(f"inputs must have shape (records, steps, *{self.input_shape}), not {array.shape}")
        values = array.astype(np.float32).reshape(*array.shape[:2], *self.input_shape)
        traces = []
        for stage in self.stages:
            current = stage.current(values)
            if stage.neurons is None:
                spikes, potentials = np.zeros(current.shape, np.bool_), current
            else:
                spikes, potentials = stage.neurons.run(current)
            flat = (*current.shape[:2], -1)
            traces.append(GraphTrace(spikes.reshape(flat), potentials.reshape(flat)))
            values = spikes.astype(np.float32)
        return tuple(traces)


def load_graph(path: Path, choices: Choices) -> FloatGraph:
    """Read a NIR file as a network. ValueError, one sentence, for what is no chain that a core can be."""
    return build_graph(nodes.read_nir(path), choices)


def build_graph(file: nodes.NirFile, choices: Choices) -> FloatGraph:
    """The network of what a file holds."""
    order = chain.ordered_nodes(file)
    choices.require(order)
    shape = start = _sample_shape(order)
    stages: list[GraphStage] = []
    pending: list[Node] = []
    for node, following in pairwise(order[1:]):
        node = _per_sample(node, following, shape)
        if node.kind in chain.LINEAR:
            _check_finite(node)
            pending.append(node)
            shape = operations.apply(node, np.zeros((1, *shape), np.float32)).shape[1:]
            continue
        stages.append(GraphStage(tuple(pending), population(node, shape, choices), start, shape))
        pending, start = [], shape
    if pending:
        stages.append(GraphStage(tuple(pending), None, start, shape))
    if not stages:
        raise ValueError("graph must have a node between input and output, and it has none")
    declared = _shape(order[-1]) if "shape" in order[-1].fields else shape
    if np.prod(declared) != np.prod(shape):  # exporters differ in whether a batch of 1 belongs to it
        raise ValueError(f"{order[-1]} must have the shape {shape} of what leads to it, not {declared}")
    return FloatGraph(tuple(stages), choices, file)


def _sample_shape(order: tuple[Node, ...]) -> tuple[int, ...]:
    """The shape of one sample; a batch of 1 before it, which some exporters count, is dropped.

    ValueError where the first node's input has one dimension less, and the batch is not 1.
    """
    shape, first = _shape(order[0]), order[1]
    rank = RANKS.get(first.kind)
    if first.kind == "Flatten" and len(shape) > 1 and shape[0] == 1 and int(first.array("start_dim")) == 1:
        rank = len(shape) - 1
    if rank is None or len(shape) != rank + 1:
        return shape
    if shape[0] != 1:
        raise ValueError(
            f"{order[0]} shape must be that of one sample, and {shape} has a batch dimension of {shape[0]} before what "
            f"{first} takes: export with a batch of 1, or without one"
        )
    return shape[1:]


def _per_sample(node: Node, following: Node, shape: tuple[int, ...]) -> Node:
    """A Flatten that counts a batch dimension as one of the sample's dimensions: what follows takes all its numbers."""
    if node.kind != "Flatten" or following.kind not in ("Affine", "Linear") or len(shape) < 2:
        return node
    (start,), (end,) = (operations.sizes(node, field, 1, -operations.MAX_RANK) for field in ("start_dim", "end_dim"))
    inputs = following.array("weight").shape[-1]
    if start != 1 or end not in (-1, len(shape)) or inputs != int(np.prod(shape)):
        return node
    return replace(node, fields=node.fields | {"start_dim": np.array(0), "end_dim": np.array(-1)})


def _check_finite(node: Node) -> None:
    for field in {"weight", "bias", "scale"} & set(node.fields):
        if not np.isfinite(node.array(field)).all():
            raise ValueError(f"{node} {field} must be finite numbers, and some are not")


def _shape(node: Node) -> tuple[int, ...]:
    """What an Input or Output says of its shape; a number alone is a shape of one dimension."""
    shape = tuple(int(size) for size in np.atleast_1d(node.array("shape")))
    if not shape or min(shape) < 1 or int(np.prod(shape, dtype=object)) > nodes.MAX_NUMBERS:
        bounds = f"1 or more in each dimension and {nodes.MAX_NUMBERS:,} in all"
        raise ValueError(f"{node} shape must be of {bounds}, not {shape}")
    return shape
