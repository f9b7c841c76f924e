"""Quantisation-aware training: PyTorch layers that compute the specification's integers, bit for bit.

Everything here is a float that stands for an integer: the number times 2^exponent is what the chip holds. Multiples of
a power of two add up without rounding while they fit the significand (24 bits of float32, 53 of float64), so the
forward pass IS the integer network; the backward pass lets gradients through the roundings (straight-through, Bengio
2013) and stops them where a weight or a potential was cut off.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from spikeveil.host.networks.scales import MAX_EXPONENT, MIN_EXPONENT, weight_range
from spikeveil.host.training.layers import TimeConv2d
from spikeveil.pysim.model import checks
from spikeveil.pysim.model.flipper import FlipSpec
from spikeveil.pysim.model.layer_spec import MAX_FRACTION_BITS, MAX_INT32


@dataclass(frozen=True)
class Grid:
    """The integers of one layer: weights of `weight_bits` (2 to 8) times 2^-exponent (-24 to 24), and biases.

    Biases are multiples of 2^-(exponent + fraction_bits), as potentials are.

    `debias`: the flipper that the layer's input spikes come through, or None. Released spikes y estimate raw ones
    without bias by (y - p) / (1 - 2p); the layer computes that, folded into its integers::

        W' = round(W / (d (1 - 2p))),   b' = round(b - p * (sum of W' over the spikes that reach the neuron))

    each in its unit, weights cut to their bits. Where pooling stands before the layer, its inputs are the sums
    of `pooled` spikes each, and d is `divisor`: as many, where W was trained on their means, else 1. Raises ValueError
    for a value out of range, or p = 1/2.
    """

    exponent: int
    weight_bits: int = 8
    debias: FlipSpec | None = None
    pooled: int = 1
    divisor: int = 1
    fraction_bits: int = 0

    def __post_init__(self) -> None:
        checks.integer("grid exponent", self.exponent, MIN_EXPONENT, MAX_EXPONENT)
        checks.integer("grid fraction_bits", self.fraction_bits, 0, MAX_FRACTION_BITS)
        weight_range(self.weight_bits)
        checks.integer("grid pooled", self.pooled, 1, MAX_INT32)
        checks.integer("grid divisor", self.divisor, 1, MAX_INT32)
        if self.debias is not None and 2 * checks.instance("grid debias", self.debias, FlipSpec).flip_probability == 1:
            raise ValueError(
                "grid debias must flip with a probability under 1/2: at 1/2 the released spikes say nothing"
            )

    @property
    def flip_probability(self) -> float:
        """p of the spikes that come in, 0 without a flipper; exact, since p is a fraction of 2^16 at most."""
        return 0.0 if self.debias is None else float(self.debias.flip_probability)

    @property
    def shrink(self) -> float:
        """What trained weights are divided by: d (1 - 2p)."""
        return self.divisor * (1 - 2 * self.flip_probability)

    def weights(self, latent: Tensor) -> Tensor:
        """The weights that the chip holds, times 2^-exponent, of trained ones in float."""
        wide: Tensor = _Rounded.apply(latent / self.shrink, self.exponent, self.weight_bits)
        return wide

    def bias(self, latent: Tensor, sums: Tensor) -> Tensor:
        """The biases that the chip holds, times 2^-(exponent + fraction_bits).

        `sums`: of what `weights` gave, over a neuron's inputs.
        """
        unrounded = latent - self.flip_probability * self.pooled * sums
        return _Rounded.apply(unrounded, self.exponent + self.fraction_bits, None)


class _Rounded(torch.autograd.Function):  # type: ignore[misc]
    """Halves to even, cut to `bits` where given; the gradient passes where nothing was cut."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, exponent: int, bits: int | None) -> Tensor:
        wide = torch.round(x * 2.0**exponent)
        if bits is None:
            ctx.inside = None
            return wide * 2.0**-exponent
        low, high = weight_range(bits)
        ctx.inside = (wide >= low) & (wide <= high)
        return wide.clamp_(low, high).mul_(2.0**-exponent)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return gradient if ctx.inside is None else gradient * ctx.inside, None, None


class QuantLinear(nn.Linear):  # type: ignore[misc]
    """nn.Linear whose weights and biases are rounded to a `Grid` in the forward pass; always with a bias.

    It has parameters and no buffers, and its grid is plain data, so Opacus takes it: `per_sample_gradients` is
    registered as its gradient sampler by `register`.
    """

    def __init__(self, in_features: int, out_features: int, grid: Grid) -> None:
        super().__init__(in_features, out_features)
        self.grid = checks.instance("QuantLinear grid", grid, Grid)

    @classmethod
    def of(cls, linear: nn.Linear, grid: Grid) -> "QuantLinear":
        """A quantised layer that starts from the weights and biases of `linear`, copied."""
        layer: QuantLinear = cls(linear.in_features, linear.out_features, grid).to(linear.weight.dtype)
        with torch.no_grad():
            layer.weight.copy_(linear.weight)
            layer.bias.zero_() if linear.bias is None else layer.bias.copy_(linear.bias)
        return layer

    def rounded(self) -> tuple[Tensor, Tensor]:
        """Weights (out, in) and biases (out,) as the chip has them, in units of the grid."""
        weights = self.grid.weights(self.weight)
        return weights, self.grid.bias(self.bias, weights.sum(dim=1))

    def forward(self, x: Tensor) -> Tensor:
        """Currents (..., out) of spikes (..., in) that are 0 or 1, or sums of `pooled` of them: exact."""
        return functional.linear(x, *self.rounded())


class QuantConv2d(TimeConv2d):
    """TimeConv2d whose weights and biases are rounded to a `Grid` in the forward pass; always with a bias.

    Products of patches and weights, because a library's convolution may go by ways (Winograd) that round.
    """

    def __init__(self, like: TimeConv2d, grid: Grid) -> None:
        sizes = (like.in_channels, like.out_channels, like.kernel_size, like.stride, like.padding)
        super().__init__(*sizes)
        self.grid = checks.instance("QuantConv2d grid", grid, Grid)

    @classmethod
    def of(cls, conv: TimeConv2d, grid: Grid) -> "QuantConv2d":
        """A quantised layer that starts from the weights and biases of `conv`, copied."""
        layer: QuantConv2d = cls(conv, grid).to(conv.weight.dtype)
        with torch.no_grad():
            layer.weight.copy_(conv.weight)
            layer.bias.zero_() if conv.bias is None else layer.bias.copy_(conv.bias)
        return layer

    def rounded(self, height: int, width: int) -> tuple[Tensor, Tensor]:
        """Weights (out, in, k, k) and biases (out, H', W') as the chip has them, in units of the grid.

        Behind a flipper the biases of a place depend on how many of its inputs lie outside the image.
        """
        weights = self.grid.weights(self.weight)
        ones = weights.new_ones(1, self.in_channels, height, width)
        return weights, self.grid.bias(self.bias[:, None, None], self._slid(ones, weights)[0])

    def forward(self, x: Tensor) -> Tensor:
        """Currents (batch, steps, out, H', W') of spikes (batch, steps, in, H, W), or sums of `pooled` of them."""
        weights, bias = self.rounded(*x.shape[-2:])
        return (self._slid(x.flatten(0, 1), weights) + bias).unflatten(0, x.shape[:2])

    def _slid(self, maps: Tensor, weights: Tensor) -> Tensor:
        """The convolution of (count, in, H, W), without biases."""
        kernel, stride, padding = self.kernel_size, self.stride, self.padding
        patches = functional.unfold(maps, kernel, padding=padding, stride=stride)
        height = (maps.shape[2] + 2 * padding[0] - kernel[0]) // stride[0] + 1
        return (weights.flatten(1) @ patches).unflatten(-1, (height, -1))


def per_sample_gradients(layer: QuantLinear, activations: list[Tensor], backprops: Tensor) -> dict[Tensor, Tensor]:
    """Gradient of each sample of a batch, for Opacus: parameter to (batch, *shape).

    `activations` holds the input (batch, ..., in), `backprops` is (batch, ..., out). The chain rule of
    `QuantLinear.rounded`: the bias b' = b - p sum(W') makes every weight of a neuron answer for its bias too. There is
    no such function for QuantConv2d: convolutions are trained on without DP-SGD.
    """
    x = activations[0]
    by_weight = torch.einsum("n...i,n...o->noi", x, backprops)
    by_bias = backprops.flatten(1, -2).sum(dim=1) if backprops.dim() > 2 else backprops
    p, shrink = layer.grid.flip_probability * layer.grid.pooled, layer.grid.shrink
    with torch.no_grad():
        low, high = weight_range(layer.grid.weight_bits)
        wide = torch.round(layer.weight / shrink * 2.0**layer.grid.exponent)
        inside = ((wide >= low) & (wide <= high)).to(x.dtype) / shrink
    return {layer.weight: (by_weight - p * by_bias[:, :, None]) * inside, layer.bias: by_bias}


def register() -> None:
    """Tell Opacus how a QuantLinear's per-sample gradients are computed; once is enough, and more does no harm."""
    from opacus.grad_sample import register_grad_sampler

    register_grad_sampler(QuantLinear)(per_sample_gradients)
