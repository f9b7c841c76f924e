"""Quantisation of an ANN by the same quantisers as an SNN: weights and biases on the integer grids of `quantise`.

An ANN is never exported, because a chip computes spikes: this is for comparisons of SNN and ANN at equal weight bits.
Activations stay floats.
"""

import copy
from collections.abc import Sequence
from typing import Any

from torch import nn

from spikeveil.host.networks.scales import fitting_exponent
from spikeveil.host.training.layers import TimeConv2d, weighted
from spikeveil.host.training.network import SpikingNetwork
from spikeveil.host.training.quantise import Grid, QuantConv2d, QuantLinear


def quantised_ann(network: SpikingNetwork, *, weight_bits: int | Sequence[int] = 8) -> SpikingNetwork:
    """A copy of an ANN whose weights and biases are rounded in the forward pass; train it on as any torch module.

    - `weight_bits`: 2 to 8, one for all layers or one for each layer with weights, readout last.

    The scale of a layer is the largest power of two that cuts none of its weights. It depends on weights alone, so that
    it costs no privacy after DP-SGD. Raises ValueError for an SNN, or another number of `weight_bits`.
    """
    if network.architecture.kind != "ann":
        raise ValueError("network kind must be 'ann': an SNN is quantised by `quantised`")
    twin = copy.deepcopy(network)
    owners = [module for module in (*twin.layers, twin.readout) if weighted(module)]
    widths = [weight_bits] * len(owners) if isinstance(weight_bits, int) else list(weight_bits)
    if len(widths) != len(owners):
        raise ValueError(f"weight_bits must be {len(owners)}, one for each layer with weights, not {len(widths)}")
    for owner, bits in zip(owners, widths, strict=True):
        owner.weights = _rounded(owner.weights, bits)
    return twin


def _rounded(weights: Any, bits: int) -> nn.Module:
    exponent = fitting_exponent(weights.weight.detach().flatten(1).numpy(), bits)
    grid = Grid(int(exponent), bits)
    return QuantConv2d.of(weights, grid) if isinstance(weights, TimeConv2d) else QuantLinear.of(weights, grid)
