"""The sum of clipped per-example gradients: the only quantity that DP-SGD computes from the training data.

`HooksClipper` materialises every example's gradient with Opacus' hooks and scales it. `GhostClipper` records the input
and the output gradient of each layer and computes the norms from them. For a dense layer over T steps,
|sum_t g_t a_t'|^2 = sum_ts (g_t.g_s)(a_t.a_s), from two T x T matrices. The clipped sum is then one matrix product: a
dense layer's per-example gradients are never materialised, and no second backward pass is needed.
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

#: what norms are taken to be larger by, so that no rounding of float32 lets an example weigh more than the clip
MARGIN = 1e-4

Loss = Callable[[Tensor, Tensor], Tensor]


class Clipper(ABC):
    """Clips to `norm` (L2, over all parameters together) and adds up."""

    def __init__(self, network: nn.Module, norm: float) -> None:
        self.network, self.norm = network, norm
        self.parameters = [one for one in network.parameters() if one.requires_grad]

    @abstractmethod
    def sums(self, x: Tensor, labels: Tensor, loss: Loss) -> list[Tensor]:
        """For every parameter the sum over the examples of min(1, norm / |g|) g / (1 + MARGIN); one example or more.

        loss(scores, labels) gives one number an example and must not mix examples.
        Raises FloatingPointError where a gradient is not finite: no clip bounds it.
        """

    def factors(self, squares: Tensor) -> Tensor:
        """What each example's gradient is scaled by, from its squared norm; (batch,)."""
        if not bool(torch.isfinite(squares).all()):
            raise FloatingPointError("a per-example gradient is not finite, so that no clipping bounds it")
        return (self.norm / (squares.sqrt() * (1 + MARGIN)).clamp(min=1e-30)).clamp(max=1 / (1 + MARGIN))


class HooksClipper(Clipper):
    """Every example's gradient, written out by Opacus' hooks; for any layer that has a grad sampler there."""

    def __init__(self, network: nn.Module, norm: float) -> None:
        super().__init__(network, norm)
        self.module = GradSampleModule(network)

    def sums(self, x: Tensor, labels: Tensor, loss: Loss) -> list[Tensor]:
        # Opacus' hooks warn where a layer's input asks for no gradient
        loss(self.module(x.detach().requires_grad_()), labels).mean().backward()
        samples = [one.grad_sample for one in self.parameters]
        for parameter in self.parameters:
            parameter.grad_sample = parameter.grad = None
        squares = torch.stack([sample.flatten(1).square().sum(dim=1) for sample in samples]).sum(dim=0)
        factors = self.factors(squares)
        return [torch.tensordot(factors, sample, 1) for sample in samples]


class GhostClipper(Clipper):
    """Norms and sum from the inputs and output gradients of each layer; for `nn.Linear` and `TimeConv2d` alone."""

    def __init__(self, network: nn.Module, norm: float) -> None:
        super().__init__(network, norm)
        self.layers = weighted(network)
        for layer in self.layers:
            if type(layer) not in (nn.Linear, TimeConv2d):
                raise ValueError(f"clipping must be 'hooks' for a {type(layer).__name__} layer, not 'ghost'")

    def sums(self, x: Tensor, labels: Tensor, loss: Loss) -> list[Tensor]:
        with self._recorded() as records:
            loss(self.network(x), labels).sum().backward()
        parts = [_layer_gradients(layer, *records[layer]) for layer in self.layers]
        factors = self.factors(torch.stack([part.squares() for part in parts]).sum(dim=0))
        found: dict[Any, Tensor] = {}
        for layer, part in zip(self.layers, parts, strict=True):
            found |= zip(layer.parameters(recurse=False), part.sums(factors), strict=False)
        return [found[parameter] for parameter in self.parameters]

    @contextmanager
    def _recorded(self) -> Any:
        """Input and output gradient of each layer, recorded while no parameter asks for its own gradient."""
        records: dict[nn.Module, list[Tensor]] = {}

        def keep(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            if not output.requires_grad:
                output.requires_grad_()
            records[layer] = [inputs[0].detach()]
            output.register_hook(records[layer].append)

        handles = [layer.register_forward_hook(keep) for layer in self.layers]
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
        """The squared norm of each example's gradient; (batch,)."""

    @abstractmethod
    def sums(self, factors: Tensor) -> list[Tensor]:
        """The scaled sums, of the weights and of the bias."""


class _DenseGradients(_LayerGradients):
    def squares(self) -> Tensor:
        grams = [one @ one.mT for one in (self.inputs, self.output_gradients)]
        squares = (grams[0] * grams[1]).sum(dim=(1, 2)).clamp(min=0)
        return squares if self.layer.bias is None else squares + self.output_gradients.sum(dim=1).square().sum(dim=1)

    def sums(self, factors: Tensor) -> list[Tensor]:
        output_gradients = self.output_gradients * factors[:, None, None]
        return [output_gradients.flatten(0, 1).mT @ self.inputs.flatten(0, 1), output_gradients.sum(dim=(0, 1))]


class _ConvGradients(_LayerGradients):
    """Gradients written out for each example: few weights, used at many places."""

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
    """Each example's gradient of a `TimeConv2d`: (batch, O, C, k, k), and (batch, O) where it has a bias."""
    batch, steps = inputs.shape[:2]
    columns = functional.unfold(inputs.flatten(0, 1), layer.kernel_size, 1, layer.padding, layer.stride)
    columns = columns.view(batch, steps, *columns.shape[1:])
    gradients = output_gradients.flatten(3)
    weights = gradients[:, 0] @ columns[:, 0].mT
    for step in range(1, steps):  # one product over all steps would have to copy `columns`
        weights.baddbmm_(gradients[:, step], columns[:, step].mT)
    weights = weights.view(batch, *layer.weight.shape)
    return [weights] if layer.bias is None else [weights, output_gradients.sum(dim=(1, 3, 4))]


@register_grad_sampler(TimeConv2d)  # type: ignore[untyped-decorator]
def _for_opacus(layer: TimeConv2d, activations: list[Tensor], backprops: Tensor) -> dict[nn.Parameter, Tensor]:
    """Opacus' form of `conv_samples`."""
    return dict(zip(layer.parameters(recurse=False), conv_samples(layer, activations[0], backprops), strict=True))


#: the word in a configuration -> the way
CLIPPERS: dict[str, type[Clipper]] = {"hooks": HooksClipper, "ghost": GhostClipper}
