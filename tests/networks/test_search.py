"""Formats chosen by spikes: what they keep of random layers, that units change nothing, and which losses are errors."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.scripts import load_script

from spikeveil.host.networks.canonical_layer import canonical
from spikeveil.host.networks.float_model import FloatLayer, FloatNetwork
from spikeveil.host.networks.losses import SpikeLossError, unreachable
from spikeveil.host.networks.scales import LayerFormat, formatted_layer
from spikeveil.host.networks.search import Search, format_by_weights, quantise_network, unclipped_scale
from spikeveil.host.networks.spike_match import SpikeMatch
from spikeveil.pysim import LayerSpec, Leak, Network
from spikeveil.pysim.model import layer

SPARSE = load_script("sparse_layers")
NUMBERS = ("weights", "bias", "threshold", "initial", "reset_potential")


def random_network(seed: int) -> tuple[FloatNetwork, NDArray[np.bool_]]:
    """Two layers with biases, thresholds and leaks of their own, and input spikes."""
    rng = np.random.default_rng(seed)
    first = FloatLayer(
        rng.normal(0, 0.3, (12, 20)), rng.normal(0, 0.02, 12), 0.9, "subtract", rng.uniform(0.6, 1.2, 12), initial=0.3
    )
    second = FloatLayer(
        rng.normal(0, 0.5, (5, 12)), rng.normal(0, 0.02, 5), rng.uniform(0.7, 0.99, 5), "value", 1.0,
        reset_potential=-0.2,
    )  # fmt: skip
    return FloatNetwork((first, second)), rng.random((10, 40, 20)) < 0.15


def times(floats: FloatLayer, factor: float) -> FloatLayer:
    return replace(floats, **{name: np.asarray(getattr(floats, name), np.float64) * factor for name in NUMBERS})


@pytest.mark.parametrize("power", [*range(-12, 13, 3), -7, -1, 1, 7])
def test_a_scale_of_any_power_of_ten_changes_no_integer(power: int) -> None:
    for seed in range(3):
        network, x = random_network(seed)
        scaled = FloatNetwork(tuple(times(one, 10.0**power) for one in network.layers))
        plain = quantise_network(network, x).spec
        assert quantise_network(scaled, x).spec == plain and Network(plain).run(x).raw[-1].any()
        for before, after in zip(network.layers, scaled.layers, strict=True):
            assert layers_equal(formatted_layer(before, format_by_weights(before)),
                                formatted_layer(after, format_by_weights(after)))  # fmt: skip


def layers_equal(a: LayerSpec, b: LayerSpec) -> bool:
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in LayerSpec.__dataclass_fields__)


def test_multiples_of_one_number_become_those_integers_in_any_unit() -> None:
    rng = np.random.default_rng(5)
    integers = rng.integers(-100, 101, (6, 9))
    integers[0, 0] = 101
    x = rng.random((10, 30, 9)) < 0.3
    for unit in (1.0, 0.1, 3e-9, 2.0**20):
        floats = FloatLayer((integers * unit).astype(np.float32), np.zeros(6), 1.0, "zero", 300 * unit)
        found = quantise_network(FloatNetwork((floats,)), x)
        np.testing.assert_array_equal(found.spec.layers[0].weights, integers)
        assert found.spec.layers[0].threshold == 300 and found.spec.layers[0].fraction_bits == 0
        assert found.reports[0].match is not None and found.reports[0].match.exact_f1 == 1


def slice_of_layers(bits: int, seeds: range) -> list[dict[str, Any]]:
    return [
        SPARSE.measured(decay, rate, seed, weight_bits=bits)
        for decay in SPARSE.DECAYS
        for rate in SPARSE.RATES
        for seed in seeds
    ]


def test_random_sparse_layers_keep_their_spikes_in_8_bits(soak: bool) -> None:
    rows = slice_of_layers(8, range(12 if soak else 1))
    assert max(row["lost"] for row in rows) <= 0.1
    for decay, wanted in ((0.5, 0.97), (0.9, 0.94), (0.95, 0.92), (0.98, 0.91)):
        assert np.mean([row["exact_f1"] for row in rows if row["decay"] == decay]) >= wanted


def test_random_sparse_layers_in_4_bits_lose_no_more_than_unclipped_ones(soak: bool) -> None:
    for row in slice_of_layers(4, range(12 if soak else 1)):
        if row["lost"] > 0.3:
            floats, x = SPARSE.sparse_layer(row["decay"], row["rate"], row["seed"])
            unclipped = LayerFormat(unclipped_scale(floats.weights, 4), 4, 16, 4, 12, "nearest")
            match = SpikeMatch.of(floats.run(x), layer.run(x, formatted_layer(floats, unclipped)).raw)
            assert match.lost > 0.3


def test_no_scale_is_taken_that_is_worse_than_the_unclipped_one() -> None:
    for seed in range(6):
        floats, x = SPARSE.sparse_layer(0.95, 0.01, 100 + seed)
        for bits in (3, 4, 8):
            report = quantise_network(FloatNetwork((floats,)), x, weight_bits=bits, allow_loss=True).reports[0]
            unclipped = LayerFormat(unclipped_scale(floats.weights, bits), bits, 16, 4, 12, "nearest")
            match = SpikeMatch.of(floats.run(x), layer.run(x, formatted_layer(floats, unclipped)).raw)
            assert report.match is not None and report.match.f1 >= match.f1


def test_what_the_search_must_keep_is_kept() -> None:
    floats, x = SPARSE.sparse_layer(0.98, 0.05, 0)
    network = FloatNetwork((floats,))
    kept = quantise_network(network, x, search=Search(fraction_bits=3, leak_bits=10, rounding="nearest"))
    assert kept.spec.layers[0].fraction_bits == 3
    assert kept.spec.layers[0].leak == Leak.scale(round(0.98 * 1024), 10, "nearest")
    assert kept.reports[0].dead_band == (-25, 25)
    powers = quantise_network(network, x, search=Search(powers_of_two=True))
    assert np.ldexp(1.0, powers.exponents[0]) == powers.formats[0].scale
    with pytest.raises(ValueError, match=r"^scale must be a power of two to have an exponent, not "):
        _ = quantise_network(network, x).exponents


def test_a_narrow_state_takes_a_smaller_scale() -> None:
    floats, x = SPARSE.sparse_layer(0.9, 0.05, 1)
    found = quantise_network(FloatNetwork((floats,)), x, state_bits=8)
    assert found.reports[0].match is not None and found.reports[0].match.f1 > 0.8
    assert int(np.max(np.asarray(found.spec.layers[0].threshold))) < 128


def test_a_layer_that_falls_silent_is_an_error_with_its_reason() -> None:
    rng = np.random.default_rng(0)
    weights = np.full((3, 40), 0.01)
    weights[:, 0] = -1.0  # the one large weight takes all the bits
    floats = FloatLayer(weights, np.zeros(3), 1.0, "zero", 0.5)
    x = rng.random((4, 200, 40)) < 0.5
    x[:, :, 0] = False
    network = FloatNetwork((floats,))
    assert floats.run(x).any()
    with pytest.raises(SpikeLossError) as refusal:
        quantise_network(network, x, weight_bits=3, exponents=[1])
    assert str(refusal.value) == (
        "layer 0 must keep 50% of the float layer's spikes, and it is silent: no input can reach its threshold in "
        "3-bit weights and 16-bit potentials; --allow-loss accepts that"
    )
    allowed = quantise_network(network, x, weight_bits=3, exponents=[1], allow_loss=True)
    assert allowed.reports[0].match is not None and allowed.reports[0].match.lost == 1


def test_a_stated_share_may_be_lost() -> None:
    floats, x = SPARSE.sparse_layer(0.95, 0.01, 3)
    coarse = {"weight_bits": 3, "search": Search(fraction_bits=0, leak_bits=4, rounding="floor")}
    lost = quantise_network(FloatNetwork((floats,)), x, allow_loss=True, **coarse).reports[0].match
    assert lost is not None and 0.1 < lost.lost < 1
    with pytest.raises(SpikeLossError, match=r"^layer 0 must keep 95% of the float layer's spikes, and .* remain: "):
        quantise_network(FloatNetwork((floats,)), x, max_loss=0.05, **coarse)
    quantise_network(FloatNetwork((floats,)), x, max_loss=lost.lost, **coarse)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, False),  # 4 in each of many steps
        ({"leak": Leak.scale(0, 4)}, True),  # 4, and nothing stays
        ({"leak": Leak.scale(8, 4)}, True),  # at most 4 / (1 - 1/2)
        ({"leak": Leak.scale(12, 4)}, False),  # 16
        ({"leak": Leak.scale(0, 4), "bias": [6, 6]}, False),
        ({"leak": Leak.scale(0, 4), "fraction_bits": 2}, False),
        ({"leak": Leak.scale(8, 4), "initial": [14, 14]}, False),
        ({"leak": Leak.scale(8, 4), "input_cap": 1}, True),
    ],
)
def test_thresholds_that_no_input_reaches(changes: dict[str, Any], expected: bool) -> None:
    spec = LayerSpec(**({"weights": [[3, 1, -5], [1, 3, -9]], "threshold": 10} | changes))
    assert unreachable(spec).tolist() == [expected, expected]
    if not expected:
        x = np.zeros((1, 60, 3), np.bool_)
        x[:, :, :2] = True
        assert layer.run(x, spec).raw.any()


def test_canonical_layers_have_units_of_their_own() -> None:
    grid, factor = canonical(FloatLayer([[0.3, -0.1], [0.2, 0.0]], [0.05, 0.0], 1.0, "zero", 0.7))
    np.testing.assert_array_equal(grid.weights, [[3, -1], [2, 0]])
    assert factor == pytest.approx(10) and grid.threshold == 7.0 and grid.bias[0] == 0.5
    free, _ = canonical(FloatLayer([[0.31, -0.1234567], [0.2, 0.0]], [0.0, 0.0], 1.0, "zero", 0.7))
    assert np.abs(free.weights).max() == 1
