"""Flips a second: spikes in, flipped spikes out, at one flip probability; both word sources against two baselines."""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from numpy.typing import NDArray
from sc_neurocore.privacy import SpikeLevelDP

from benchmarks import Row, in_turn
from spikeveil.pysim.model.flipper import FlipSpec, release
from spikeveil.pysim.model.source import LfsrSource, TriviumSource, WordSource

SHAPE = (1000, 4096)
RECORDS = 256
SPIKES = SHAPE[0] * SHAPE[1]
WIDTHS = (16, 8)  # bits a decision: at epsilon 1 a spike, 8 bits realise 0.9965 and 16 realise 0.99995


def ours(source: WordSource, flip: FlipSpec, spikes: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The released spikes of a flipped layer; each row of `spikes` is a record."""
    records, count = spikes.shape
    masks = source.masks(flip, flipper=0, layer=0, lease=0, first_record=0, records=records, count=count)
    return release(spikes, masks)


def rows() -> Iterator[Row]:
    """Lfsr over 1000 x 4096 spikes and Trivium over 256 records, as many spikes in all."""
    spikes = np.random.default_rng(2026).random(SHAPE) < 0.2
    lfsr, trivium, generator = LfsrSource.generate(1), TriviumSource.generate(), np.random.default_rng()
    privatize = SpikeLevelDP(epsilon=1.0).privatize
    flips = {bits: FlipSpec.for_epsilon(1.0, bits) for bits in WIDTHS}
    timed: dict[str, Callable[[], object]] = {
        "privatize": lambda: privatize(spikes),
        "pcg64": lambda: spikes ^ (generator.integers(0, 1 << 16, SHAPE, np.uint16) < flips[16].threshold),
    }
    for bits, flip in flips.items():
        timed[f"Lfsr, {bits} bits a flip"] = partial(ours, lfsr, flip, spikes)
        timed[f"Trivium, {RECORDS} records, {bits} bits a flip"] = partial(
            ours, trivium, flip, spikes.reshape(RECORDS, -1)
        )
    rate = {name: SPIKES / value for name, value in in_turn(timed).items()}
    for name in list(rate)[2:]:
        target = 10.0 if name.startswith("Lfsr") else 2.0
        for baseline, named, least in (("privatize", "SpikeLevelDP.privatize", target), ("pcg64", "NumPy PCG64", None)):
            ratio = rate[name] / rate[baseline]
            yield Row(f"flips: {name}", "flips/s", rate[name], rate[baseline], named, ratio, least)
