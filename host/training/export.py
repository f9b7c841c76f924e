"""From a torch network to its quantised twin, and from that to the specification it already computes."""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from spikeveil.host.data.float_model import FloatLayer, FloatNetwork
from spikeveil.host.training.flip import Flipper
from spikeveil.host.training.layers import Firing, Flattened, Membrane
from spikeveil.host.training.lowering import float_network
from spikeveil.host.training.network import SpikingNetwork
from spikeveil.host.training.quantise import Grid, QuantLinear
from spikeveil.host.training.quantised_neurons import SIGNIFICAND, QuantMembrane, QuantNeuron
from spikeveil.host.training.scales import MAX_EXPONENT, quantise_network
from spikeveil.pysim import LayerSpec, NetworkSpec
from spikeveil.pysim.flipper import FlipSpec
from spikeveil.pysim.spec import signed_bits


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
        p = 0.0 if flip is None else float(flip.probability)
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

    Scales are those that `quantise_network` finds on input spikes (records, steps, inputs), the flippers' biases folded
    in, made finer where the threshold is no multiple of one. Raises ValueError as that and `float_network` do.
    """
    flips = tap_flips(network)
    plain = folded(float_network(network), flips)
    found = quantise_network(plain, spikes, weight_bits=weight_bits, state_bits=state_bits)
    twin = copy.deepcopy(network)
    for index, module in enumerate(weighted_layers(twin)):
        layer = found.spec.layers[index]
        exponent = _holding(int(found.exponents[index]), 1.0 if layer.readout else module.neuron.threshold)
        grid = Grid(exponent, layer.weight_bits, flips[index])
        module.weights = QuantLinear.of(module.weights, grid)
        if isinstance(module, Firing):
            module.neuron = QuantNeuron.of(module.neuron, exponent, layer.leak, state_bits)
        else:
            neuron = QuantNeuron.readout(exponent, layer.leak, state_bits)
            twin.readout = QuantMembrane(module.weights, neuron)
    return twin


def specification(network: SpikingNetwork, **last: Any) -> NetworkSpec:
    """The specification that a quantised network computes, spike for spike; its flippers become the layers' own.

    A flipper at the input becomes that of a `relay`, a layer put in front. `last`: further fields of the last layer.
    Raises ValueError for a network that `quantised` did not make, or one whose sums its floats could not hold exactly.
    """
    flips = tap_flips(network)
    layers = [] if flips[0] is None else [relay(network.architecture.shape[0], flips[0])]
    modules = weighted_layers(network)
    for index, module in enumerate(modules):
        if not isinstance(module.weights, QuantLinear):
            raise ValueError(f"layer {index} must be quantised first: see `quantised`")
        layer = _layer(module, flips[index + 1], last if index == len(modules) - 1 else {})
        _require_exact(layer, index, module.weights.weight.dtype)
        layers.append(layer)
    return NetworkSpec(layers)


def relay(neurons: int, flip: FlipSpec) -> LayerSpec:
    """A layer that passes its input on, spike by spike, through a flipper: an identity matrix, threshold 1."""
    return LayerSpec(np.eye(neurons, dtype=np.int64), 1, weight_bits=2, state_bits=2, flip=flip)


def tap_flips(network: SpikingNetwork) -> list[FlipSpec | None]:
    """The flipper at the input and after each weighted layer, None where there is none."""
    places = [-1, *(index for index, module in enumerate((*network.layers, network.readout)) if _weighted(module))]
    return [_flip(network.taps[str(place)], place) if str(place) in network.taps else None for place in places]


def weighted_layers(network: SpikingNetwork) -> list[Any]:
    """The modules with weights and neurons, readout last. ValueError for a network that is not dense."""
    if network.architecture.coding != "spikes":
        raise ValueError("network coding must be 'spikes': a chip takes spikes, not intensities")
    found = []
    for index, module in enumerate((*network.layers, network.readout)):
        if isinstance(module, Flattened):
            continue
        if not _weighted(module) or not isinstance(module.weights, nn.Linear):
            raise ValueError(f"layer {index} must be dense, not a {type(module).__name__}")
        if isinstance(module, Firing) and not module.neuron.exportable:
            raise ValueError(f"layer {index} neurons must compare 'ge' and reset immediately")
        found.append(module)
    return found


def _flip(tap: nn.Module, place: int) -> FlipSpec:
    if not isinstance(tap, Flipper):
        raise ValueError(f"tap at {place} must be a Flipper, not a {type(tap).__name__}")
    return tap.flip


def _weighted(module: nn.Module) -> bool:
    return isinstance(module, Firing | Membrane | QuantMembrane)


def _holding(exponent: int, threshold: float) -> int:
    """The smallest exponent from this one on of which the threshold is a multiple."""
    while exponent < MAX_EXPONENT and not (threshold * 2.0**exponent).is_integer():
        exponent += 1
    return exponent


def _layer(module: Any, flip: FlipSpec | None, extra: dict[str, Any]) -> LayerSpec:
    neuron: QuantNeuron = module.neuron
    with torch.no_grad():
        weights, bias = (_integers(values, neuron.exponent) for values in module.weights.rounded())
    firing = isinstance(module, Firing)
    values: dict[str, Any] = {
        "threshold": round(neuron.threshold * 2.0**neuron.exponent) if firing else None,
        "leak": neuron.leak,
        "reset": neuron.reset,
        "bias": bias if bias.any() else None,
        "state_bits": neuron.state_bits,
        "weight_bits": module.weights.grid.weight_bits,
        "flip": flip,
        "readout": not firing,
    }
    return LayerSpec(weights, **(values | extra))


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
