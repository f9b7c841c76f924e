"""The chain of integer layers that is equivalent to a spiking network; `export` quantises it layer by layer."""

from dataclasses import dataclass
from math import prod
from typing import Any

from torch import nn

from spikeveil.host.training.flip_layer import FlipLayer
from spikeveil.host.training.layers import Firing, Flattened, Membrane, Pooled
from spikeveil.host.training.network import SpikingNetwork
from spikeveil.host.training.quantise import Grid
from spikeveil.host.training.quantised_neurons import QuantMembrane
from spikeveil.pysim.model.flipper import FlipSpec


@dataclass
class ChainLayer:
    """One layer of the chain and the modules of the torch network that it is made of.

    - `module`: weights with their neurons, or a max-pooling, which is an OR of spikes;
    - `pools`: average- and sum-poolings before `module`;
    - `shape`: input shape of the first of those;
    - `index`: index of `module` in the network, for error messages;
    - `before`, `after`: flippers at the input and at the output.
    """

    module: Any
    pools: list[Pooled]
    shape: tuple[int, ...]
    index: int
    before: FlipSpec | None
    after: FlipSpec | None

    @property
    def is_or(self) -> bool:
        """Whether the layer is an OR (max-pooling)."""
        return isinstance(self.module, Pooled)

    @property
    def pooled(self) -> tuple[int, ...]:
        """Input shape of the weights, after `pools`."""
        shape = self.shape
        for pool in self.pools:
            shape = pool.layer.out(shape)
        return shape

    def grid(self, exponent: int, weight_bits: int, fraction_bits: int = 0) -> Grid:
        """The integer grid of the weights, and of the biases with `fraction_bits` more."""
        sizes = [pool.layer.kernel**2 for pool in self.pools]
        means = [pool.layer.kernel**2 for pool in self.pools if pool.layer.mode == "average"]
        return Grid(exponent, weight_bits, self.before, prod(sizes), prod(means), fraction_bits)


def layer_chain(network: SpikingNetwork) -> list[ChainLayer]:
    """The chain of a network, readout last. Raises ValueError where no such chain is exactly equivalent."""
    if network.architecture.kind != "snn":
        raise ValueError("network kind must be 'snn', not 'ann': a chip computes spikes")
    if network.architecture.coding != "spikes":
        raise ValueError("network coding must be 'spikes': a chip takes spikes, not intensities")
    found: list[ChainLayer] = []
    pools: list[Pooled] = []
    shape, before = network.architecture.shape, _tap(network, -1)
    for index, module in enumerate((*network.layers, network.readout)):
        if isinstance(module, Flattened):
            continue
        if isinstance(module, Pooled) and module.layer.mode != "max":
            pools.append(_apart(module, index))
            continue
        chain_layer = ChainLayer(module, pools, shape, index, before, _tap(network, index))
        found.append(_fitting(chain_layer))
        pools, before = [], chain_layer.after
        if index < len(network.layers):
            shape = network.architecture.shapes[index + 1]
    return found


def _apart(module: Pooled, index: int) -> Pooled:
    if module.layer.step < module.layer.kernel:
        raise ValueError(
            f"layer {index} stride must be at least its kernel, {module.layer.kernel}, not {module.layer.step}: where "
            "squares overlap, weights add up past their bits"
        )
    return module


def _fitting(chain_layer: ChainLayer) -> ChainLayer:
    """The chain_layer; ValueError where it is not one of integers."""
    module, index = chain_layer.module, chain_layer.index
    if chain_layer.is_or and (chain_layer.pools or chain_layer.before is not None):
        what = "what another pooling gave" if chain_layer.pools else "flipped ones, whose bias an OR cannot undo"
        raise ValueError(f"layer {index} must pool raw spikes to be an OR, not {what}")
    if not chain_layer.is_or and not isinstance(module, Firing | Membrane | QuantMembrane):
        raise ValueError(f"layer {index} must be dense, convolutional or a pooling, not a {type(module).__name__}")
    if isinstance(module, Firing) and not module.neuron.exportable:
        raise ValueError(f"layer {index} neurons must compare 'ge' and reset immediately")
    return chain_layer


def tap_flips(network: SpikingNetwork) -> list[FlipSpec | None]:
    """The flipper at the input and after each weighted layer, None where there is none."""
    places = [-1, *(index for index, module in enumerate((*network.layers, network.readout)) if _weighted(module))]
    return [_tap(network, place) for place in places]


def _tap(network: SpikingNetwork, place: int) -> FlipSpec | None:
    return _flip(network.taps[str(place)], place) if str(place) in network.taps else None


def _flip(tap: nn.Module, place: int) -> FlipSpec:
    if not isinstance(tap, FlipLayer):
        raise ValueError(f"tap at {place} must be a FlipLayer, not a {type(tap).__name__}")
    return tap.flip


def _weighted(module: nn.Module) -> bool:
    return isinstance(module, Firing | Membrane | QuantMembrane)
