"""A trained network as the chain of dense layers that a chip computes: convolutions and pooling as matrices."""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from spikeveil.host.data.encoders import spread
from spikeveil.host.networks.dense import dense_matrix
from spikeveil.host.networks.float_model import FloatLayer, FloatNetwork
from spikeveil.host.training.layers import Firing, Flattened, Membrane, Pooled
from spikeveil.host.training.network import SpikingNetwork

MAX_DENSE = 1 << 25  # weights of one layer: 128 MiB in float
BLOCK = 256  # unit vectors in one batch
Shape = tuple[int, ...]


def float_network(network: SpikingNetwork, planes: int | None = None) -> FloatNetwork:
    """The network that NumPy runs (`host.networks.float_model`), flippers left out and NOT folded in.

    A convolution, a pooling that is a mean or a sum, and whatever stands between two layers of neurons become one
    matrix: every weight that they share is stored for each place. A pooling that takes the largest becomes a layer of
    its own, that ORs. `planes`: for a network fed with intensities (direct coding), how many bits of a pixel its first
    layer takes (`encoders.direct`); such a network must be given it, and no other.
    Raises ValueError for what no such chain can hold: dialects of other simulators, a layer of over 2^25 weights.
    """
    if network.architecture.kind != "snn":
        raise ValueError("network kind must be 'snn', not 'ann': a chip computes spikes")
    if (planes is not None) != (network.architecture.coding == "direct"):
        raise ValueError(
            "network coding must be 'spikes', as a chip takes spikes: for one of coding 'direct' say how many planes "
            f"of bits a pixel has, and for no other, not {planes}"
        )
    layers: list[FloatLayer] = []
    pending: list[nn.Module] = []
    shape = network.architecture.shape
    for index, module in enumerate((*network.layers, network.readout)):
        if isinstance(module, Firing | Membrane):
            layers.append(_layer(module, pending, shape, index))
            pending, shape = [], _shapes(network)[index]
        elif isinstance(module, Pooled) and module.layer.mode == "max":
            layers.append(_or(module, pending, shape, index))
            pending, shape = [], _shapes(network)[index]
        elif isinstance(module, Pooled | Flattened):
            pending.append(module)
        else:
            raise ValueError(f"layer {index} must be one of floats, not a {type(module).__name__}")
    if planes is not None:
        first = layers[0]
        layers[0] = FloatLayer(spread(first.weights, planes), first.bias, first.decay, first.reset, first.threshold,
                               first.readout, first.compare)  # fmt: skip
    return FloatNetwork(tuple(layers))


def _shapes(network: SpikingNetwork) -> tuple[Shape, ...]:
    """The shape that leaves each layer, readout included."""
    architecture = network.architecture
    return (*architecture.shapes[1:], (architecture.classes * architecture.readout.group,))


def _layer(module: Any, pending: Sequence[nn.Module], shape: Shape, index: int) -> FloatLayer:
    membrane = isinstance(module, Membrane)
    if not membrane and not module.neuron.exportable:
        raise ValueError(f"layer {index} neurons must compare 'ge' and reset immediately")
    weights = matrix([*pending, module.weights], shape, index)
    bare = module.weights.bias
    bias = np.zeros(len(weights), np.float32)
    if bare is not None:
        each = bare.detach().float().numpy()
        bias = np.repeat(each, len(weights) // len(each))  # of a convolution: one a map
    neuron = None if membrane else module.neuron
    return FloatLayer(
        weights,
        bias,
        float(module.decay if neuron is None else neuron.decay),
        "zero" if neuron is None else neuron.reset,
        1.0 if neuron is None else neuron.threshold,
        readout=membrane,
    )


def _or(module: Pooled, pending: Sequence[nn.Module], shape: Shape, index: int) -> FloatLayer:
    """A neuron for each square that fires where one of its spikes does, and carries nothing over."""
    if any(isinstance(before, Pooled) for before in pending):
        raise ValueError(f"layer {index} must pool spikes to be an OR, not what another pooling gave")
    mean = copy.deepcopy(module)
    mean.layer = type(module.layer)(module.layer.kernel, module.layer.stride, "sum")
    weights = matrix([*pending, mean], shape, index)
    return FloatLayer(np.rint(weights), np.zeros(len(weights), np.float32), 1.0, "zero", 1.0)


def matrix(modules: Sequence[nn.Module], shape: Shape, index: int) -> NDArray[np.float32]:
    """The matrix (outputs, inputs) of linear modules, their biases left out, on inputs of `shape`."""
    last = modules[-1]
    if isinstance(last, nn.Linear) and all(isinstance(module, Flattened) for module in modules[:-1]):
        return np.array(last.weight.detach().numpy(), np.float32)
    chain = [copy.deepcopy(module) for module in modules]
    if hasattr(chain[-1], "bias"):
        chain[-1].bias = None
    dtype = next((p.dtype for p in chain[-1].parameters()), torch.float32)

    def apply(units: NDArray[np.float32]) -> NDArray[np.float32]:
        x = torch.from_numpy(units).to(dtype).reshape(-1, 1, *shape)
        with torch.no_grad():
            for module in chain:
                x = module(x)
        values: NDArray[np.float32] = x.flatten(1).float().numpy()
        return values

    inputs = int(np.prod(shape))
    outputs = apply(np.zeros((1, inputs), np.float32)).shape[1]
    return dense_matrix(
        apply, inputs, outputs, name=f"layer {index}", max_weights=MAX_DENSE, block=BLOCK, dtype=np.float32
    )
