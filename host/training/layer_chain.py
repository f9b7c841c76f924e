"""A spiking network as the chain of layers that a chip computes, exactly: what `export` makes integers of."""

from dataclasses import dataclass
from math import prod
from typing import Any

from torch import nn

from spikeveil.host.training.flip import Flipper
from spikeveil.host.training.layers import Firing, Flattened, Membrane, Pooled
from spikeveil.host.training.network import SpikingNetwork
from spikeveil.host.training.quantise import Grid
from spikeveil.host.training.quantised_neurons import QuantMembrane
from spikeveil.pysim.model.flipper import FlipSpec


@dataclass
class Stage:
    """One layer of the chain that a chip computes: what it is made of in the torch network.

    `module`: neurons with their weights, or a pooling that takes the largest, which is an OR of spikes. `pools`: the
    poolings by mean or sum before it. `shape`: of what enters those. `index`: of the module, for sentences. `before`,
    `after`: the flippers that its input and its output go through.
    """

    module: Any
    pools: list[Pooled]
    shape: tuple[int, ...]
    index: int
    before: FlipSpec | None
    after: FlipSpec | None

    @property
    def is_or(self) -> bool:
        """Whether it is an OR."""
        return isinstance(self.module, Pooled)

    @property
    def pooled(self) -> tuple[int, ...]:
        """The shape that its weights see."""
        shape = self.shape
        for pool in self.pools:
            shape = pool.layer.out(shape)
        return shape

    def grid(self, exponent: int, weight_bits: int) -> Grid:
        """The grid of its weights."""
        sizes = [pool.layer.kernel**2 for pool in self.pools]
        means = [pool.layer.kernel**2 for pool in self.pools if pool.layer.mode == "average"]
        return Grid(exponent, weight_bits, self.before, prod(sizes), prod(means))


def stages(network: SpikingNetwork) -> list[Stage]:
    """The chain of layers with neurons, readout last. ValueError for a network that no such chain computes exactly."""
    if network.architecture.coding != "spikes":
        raise ValueError("network coding must be 'spikes': a chip takes spikes, not intensities")
    found: list[Stage] = []
    pools: list[Pooled] = []
    shape, before = network.architecture.shape, _tap(network, -1)
    for index, module in enumerate((*network.layers, network.readout)):
        if isinstance(module, Flattened):
            continue
        if isinstance(module, Pooled) and module.layer.mode != "max":
            pools.append(_apart(module, index))
            continue
        stage = Stage(module, pools, shape, index, before, _tap(network, index))
        found.append(_fitting(stage))
        pools, before = [], stage.after
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


def _fitting(stage: Stage) -> Stage:
    """The stage; ValueError where it is not one of integers."""
    module, index = stage.module, stage.index
    if stage.is_or and (stage.pools or stage.before is not None):
        what = "what another pooling gave" if stage.pools else "flipped ones, whose bias an OR cannot undo"
        raise ValueError(f"layer {index} must pool raw spikes to be an OR, not {what}")
    if not stage.is_or and not isinstance(module, Firing | Membrane | QuantMembrane):
        raise ValueError(f"layer {index} must be dense, convolutional or a pooling, not a {type(module).__name__}")
    if isinstance(module, Firing) and not module.neuron.exportable:
        raise ValueError(f"layer {index} neurons must compare 'ge' and reset immediately")
    return stage


def tap_flips(network: SpikingNetwork) -> list[FlipSpec | None]:
    """The flipper at the input and after each weighted layer, None where there is none."""
    places = [-1, *(index for index, module in enumerate((*network.layers, network.readout)) if _weighted(module))]
    return [_tap(network, place) for place in places]


def _tap(network: SpikingNetwork, place: int) -> FlipSpec | None:
    return _flip(network.taps[str(place)], place) if str(place) in network.taps else None


def _flip(tap: nn.Module, place: int) -> FlipSpec:
    if not isinstance(tap, Flipper):
        raise ValueError(f"tap at {place} must be a Flipper, not a {type(tap).__name__}")
    return tap.flip


def _weighted(module: nn.Module) -> bool:
    return isinstance(module, Firing | Membrane | QuantMembrane)
