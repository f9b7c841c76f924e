"""Sums of clipped per-example gradients: the only quantity that DP-SGD computes from the training data.

`HooksClipper` materialises every example's gradient with Opacus' hooks and scales it. `GhostClipper` (ghost clipping)
records the inputs a_t and the output gradients g_t of each layer and computes the norms from them. For a dense layer
over T steps, |sum_t g_t a_t'|^2 = sum_ts (g_t.g_s)(a_t.a_s), from two T x T Gram matrices. The clipped sum is then one
matrix product. So per-example gradients of dense layers are never materialised, and there is one backward pass only.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import torch
from opacus.grad_sample import GradSampleModule, register_grad_sampler
from torch import Tensor, nn
from torch.nn import functional

from spikeveil.host.training.layers import TimeConv2d, weighted

#: relative margin added to every norm, so that float32 rounding cannot make a clipped gradient exceed the clip
MARGIN = 1e-4

Loss = Callable[[Tensor, Tensor], Tensor]


class Clipper(ABC):
    """Clips each example's gradient to the L2 norm `norm`, over all parameters together, and sums over the examples."""

    def __init__(self, network: nn.Module, norm: float) -> None:
        self.network, self.norm = network, norm
        self.parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]

    @abstractmethod
    def sums(self, x: Tensor, labels: Tensor, loss: Loss) -> list[Tensor]:
        """For every parameter, the sum over one or more examples of min(1, norm / |g|) g / (1 + MARGIN).

        loss(scores, labels) returns one number per example, which must not depend on the other examples.
        FloatingPointError if a gradient is not finite, since clipping cannot bound it.
        """

    def factors(self, squares: Tensor) -> Tensor:
        """Factor that scales each example's gradient, from its squared norm; both (batch,)."""
        if not bool(torch.isfinite(squares).all()):
            raise FloatingPointError("a per-example gradient is not finite, so clipping cannot bound it")
        return (self.norm / (squares.sqrt() * (1 + MARGIN)).clamp(min=1e-30)).clamp(max=1 / (1 + MARGIN))


class HooksClipper(Clipper):
    """Materialises every example's gradient with Opacus' hooks; for any layer with an Opacus grad sampler."""

    def __init__(self, network: nn.Module, norm: float) -> None:
        super().__init__(network, norm)
        self.module = GradSampleModule(network)

    def sums(self, x: Tensor, labels: Tensor, loss: Loss) -> list[Tensor]:
        # Opacus' hooks warn if the input of a layer does not require a gradient
        loss(self.module(x.detach().requires_grad_()), labels).mean().backward()
        samples = [parameter.grad_sample for parameter in self.parameters]
        for parameter in self.parameters:
            parameter.grad_sample = parameter.grad = None
        squares = torch.stack([sample.flatten(1).square().sum(dim=1) for sample in samples]).sum(dim=0)
        factors = self.factors(squares)
        return [torch.tensordot(factors, sample, 1) for sample in samples]


