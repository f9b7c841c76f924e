"""The sum of clipped per-example gradients: the only thing that DP-SGD takes from the data.

Two ways to the same sum. `HooksClipper` has Opacus write out every example's gradient and scales it. `GhostClipper`
keeps what each layer saw and what came back to it, takes the norms from those (for a dense layer over T steps from two
T x T matrices: |sum_t g_t a_t'|^2 = sum_ts (g_t.g_s)(a_t.a_s)), and forms the clipped sum in one product: no gradient
of one example is ever written out for a dense layer, and no second backward pass is needed.
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
    """Norms and sum from what each layer saw and what came back; for `nn.Linear` and `TimeConv2d` alone."""

    def __init__(self, network: nn.Module, norm: float) -> None:
        super().__init__(network, norm)
        self.layers = weighted(network)
        for layer in self.layers:
            if type(layer) not in (nn.Linear, TimeConv2d):
                raise ValueError(f"clipping must be 'hooks' for a {type(layer).__name__} layer, not 'ghost'")

    def sums(self, x: Tensor, labels: Tensor, loss: Loss) -> list[Tensor]:
        with self._recorded() as records:
            loss(self.network(x), labels).sum().backward()
        parts = [_part(layer, *records[layer]) for layer in self.layers]
        factors = self.factors(torch.stack([part.squares() for part in parts]).sum(dim=0))
        found: dict[Any, Tensor] = {}
        for layer, part in zip(self.layers, parts, strict=True):
            found |= zip(layer.parameters(recurse=False), part.sums(factors), strict=False)
        return [found[parameter] for parameter in self.parameters]

    @contextmanager
    def _recorded(self) -> Any:
        """What went into each layer and what came back, while no parameter asks for its own gradient."""
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


class _Part(ABC):
    """One layer's gradients: `seen` went in, `back` is the loss's gradient at its output, both (batch, steps, ...)."""

    def __init__(self, layer: Any, seen: Tensor, back: Tensor) -> None:
        self.layer, self.seen, self.back = layer, seen, back

    @abstractmethod
    def squares(self) -> Tensor:
        """The squared norm of each example's gradient; (batch,)."""

    @abstractmethod
    def sums(self, factors: Tensor) -> list[Tensor]:
        """The scaled sums, of the weights and of the bias."""


class _DensePart(_Part):
    def squares(self) -> Tensor:
        grams = [one @ one.mT for one in (self.seen, self.back)]
        squares = (grams[0] * grams[1]).sum(dim=(1, 2)).clamp(min=0)
        return squares if self.layer.bias is None else squares + self.back.sum(dim=1).square().sum(dim=1)

    def sums(self, factors: Tensor) -> list[Tensor]:
        back = self.back * factors[:, None, None]
        return [back.flatten(0, 1).mT @ self.seen.flatten(0, 1), back.sum(dim=(0, 1))]


class _WrittenPart(_Part):
    """Gradients written out for each example: few weights, used at many places."""

    def __init__(self, layer: Any, seen: Tensor, back: Tensor) -> None:
        super().__init__(layer, seen, back)
        self.samples = conv_samples(layer, seen, back)

    def squares(self) -> Tensor:
        return torch.stack([sample.flatten(1).square().sum(dim=1) for sample in self.samples]).sum(dim=0)

    def sums(self, factors: Tensor) -> list[Tensor]:
        return [torch.tensordot(factors, sample, 1) for sample in self.samples]


def _part(layer: nn.Module, seen: Tensor, back: Tensor) -> _Part:
    return (_DensePart if isinstance(layer, nn.Linear) else _WrittenPart)(layer, seen, back)


def conv_samples(layer: TimeConv2d, seen: Tensor, back: Tensor) -> list[Tensor]:
    """Each example's gradient of a `TimeConv2d`: (batch, O, C, k, k), and (batch, O) where it has a bias."""
    batch, steps = seen.shape[:2]
    columns = functional.unfold(seen.flatten(0, 1), layer.kernel_size, 1, layer.padding, layer.stride)
    columns = columns.view(batch, steps, *columns.shape[1:])
    weights = torch.einsum("ntop,ntcp->noc", back.flatten(3), columns).view(batch, *layer.weight.shape)
    return [weights] if layer.bias is None else [weights, back.sum(dim=(1, 3, 4))]


@register_grad_sampler(TimeConv2d)  # type: ignore[untyped-decorator]
def _for_opacus(layer: TimeConv2d, activations: list[Tensor], backprops: Tensor) -> dict[nn.Parameter, Tensor]:
    """Opacus' form of `conv_samples`."""
    return dict(zip(layer.parameters(recurse=False), conv_samples(layer, activations[0], backprops), strict=True))


#: the word in a configuration -> the way
CLIPPERS: dict[str, type[Clipper]] = {"hooks": HooksClipper, "ghost": GhostClipper}
