"""Flips a second: spikes in, flipped spikes out, at one flip probability; both word sources against two baselines."""

import time
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from sc_neurocore.privacy import SpikeLevelDP

from benchmarks import Row
from spikeveil.pysim.flipper import FlipSpec, release
from spikeveil.pysim.source import LfsrSource, TriviumSource, WordSource

SHAPE = (1000, 4096)
RECORDS = 256
SPIKES = SHAPE[0] * SHAPE[1]
ROUNDS = 9
FLIP = FlipSpec.for_epsilon(1.0)


def in_turn(functions: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Wall seconds of each function's fastest call, over rounds in which they take turns, so that all see one load."""
    best = dict.fromkeys(functions, float("inf"))
    for _ in range(1 + ROUNDS):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            best[name] = min(best[name], time.perf_counter() - start)
    return best


def ours(source: WordSource, spikes: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The released spikes of a flipped layer; each row of `spikes` is a record."""
    records, count = spikes.shape
    masks = source.masks(FLIP, flipper=0, layer=0, lease=0, first_record=0, records=records, count=count)
    return release(spikes, masks)


def rows() -> Iterator[Row]:
    """Lfsr over 1000 x 4096 spikes and Trivium over 256 records, as many spikes in all."""
    spikes = np.random.default_rng(2026).random(SHAPE) < 0.2
    records = spikes.reshape(RECORDS, -1)
    lfsr, trivium, generator = LfsrSource.generate(1), TriviumSource.generate(), np.random.default_rng()
    privatize = SpikeLevelDP(epsilon=1.0).privatize
    seconds = in_turn(
        {
            "lfsr": lambda: ours(lfsr, spikes),
            "trivium": lambda: ours(trivium, records),
            "privatize": lambda: privatize(spikes),
            "pcg64": lambda: spikes ^ (generator.integers(0, 1 << 16, SHAPE, np.uint16) < FLIP.threshold),
        }
    )
    rate = {name: SPIKES / value for name, value in seconds.items()}
    for name, title, target in (("lfsr", "Lfsr", 10.0), ("trivium", f"Trivium, {RECORDS} records", 2.0)):
        for baseline, named, least in (("privatize", "SpikeLevelDP.privatize", target), ("pcg64", "NumPy PCG64", None)):
            yield Row(
                f"flips: {title}", "flips/s", rate[name], rate[baseline], named, rate[name] / rate[baseline], least
            )
