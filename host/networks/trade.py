"""Bits of weights and potentials chosen together: the least memory that reaches a wanted F1, and the other choices."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeveil.host.networks.float_model import FloatNetwork
from spikeveil.host.networks.losses import SpikeLossError
from spikeveil.host.networks.search import Quantised, Search, quantise_network

WEIGHT_BITS = (8, 6, 5, 4, 3, 2)
STATE_BITS = (16, 12, 10, 8)


@dataclass(frozen=True, eq=False)
class TradeRow:
    """One choice of bits for all layers, and what it keeps.

    | field | meaning |
    |---|---|
    | `weight_bits`, `state_bits` | of every layer |
    | `memory_bits` | of all weights and potentials |
    | `f1` | the least F1 of a layer that fires; the least correlation where only a readout is there |
    | `leak_bits`, `fraction_bits` | the most that a layer uses; leak bits 0 where no leak is a fraction |
    | `quantised` | the network |
    """

    weight_bits: int
    state_bits: int
    memory_bits: int
    f1: float
    leak_bits: int
    fraction_bits: int
    quantised: Quantised

    def to_dict(self) -> dict[str, Any]:
        """The row as plain data, without the network."""
        names = ("weight_bits", "state_bits", "fraction_bits", "leak_bits", "memory_bits", "f1")
        return {name: getattr(self, name) for name in names}


def format_trade(
    network: FloatNetwork,
    spikes: NDArray[np.bool_],
    *,
    weight_bits: Sequence[int] = WEIGHT_BITS,
    state_bits: Sequence[int] = STATE_BITS,
    search: Search | None = None,
) -> list[TradeRow]:
    """A row for each choice of bits, the least memory first; `spikes` as for `quantise_network`.

    Choices at which a layer falls silent or loses half of its spikes are left out.
    """
    rows = []
    for bits, state in product(weight_bits, state_bits):
        try:
            found = quantise_network(network, spikes, weight_bits=bits, state_bits=state, search=search)
        except SpikeLossError:
            continue
        rows.append(_row(bits, state, found))
    return sorted(rows, key=lambda row: (row.memory_bits, -row.f1))


def smallest(rows: Sequence[TradeRow], f1: float) -> TradeRow:
    """The first row that reaches `f1`. ValueError, which names the best, where none does."""
    for row in rows:
        if row.f1 >= f1:
            return row
    best = max((row.f1 for row in rows), default=0.0)
    raise ValueError(f"f1 must be within reach of some choice of bits, at most {best:.3f}, not {f1}")


def _row(weight_bits: int, state_bits: int, found: Quantised) -> TradeRow:
    layers = found.spec.layers
    scores = [report.match.f1 for report in found.reports if report.match is not None]
    return TradeRow(
        weight_bits,
        state_bits,
        sum(layer.weights.size * weight_bits + layer.neurons * state_bits for layer in layers),
        min(scores or [report.score for report in found.reports]),
        max(layer.leak.shift_by if layer.leak.kind == "scale" else 0 for layer in layers),
        max(layer.fraction_bits for layer in layers),
        found,
    )
