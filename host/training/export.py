"""From a torch network to its quantised twin, and from that to the specification it already computes."""

import copy
from collections.abc import Sequence
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from spikeveil.host.networks.float_model import FloatLayer, FloatNetwork
from spikeveil.host.networks.scales import LEAK_BITS, MAX_EXPONENT
from spikeveil.host.networks.search import Search, quantise_network
from spikeveil.host.training.layer_chain import ChainLayer, layer_chain
from spikeveil.host.training.layers import Firing, Flattened, Pooled, TimeConv2d
from spikeveil.host.training.lowering import float_network, matrix
from spikeveil.host.training.network import SpikingNetwork
from spikeveil.host.training.quantise import Grid, QuantConv2d, QuantLinear
from spikeveil.host.training.quantised_neurons import SIGNIFICAND, QuantMembrane, QuantNeuron
from spikeveil.pysim import LayerSpec, NetworkSpec
from spikeveil.pysim.model.flipper import FlipSpec
from spikeveil.pysim.model.layer_spec import MAX_FRACTION_BITS, signed_bits


def folded(network: FloatNetwork, flips: Sequence[FlipSpec | None]) -> FloatNetwork:
    """The network whose layer l+1 takes spikes through the flipper `flips[l]` of layer l and undoes its bias.

    (y - p) / (1 - 2p) estimates a raw spike from a released one without bias; as weights W / (1 - 2p) and bias
    b - p sum(W) / (1 - 2p). `flips[-1]` is the input's: `flips` holds one more entry than there are layers, the input's
    first. Raises ValueError for another number of them.
    """
    if len(flips) != len(network.layers) + 1:
        raise ValueError(f"flips must be {len(network.layers) + 1}, the input's and one a layer, not {len(flips)}")
    layers = []
    for layer, flip in zip(network.layers, flips, strict=False):
        p = 0.0 if flip is None else float(flip.flip_probability)
        weights = layer.weights / np.float32(1 - 2 * p)
        bias = layer.bias - np.float32(p) * weights.sum(axis=1)
        layers.append(
            FloatLayer(weights, bias, layer.decay, layer.reset, layer.threshold, layer.readout, layer.compare)
        )
    return FloatNetwork(tuple(layers))


def quantised(
    network: SpikingNetwork,
    spikes: NDArray[np.bool_],
    *,
    weight_bits: int | Sequence[int] = 8,
    state_bits: int = 16,
) -> SpikingNetwork:
    """A copy of `network` that computes with the specification's integers; train it on, then `specification` it.

    Scales, leaks and fraction bits are those that `quantise_network` finds on input spikes (records, steps, inputs),
    the flippers' biases folded in; with more fraction bits where the threshold is no multiple of a potential's unit.
    Poolings by mean become sums whose count the next weights are divided by. `weight_bits`: one, or one a layer of the
    chain, in which a pooling by maximum is a layer. Raises ValueError as that, `layer_chain` and `float_network` do.
    """
    chain = layer_chain(network)
    plain = folded(float_network(network), [chain[0].before, *(chain_layer.after for chain_layer in chain)])
    search = Search(powers_of_two=True, leak_bits=LEAK_BITS)  # so that floats of 24 bits hold all sums and products
    found = quantise_network(
        plain, spikes, weight_bits=weight_bits, state_bits=state_bits, search=search, allow_loss=True
    )
    twin = copy.deepcopy(network)
    for chain_layer, layer, scale in zip(layer_chain(twin), found.spec.layers, found.exponents, strict=True):
        module = chain_layer.module
        if chain_layer.is_or:
            continue
        threshold = 1.0 if layer.readout else module.neuron.threshold
        exponent, fraction_bits = _holding(int(scale), layer.fraction_bits, threshold)
        grid = chain_layer.grid(exponent, layer.weight_bits, fraction_bits)
        module.weights = _with_grid(module.weights, grid)
        exponent += fraction_bits
        for pool in chain_layer.pools:
            pool.layer = replace(pool.layer, mode="sum")
        if isinstance(module, Firing):
            module.neuron = QuantNeuron.of(module.neuron, exponent, layer.leak, state_bits)
        else:
            neuron = QuantNeuron.readout(exponent, layer.leak, state_bits)
            twin.readout = QuantMembrane(module.weights, neuron)
    return twin


def specification(network: SpikingNetwork, **last: Any) -> NetworkSpec:
    """The specification that a quantised network computes, spike for spike; its flippers become the layers' own.

    A flipper at the input becomes that of a `relay`, a layer put in front. A convolution becomes a dense layer, a
    pooling by maximum an OR. `last`: further fields of the last layer.
    Raises ValueError for a network that `quantised` did not make, or one whose sums its floats could not hold exactly.
    """
    chain = layer_chain(network)
    flip = chain[0].before
    layers = [] if flip is None else [relay(prod(network.architecture.shape), flip)]
    for chain_layer in chain:
        layer = _or(chain_layer) if chain_layer.is_or else _layer(chain_layer, last if chain_layer is chain[-1] else {})
        if not chain_layer.is_or:
            _require_exact(layer, chain_layer.index, chain_layer.module.weights.weight.dtype)
        layers.append(layer)
    return NetworkSpec(layers)


