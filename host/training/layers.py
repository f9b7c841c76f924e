"""Layers over the whole window at once: (batch, steps, ...) in and out.

A layer processes all steps in ONE call, so that per-example gradients need one product for each layer instead of one
for each step (`dpsgd`). Under direct coding the first layer takes (batch, 1, ...) and its neurons repeat the current.
"""

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from spikeveil.host.training.architecture import Architecture, Conv, Dense, Flatten, Layer, Pool, Readout, Shape
from spikeveil.host.training.neurons import Neuron

MakeLinear = Callable[[int, int, bool], nn.Module]


class TimeConv2d(nn.Conv2d):  # type: ignore[misc]
    """A convolution of every step on its own: (batch, steps, C, H, W) to (batch, steps, O, H', W')."""

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x.flatten(0, 1))
        return y.unflatten(0, x.shape[:2])


class Firing(nn.Module):  # type: ignore[misc]
    """Weights and the neurons they drive: x (batch, steps or 1, ...) to spikes (batch, steps, ...)."""

    def __init__(self, weights: nn.Module, neuron: Neuron, steps: int) -> None:
        super().__init__()
        self.weights, self.neuron, self.steps = weights, neuron, steps

    def forward(self, x: Tensor) -> Tensor:
        return self.neuron.run(self.weights(x), self.steps)


class Activated(nn.Module):  # type: ignore[misc]
    """Weights and tanh, a layer of an ANN: x (batch, 1, ...) to activations (batch, 1, ...) in -1 to 1."""

    def __init__(self, weights: nn.Module) -> None:
        super().__init__()
        self.weights = weights

    def forward(self, x: Tensor) -> Tensor:
        return self.weights(x).tanh()


class Pooled(nn.Module):  # type: ignore[misc]
    """Pooling of every step on its own."""

    def __init__(self, layer: Pool) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        maps, size, step = x.flatten(0, 1), self.layer.kernel, self.layer.step
        if self.layer.mode == "max":
            y = functional.max_pool2d(maps, size, step)
        else:
            y = functional.avg_pool2d(maps, size, step, divisor_override=1 if self.layer.mode == "sum" else None)
        return y.unflatten(0, x.shape[:2])


class Flattened(nn.Module):  # type: ignore[misc]
    """(batch, steps, C, H, W) to (batch, steps, C*H*W)."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(2)


class Membrane(nn.Module):  # type: ignore[misc]
    """A readout that never fires: x (batch, steps, inputs) to the potential after the window, (batch, neurons)."""

    def __init__(self, weights: nn.Module, decay: float) -> None:
        super().__init__()
        self.weights, self.decay = weights, decay

    def forward(self, x: Tensor) -> Tensor:
        current = self.weights(x)
        if self.decay == 1:
            return current.sum(dim=1)
        powers = current.new_tensor([self.decay**age for age in reversed(range(current.shape[1]))])
        return (current * powers[:, None]).sum(dim=1)


def module_for(layer: Layer, shape: Shape, architecture: Architecture, make_linear: MakeLinear) -> nn.Module:
    """The module of a layer of `architecture` whose input has `shape` (without batch and steps)."""
    match layer:
        case Dense(neurons, neuron, bias):
            weights = make_linear(shape[0], neurons, bias)
        case Conv(channels, kernel, stride, padding, neuron, bias):
            weights = TimeConv2d(shape[0], channels, kernel, stride, padding, bias=bias)
        case Pool():
            return Pooled(layer)
        case Flatten():
            return Flattened()
    return Activated(weights) if architecture.kind == "ann" else Firing(weights, neuron, architecture.steps)


def readout_for(readout: Readout, inputs: int, classes: int, steps: int, make_linear: MakeLinear) -> nn.Module:
    """The module of the readout: `Membrane`, or `Firing` for counts."""
    weights = make_linear(inputs, classes * readout.group, readout.bias)
    if readout.kind == "membrane":
        return Membrane(weights, readout.neuron.decay)
    return Firing(weights, readout.neuron, steps)


def weighted(module: nn.Module) -> list[Any]:
    """The modules inside that have weights of their own, in order."""
    return [one for one in module.modules() if next(one.parameters(recurse=False), None) is not None]
