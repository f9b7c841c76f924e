"""The network of an `Architecture` as a torch module; an SNN is unrolled layer by layer over time."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from spikeveil.host.training.architecture import Architecture
from spikeveil.host.training.layers import Firing, MakeLinear, module_for, readout_for, weighted


def plain_linear(inputs: int, outputs: int, bias: bool) -> nn.Module:
    """An ordinary `nn.Linear`."""
    return nn.Linear(inputs, outputs, bias=bias)


@dataclass(frozen=True)
class WindowTrace:
    """Tensors of one forward pass over the whole window.

    - `spikes`: raw spikes of every firing layer in order, readout included, (batch, steps, neurons or C, H, W);
    - `outputs`: the same after each layer's tap, as the next layer receives them;
    - `scores`: (batch, classes).
    """

    spikes: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    scores: Tensor


class SpikingNetwork(nn.Module):  # type: ignore[misc]
    """x to scores (batch, classes); x is (batch, *shape) under direct coding, (batch, steps, *shape) under spikes.

    - `architecture`: of kind `snn`, or `ann`, which has no spikes and takes no taps;
    - `make_linear(inputs, outputs, bias)`: makes the weights of dense layers and of the readout, an `nn.Linear` or a
      module that behaves like one on (batch, steps, inputs);
    - `taps`: modules after a layer, from spikes to spikes of the same shape (a flipper). Keys are indices into
      `architecture.layers`, -1 for the input (spike coding only), len(layers) for a readout that counts. A neuron's
      own reset is not affected by its tap;
    - `seed`, `gain`: of the initial weights, see `initialise`.

    Raises ValueError for a tap at a place without spikes.
    """

    def __init__(
        self,
        architecture: Architecture,
        *,
        make_linear: MakeLinear = plain_linear,
        taps: Mapping[int, nn.Module] | None = None,
        seed: int | None = None,
        gain: float = 1.0,
    ) -> None:
        super().__init__()
        self.architecture = architecture
        shapes, steps = architecture.shapes, architecture.steps
        chain = [
            module_for(layer, shape, architecture, make_linear)
            for layer, shape in zip(architecture.layers, shapes, strict=False)
        ]
        self.layers = nn.ModuleList(chain)
        self.readout = readout_for(architecture.readout, shapes[-1][0], architecture.classes, steps, make_linear)
        self.taps = nn.ModuleDict({str(place): tap for place, tap in sorted((taps or {}).items())})
        for place in taps or {}:
            self._check_tap(place)
        initialise(self, seed, gain)

    def forward(self, x: Tensor) -> Tensor:
        return self.run(x).scores

    def run(self, x: Tensor) -> WindowTrace:
        """The forward pass with every layer's spikes."""
        x = self._opened(x)
        spikes, outputs = [], []
        for index, layer in enumerate((*self.layers, self.readout)):
            x = layer(x)
            if isinstance(layer, Firing):
                spikes.append(x)
                x = self._tapped(index, x)
                outputs.append(x)
        return WindowTrace(tuple(spikes), tuple(outputs), self._scores(x))

    def _opened(self, x: Tensor) -> Tensor:
        """The input with a dimension for the steps: 1 under direct coding."""
        architecture = self.architecture
        expected = architecture.shape if architecture.coding == "direct" else (architecture.steps, *architecture.shape)
        if tuple(x.shape[1:]) != expected:
            raise ValueError(
                f"network input must have shape (batch, {', '.join(map(str, expected))}), not {tuple(x.shape)}"
            )
        return x.unsqueeze(1) if architecture.coding == "direct" else self._tapped(-1, x)

    def _tapped(self, place: int, x: Tensor) -> Tensor:
        return self.taps[str(place)](x) if str(place) in self.taps else x

    def _scores(self, x: Tensor) -> Tensor:
        """Readout potentials (batch, classes) or spikes (batch, steps, neurons) to scores."""
        readout, classes = self.architecture.readout, self.architecture.classes
        if readout.kind == "counts":
            return readout.gain * x.mean(dim=1).unflatten(-1, (classes, readout.group)).mean(dim=-1)
        return readout.gain / self.architecture.steps * x

    def _check_tap(self, place: int) -> None:
        last = len(self.layers)
        if not -1 <= place <= last:
            raise ValueError(f"network taps must be at -1 to {last}, not {place}")
        if place == -1 and self.architecture.coding == "direct":
            raise ValueError("network taps must not be at -1 under direct coding, whose input is no spikes")
        if place >= 0 and not isinstance((*self.layers, self.readout)[place], Firing):
            raise ValueError(f"network taps must follow a layer that fires, not layer {place}")


def initialise(network: nn.Module, seed: int | None = None, gain: float = 1.0) -> None:
    """Weights uniform with standard deviation gain / sqrt(inputs), biases zero; None takes torch's global generator."""
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for module in weighted(network):
            for parameter in module.parameters(recurse=False):
                bound = gain * math.sqrt(3 / max(1, parameter[0].numel())) if parameter.ndim > 1 else 0.0
                parameter.copy_((2 * torch.rand(parameter.shape, generator=generator) - 1) * bound)
