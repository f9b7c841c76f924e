"""Fewer bits: exact where nothing is rounded, within the new bits everywhere."""

import numpy as np
import pytest

from spikeveil.host.networks.coarser import with_fewer_bits
from spikeveil.pysim import Decision, LayerSpec, Leak, Network, NetworkSpec

RNG = np.random.default_rng(11)


def network(weights: object, **more: object) -> NetworkSpec:
    layer = LayerSpec(weights, 40, Leak.shift(3), "subtract", bias=np.arange(6) * 8, **more)  # type: ignore[arg-type]
    return NetworkSpec([layer, LayerSpec(RNG.integers(-8, 8, (4, 6)), 20)], decision=Decision(4, 5, 6), steps=9)


def test_weights_that_are_multiples_keep_every_spike() -> None:
    """Weights of 8 bits that are multiples of 16 fit 4 bits; the potential keeps its unit."""
    spec = network(16 * RNG.integers(-8, 8, (6, 5)))
    coarse = with_fewer_bits(spec, weight_bits=4)
    assert [layer.weight_bits for layer in coarse.layers] == [4, 4] and coarse.layers[0].fraction_bits == 4
    assert (coarse.decision, coarse.steps) == (spec.decision, spec.steps)
    x = RNG.random((20, 9, 5)) < 0.5
    for ours, theirs in zip(_raw(coarse, x), _raw(spec, x), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def _raw(spec: NetworkSpec, x: object) -> tuple[object, ...]:
    return Network(NetworkSpec(spec.layers)).run(x).raw


@pytest.mark.parametrize("weight_bits", [2, 4, 6])
def test_rounded_weights_are_the_nearest(weight_bits: int) -> None:
    spec = network(RNG.integers(-128, 128, (6, 5)))
    layer, before = with_fewer_bits(spec, weight_bits).layers[0], spec.layers[0]
    step = 1 << layer.fraction_bits
    error = np.abs(layer.weights * step - before.weights)
    assert layer.weight_bits == weight_bits and (error[before.weights < 127 - step] <= step / 2).all()
    np.testing.assert_array_equal(layer.bias, before.bias)


def test_potentials_lose_fraction_bits_and_no_more() -> None:
    spec = network(16 * RNG.integers(-8, 8, (6, 5)), initial=np.full(6, 16))
    narrow = with_fewer_bits(spec, 4, 13).layers[0]
    assert (narrow.state_bits, narrow.fraction_bits, narrow.threshold) == (13, 1, 5)
    assert narrow.bias is not None and narrow.bias.tolist() == [0, 1, 2, 3, 4, 5] and narrow.initial is not None
    assert narrow.initial.tolist() == [2] * 6
    kept = with_fewer_bits(spec, 4, 13).layers[1]  # no fraction bits: it saturates earlier, and nothing else changes
    assert (kept.state_bits, kept.fraction_bits, kept.threshold) == (13, 0, 20)
    with pytest.raises(ValueError, match="layer 1 threshold must fit 5 state bits, not 20"):
        with_fewer_bits(spec, 4, 5)


def test_nothing_to_take_changes_nothing() -> None:
    spec = network(RNG.integers(-8, 8, (6, 5)))
    assert with_fewer_bits(spec) == with_fewer_bits(spec, 8, 16) == spec