class GhostClipper(Clipper):
    """Computes norms and sums from the inputs and output gradients of each layer; `nn.Linear` and `TimeConv2d` only.

    ValueError for any other layer with weights.
    """

    def __init__(self, network: nn.Module, norm: float) -> None:
        super().__init__(network, norm)
        self.layers = weighted(network)
        for layer in self.layers:
            if type(layer) not in (nn.Linear, TimeConv2d):
                raise ValueError(f"clipping must be 'hooks' for a {type(layer).__name__} layer, not 'ghost'")

    def sums(self, x: Tensor, labels: Tensor, loss: Loss) -> list[Tensor]:
        with self._recording() as records:
            loss(self.network(x), labels).sum().backward()
        gradients = [_layer_gradients(layer, *records[layer]) for layer in self.layers]
        factors = self.factors(torch.stack([gradient.squares() for gradient in gradients]).sum(dim=0))
        sums: dict[Any, Tensor] = {}
        for layer, gradient in zip(self.layers, gradients, strict=True):
            sums |= zip(layer.parameters(recurse=False), gradient.sums(factors), strict=False)
        return [sums[parameter] for parameter in self.parameters]

    @contextmanager
    def _recording(self) -> Any:
        """Record the input and the output gradient of each layer; meanwhile no parameter requires a gradient."""
        records: dict[nn.Module, list[Tensor]] = {}

        def record(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            if not output.requires_grad:
                output.requires_grad_()
            records[layer] = [inputs[0].detach()]
            output.register_hook(records[layer].append)

        handles = [layer.register_forward_hook(record) for layer in self.layers]
        try:
            for parameter in self.parameters:
                parameter.requires_grad_(False)
            yield records
        finally:
            for parameter in self.parameters:
                parameter.requires_grad_(True)
            for handle in handles:
                handle.remove()


class _LayerGradients(ABC):
    """Per-example gradients of one layer, from its `inputs` and `output_gradients`, both (batch, steps, ...)."""

    def __init__(self, layer: Any, inputs: Tensor, output_gradients: Tensor) -> None:
        self.layer, self.inputs, self.output_gradients = layer, inputs, output_gradients

    @abstractmethod
    def squares(self) -> Tensor:
        """Squared norm of each example's gradient; (batch,)."""

    @abstractmethod
    def sums(self, factors: Tensor) -> list[Tensor]:
        """Sum of the scaled gradients of the weights, then of the bias if there is one."""


class _DenseGradients(_LayerGradients):
    """Gradients of a dense layer, never materialised."""

    def squares(self) -> Tensor:
        grams = [rows @ rows.mT for rows in (self.inputs, self.output_gradients)]
        squares = (grams[0] * grams[1]).sum(dim=(1, 2)).clamp(min=0)
        return squares if self.layer.bias is None else squares + self.output_gradients.sum(dim=1).square().sum(dim=1)

    def sums(self, factors: Tensor) -> list[Tensor]:
        output_gradients = self.output_gradients * factors[:, None, None]
        return [output_gradients.flatten(0, 1).mT @ self.inputs.flatten(0, 1), output_gradients.sum(dim=(0, 1))]


class _ConvGradients(_LayerGradients):
    """Materialised gradients of a convolution: it has few weights, each used at many positions."""

    def __init__(self, layer: Any, inputs: Tensor, output_gradients: Tensor) -> None:
        super().__init__(layer, inputs, output_gradients)
        self.samples = conv_samples(layer, inputs, output_gradients)

    def squares(self) -> Tensor:
        return torch.stack([sample.flatten(1).square().sum(dim=1) for sample in self.samples]).sum(dim=0)

    def sums(self, factors: Tensor) -> list[Tensor]:
        return [torch.tensordot(factors, sample, 1) for sample in self.samples]


def _layer_gradients(layer: nn.Module, inputs: Tensor, output_gradients: Tensor) -> _LayerGradients:
    return (_DenseGradients if isinstance(layer, nn.Linear) else _ConvGradients)(layer, inputs, output_gradients)


def conv_samples(layer: TimeConv2d, inputs: Tensor, output_gradients: Tensor) -> list[Tensor]:
    """Per-example gradients of a `TimeConv2d`: weights (batch, O, C, k, k), and bias (batch, O) if it has one."""
    batch, steps = inputs.shape[:2]
    columns = functional.unfold(inputs.flatten(0, 1), layer.kernel_size, 1, layer.padding, layer.stride)
    columns = columns.view(batch, steps, *columns.shape[1:])
    gradients = output_gradients.flatten(3)
    weights = gradients[:, 0] @ columns[:, 0].mT
    for step in range(1, steps):  # a single product over all steps would copy `columns`
        weights.baddbmm_(gradients[:, step], columns[:, step].mT)
    weights = weights.view(batch, *layer.weight.shape)
    return [weights] if layer.bias is None else [weights, output_gradients.sum(dim=(1, 3, 4))]


@register_grad_sampler(TimeConv2d)  # type: ignore[untyped-decorator]
def _for_opacus(layer: TimeConv2d, activations: list[Tensor], backprops: Tensor) -> dict[nn.Parameter, Tensor]:
    """Grad sampler for Opacus: `conv_samples` by parameter."""
    return dict(zip(layer.parameters(recurse=False), conv_samples(layer, activations[0], backprops), strict=True))


#: value of `clipping` in a configuration -> clipper
CLIPPERS: dict[str, type[Clipper]] = {"hooks": HooksClipper, "ghost": GhostClipper}
