"""A flipper as a torch module: randomised response on the spikes of a layer during training."""

from typing import Any

import torch
from torch import Tensor, nn

from spikeveil.pysim.model import checks
from spikeveil.pysim.model.flipper import FlipSpec


class FlipLayer(nn.Module):  # type: ignore[misc]
    """Flips each spike (0 or 1, any shape) with probability p = k / 2^w; a tap of `SpikingNetwork`.

    The gradient is that of the expectation p + (1 - 2p) s (straight-through): what the next layer's debiased weights,
    which grew by 1 / (1 - 2p), bring back to the size it would have without a flipper. `open` lets spikes pass
    unchanged. The flips are training noise from torch's global generator: what leaves a chip is drawn by
    `spikeveil.pysim`, never here.
    """

    def __init__(self, flip: FlipSpec) -> None:
        super().__init__()
        self.flip: FlipSpec = checks.instance("flipper flip", flip, FlipSpec)
        self.open = False

    def forward(self, spikes: Tensor) -> Tensor:
        if self.open:
            return spikes
        words = torch.randint(0, 1 << self.flip.bits, spikes.shape)
        flipped: Tensor = _Flipped.apply(spikes, words < self.flip.threshold, 1 - 2 * float(self.flip.flip_probability))
        return flipped

    def debiased(self, released: Tensor) -> Tensor:
        """Unbiased estimates (y - p) / (1 - 2p) of the raw spikes behind released ones."""
        p = 0.0 if self.open else float(self.flip.flip_probability)
        return (released - p) / (1 - 2 * p)


class _Flipped(torch.autograd.Function):  # type: ignore[misc]
    @staticmethod
    def forward(ctx: Any, spikes: Tensor, mask: Tensor, slope: float) -> Tensor:
        ctx.slope = slope
        return torch.where(mask, 1 - spikes, spikes)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return gradient * ctx.slope, None, None


def flip_layers(network: nn.Module) -> list[FlipLayer]:
    """Every flipper of a network."""
    return [module for module in network.modules() if isinstance(module, FlipLayer)]