def relay(neurons: int, flip: FlipSpec) -> LayerSpec:
    """A layer that passes its input on, spike by spike, through a flipper: an identity matrix, threshold 1."""
    return LayerSpec(np.eye(neurons, dtype=np.int64), 1, weight_bits=2, state_bits=2, flip=flip)


def _holding(exponent: int, fraction_bits: int, threshold: float) -> tuple[int, int]:
    """The exponent of weights and the fewest fraction bits, from these on, at which the threshold is an integer."""
    while exponent + fraction_bits < MAX_EXPONENT and not (threshold * 2.0 ** (exponent + fraction_bits)).is_integer():
        if fraction_bits < MAX_FRACTION_BITS:
            fraction_bits += 1
        else:
            exponent += 1
    return exponent, fraction_bits


def _with_grid(weights: nn.Module, grid: Grid) -> nn.Module:
    if isinstance(weights, TimeConv2d):
        return QuantConv2d.of(weights, grid)
    if isinstance(weights, nn.Linear):
        return QuantLinear.of(weights, grid)
    raise ValueError(f"weights must be those of a Linear or a TimeConv2d, not of a {type(weights).__name__}")


def _layer(chain_layer: ChainLayer, extra: dict[str, Any]) -> LayerSpec:
    module = chain_layer.module
    if not isinstance(module.weights, QuantLinear | QuantConv2d):
        raise ValueError(f"layer {chain_layer.index} must be quantised first: see `quantised`")
    neuron: QuantNeuron = module.neuron
    grid = module.weights.grid
    weights, bias = _dense(chain_layer, grid)
    firing = isinstance(module, Firing)
    values: dict[str, Any] = {
        "threshold": round(neuron.threshold * 2.0**neuron.exponent) if firing else None,
        "leak": neuron.leak,
        "reset": neuron.reset,
        "bias": bias if bias.any() else None,
        "state_bits": neuron.state_bits,
        "weight_bits": grid.weight_bits,
        "fraction_bits": grid.fraction_bits,
        "flip": chain_layer.after,
        "readout": not firing,
    }
    return LayerSpec(weights, **(values | extra))


def _dense(chain_layer: ChainLayer, grid: Grid) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Integer weights (neurons, inputs) and biases (neurons,) of the equivalent dense layer."""
    held = chain_layer.module.weights
    with torch.no_grad():
        if isinstance(held, QuantLinear):
            weights, bias = held.rounded()
            linear: nn.Module = nn.Linear(held.in_features, held.out_features, bias=False)
        else:
            height, width = chain_layer.pooled[1:]
            weights, bias = held.rounded(height, width)
            sizes = (held.in_channels, held.out_channels, held.kernel_size, held.stride, held.padding)
            linear = TimeConv2d(*sizes, bias=False)
        linear.weight = nn.Parameter(torch.from_numpy(_integers(weights, grid.exponent)).float())
    chain = [
        *chain_layer.pools,
        *([Flattened()] if isinstance(held, QuantLinear) and len(chain_layer.shape) > 1 else []),
        linear,
    ]
    dense = matrix(chain, chain_layer.shape, chain_layer.index)
    return np.rint(dense).astype(np.int64), _integers(bias, grid.exponent + grid.fraction_bits).ravel()


def _or(chain_layer: ChainLayer) -> LayerSpec:
    """A neuron for each square that fires where one of its spikes does, and carries nothing over."""
    pool = Pooled(replace(chain_layer.module.layer, mode="sum"))
    weights = np.rint(matrix([pool], chain_layer.shape, chain_layer.index)).astype(np.int64)
    return LayerSpec(weights, 1, weight_bits=2, state_bits=2)


def _require_exact(layer: LayerSpec, index: int, dtype: torch.dtype) -> None:
    """ValueError where a sum of the layer might not fit the significand it was trained with."""
    bits = max(layer.potential_bits, signed_bits(*layer.current_range)) - 1
    if bits > SIGNIFICAND[dtype]:
        raise ValueError(
            f"layer {index} must be trained in double precision: its potentials need {bits} bits of significand, and "
            f"{dtype} has {SIGNIFICAND[dtype]}"
        )


def _integers(values: torch.Tensor, exponent: int) -> NDArray[np.int64]:
    return np.asarray(np.rint(values.double().numpy() * 2.0**exponent), np.int64)
