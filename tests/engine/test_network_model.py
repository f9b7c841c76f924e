"""The golden model of a network: held against plain Python integers, and its flips against the ciphers' words."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from spikeveil.pysim import (
    FlipSpec,
    LayerSpec,
    Leak,
    Lfsr,
    LfsrSource,
    Network,
    NetworkSpec,
    Trivium,
    TriviumSource,
)

KEY = bytes.fromhex("80000000000000000000")
SEEDS = [3**70, 5**40, 7**30]


def leaked(v: int, leak: Leak) -> int:
    """Floor division in place of shifts."""
    if leak.kind == "shift":
        return v - v // 2**leak.shift_by
    return v * leak.factor // 2**leak.shift_by if leak.kind == "scale" else v


def one_layer(spec: LayerSpec, record: list[list[int]]) -> tuple[list[list[int]], list[list[int]], list[list[int]]]:
    """Raw spikes, spikes within the limits and potentials of one record: one neuron, one synapse at a time."""
    low, high = -(2 ** (spec.state_bits - 1)), 2 ** (spec.state_bits - 1) - 1
    weights = spec.weights.tolist()
    bias = [0] * spec.neurons if spec.bias is None else spec.bias.tolist()
    thresholds = None if spec.threshold is None else np.broadcast_to(spec.threshold, spec.neurons).tolist()
    v = [0] * spec.neurons
    raws, limiteds, potentials = [], [], []
    left = spec.neurons * len(record) if spec.spike_limit is None else spec.spike_limit
    for step in record:
        active = [i for i, x in enumerate(step) if x][: spec.input_cap]
        raw, limited = [0] * spec.neurons, [0] * spec.neurons
        room = spec.neurons if spec.step_spike_limit is None else spec.step_spike_limit
        for n in range(spec.neurons):
            u = leaked(v[n], spec.leak) + bias[n]
            for i in active:
                u += weights[n][i]
            if thresholds is not None and u >= thresholds[n]:
                raw[n] = 1
                u = 0 if spec.reset == "zero" else u - thresholds[n]
                if left and room:
                    limited[n], left, room = 1, left - 1, room - 1
            v[n] = min(max(u, low), high)
        raws.append(raw)
        limiteds.append(limited)
        potentials.append(list(v))
    return raws, limiteds, potentials


def flipped(
    spec: LayerSpec, layer: int, flipper: int, spikes: list[list[int]], kind: str, lease: int, record: int
) -> list[list[int]]:
    """Draw j = t*N + n of the record's stream decides neuron n of step t."""
    if spec.flip is None:
        return spikes
    draws = len(spikes) * spec.neurons
    if kind == "trivium":
        iv = bytes([layer]) + lease.to_bytes(5, "big") + record.to_bytes(4, "big")
        words = Trivium(KEY, iv).words(draws, spec.flip.bits).tolist()
    else:
        words = Lfsr(SEEDS[flipper]).words((record + 1) * draws, spec.flip.bits).tolist()[record * draws :]
    return [
        [s ^ (words[t * spec.neurons + n] < spec.flip.threshold) for n, s in enumerate(step)]
        for t, step in enumerate(spikes)
    ]


@st.composite
def layers(draw: st.DrawFn, inputs: int, last: bool) -> LayerSpec:
    """Any layer: small sizes, every leak, reset, limit and cap, narrow and wide states."""
    neurons, bits, state = draw(st.integers(1, 9)), draw(st.integers(2, 8)), draw(st.integers(2, 20))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    half, theta = 1 << (bits - 1), draw(st.sampled_from([2, 1 << (bits - 1), 1 << min(state, 10)]))
    readout = last and draw(st.booleans())
    width = draw(st.integers(1, 16))
    optional = {
        "spike_limit": draw(st.none() | st.integers(1, 12)),
        "step_spike_limit": draw(st.none() | st.integers(1, neurons)),
        "flip": draw(st.none() | st.builds(FlipSpec, st.integers(1, 1 << (width - 1)), st.just(width))),
    }
    return LayerSpec(
        generator.integers(-half, half, (neurons, inputs)),
        None if readout else generator.integers(1, theta + 1, neurons) if draw(st.booleans()) else theta,
        draw(
            st.just(Leak.none())
            | st.builds(Leak.shift, st.integers(1, 31))
            | st.integers(1, 16).flatmap(lambda f: st.builds(Leak.scale, st.integers(0, 1 << f), st.just(f)))
        ),
        draw(st.sampled_from(["zero", "subtract"])),
        bias=generator.integers(-theta, theta + 1, neurons) if draw(st.booleans()) else None,
        state_bits=state,
        weight_bits=bits,
        input_cap=draw(st.none() | st.integers(1, inputs)),
        readout=readout,
        **({} if readout else optional),
    )


@st.composite
def networks(draw: st.DrawFn) -> NetworkSpec:
    depth, inputs = draw(st.integers(1, 3)), draw(st.integers(1, 12))
    chain: list[LayerSpec] = []
    for index in range(depth):
        chain.append(draw(layers(chain[-1].neurons if chain else inputs, index == depth - 1)))
    return NetworkSpec(chain)


@settings(derandomize=True, deadline=None, max_examples=150)
@given(
    networks(),
    st.sampled_from(["trivium", "lfsr"]),
    st.integers(1, 4),
    st.integers(1, 7),
    st.integers(0, 2**40 - 1),
    st.integers(0, 5),
    st.integers(0, 2**32 - 1),
)
def test_model_equals_plain_integers(
    spec: NetworkSpec, kind: str, records: int, steps: int, lease: int, first: int, seed: int
) -> None:
    generator = np.random.default_rng(seed)
    x = generator.random((records, steps, spec.inputs)) < generator.random()
    source = TriviumSource(KEY) if kind == "trivium" else LfsrSource(SEEDS[: len(spec.flipped)])
    result = Network(spec, source).run(x, lease=lease, first_record=first)
    for record in range(records):
        sent = x[record].astype(int).tolist()
        flipper = 0
        for index, layer in enumerate(spec.layers):
            raw, limited, potentials = one_layer(layer, sent)
            sent = flipped(layer, index, flipper, limited, kind, lease, first + record)
            flipper += layer.flip is not None
            for ours, theirs in ((result.raw, raw), (result.limited, limited), (result.sent, sent)):
                np.testing.assert_array_equal(ours[index][record], np.array(theirs, bool))
            np.testing.assert_array_equal(result.potentials[index][record], potentials)
        if result.readout is None:
            assert result.released is not None
            np.testing.assert_array_equal(result.released[record], np.array(sent, bool))
        else:
            assert result.released is None
            np.testing.assert_array_equal(result.readout[record], potentials)


def relay(neurons: int, **changes: Any) -> LayerSpec:
    """Neurons that repeat their inputs."""
    return LayerSpec(**({"weights": np.eye(neurons, dtype=int), "threshold": 1} | changes))


SILENCE = np.zeros((1, 4, 2), bool)


def test_flips_by_hand_from_the_official_keystream() -> None:
    """Set 1, vector 0 of the eSTREAM suite (key 8000..., IV 0) begins 38EB86FF730D7A9C: record 0 of lease 0 in layer 0.

    Words of 8 bits under 128 for 2 neurons over 4 steps: 38 flips, EB, 86 and FF do not, 73, 0D and 7A do, 9C does not.
    """
    wide = NetworkSpec([relay(2, flip=FlipSpec(128, 8))])
    released = Network(wide, TriviumSource(KEY)).run(SILENCE, lease=0).released
    assert released is not None
    assert released[0].astype(int).tolist() == [[1, 0], [0, 0], [1, 1], [1, 0]]
    # words of 4 bits take the low half of a byte first: 8 3 B E 6 8 F F, of which only 3 is under 5
    narrow = Network(NetworkSpec([relay(2, flip=FlipSpec(5, 4))]), TriviumSource(KEY)).run(~SILENCE, lease=0).released
    assert narrow is not None
    assert narrow[0].astype(int).tolist() == [[1, 0], [1, 1], [1, 1], [1, 1]]


def test_a_flip_touches_neither_the_neuron_nor_its_debug_spikes() -> None:
    spec = LayerSpec([[2]], 3, flip=FlipSpec(128, 8))
    bare = Network(NetworkSpec([LayerSpec([[2]], 3)])).run(np.ones((3, 9, 1), int))
    result = Network(NetworkSpec([spec]), TriviumSource(KEY)).run(np.ones((3, 9, 1), int), lease=1)
    np.testing.assert_array_equal(result.raw[0], bare.raw[0])
    np.testing.assert_array_equal(result.potentials[0], bare.potentials[0])
    assert result.released is not None and (result.released != result.raw[0]).any()


@pytest.mark.parametrize("source", [TriviumSource(KEY), LfsrSource(SEEDS[:2])], ids=["trivium", "lfsr"])
def test_records_may_be_run_in_any_portions(source: TriviumSource | LfsrSource) -> None:
    spec = NetworkSpec([relay(5, flip=FlipSpec(69, 8)), relay(5, flip=FlipSpec(17_626, 16))])
    x = np.random.default_rng(1).random((7, 6, 5)) < 0.5
    network = Network(spec, source)
    whole = network.run(x, lease=3, first_record=10).released
    parts = [network.run(x[a:b], lease=3, first_record=10 + a).released for a, b in ((0, 1), (1, 5), (5, 7))]
    assert whole is not None
    np.testing.assert_array_equal(np.concatenate([part for part in parts if part is not None]), whole)
    other = network.run(x, lease=3, first_record=11).released
    assert other is not None and (other != whole).any()


def test_the_next_layer_sees_released_spikes() -> None:
    spec = NetworkSpec([relay(2, flip=FlipSpec(128, 8)), LayerSpec([[1, 10]], readout=True)])
    readout = Network(spec, TriviumSource(KEY)).run(SILENCE, lease=0).readout
    assert readout is not None
    assert readout[0, :, 0].tolist() == [1, 1, 12, 13]  # the flips of the keystream above, added up


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint8, np.int32, np.uint64])
def test_any_integer_type_of_spikes_will_do(dtype: type) -> None:
    x: NDArray[Any] = np.array([[[0, 1], [1, 1]]], dtype)
    released = Network(NetworkSpec([relay(2)])).run(x).released
    assert released is not None and released.dtype == np.bool_ and released.flags.c_contiguous
    np.testing.assert_array_equal(released, x.astype(bool))
    np.testing.assert_array_equal(Network(NetworkSpec([relay(2)])).run(x.tolist()).released, released)


@pytest.mark.parametrize(
    ("spikes", "sentence"),
    [
        (np.zeros((3, 2), int), "spikes must have shape (records, steps, 2), not (3, 2)"),
        (np.zeros((1, 3, 4), int), "spikes must have shape (records, steps, 2), not (1, 3, 4)"),
        (np.zeros((1, 3, 2)), "spikes must have a bool or integer dtype, not float64"),
        (np.full((1, 1, 2), "1"), "spikes must have a bool or integer dtype, not <U1"),
        ([[[0, 2]]], "spikes must be 0 or 1, not 2"),
        ([[[-1, 1]]], "spikes must be 0 or 1, not -1"),
    ],
)
def test_refused_spikes(spikes: Any, sentence: str) -> None:
    with pytest.raises(ValueError) as caught:
        Network(NetworkSpec([relay(2)])).run(spikes)
    assert str(caught.value) == sentence


def test_refused_networks_and_runs() -> None:
    private = NetworkSpec([relay(2, flip=FlipSpec(69, 8))])
    flipping = Network(private, TriviumSource(KEY))
    for make, sentence in (
        (lambda: Network("net"), "network spec must be a NetworkSpec, not 'net'"),  # type: ignore[arg-type]
        (lambda: Network(private), "network source must be given for the 1 randomised layers, not None"),
        (lambda: Network(private, LfsrSource(SEEDS)), "LFSR seeds must be 1, one a flipper, not 3"),
        (
            lambda: flipping.run(SILENCE),
            "run lease must be given for a network with a flipper (layer 0), not None",
        ),
        (
            lambda: flipping.run(SILENCE, lease=-1),
            "lease must be 0 to 1099511627775, not -1",
        ),
        (
            lambda: flipping.run(SILENCE, lease=0, first_record=2**32),
            "record must be 0 to 4294967295, not 4294967296",
        ),
    ):
        with pytest.raises(ValueError) as caught:
            make()
        assert str(caught.value) == sentence


def test_no_records_give_no_records() -> None:
    private = NetworkSpec([relay(2, flip=FlipSpec(69, 8))])
    for source in (TriviumSource(KEY), LfsrSource(SEEDS[:1])):
        released = Network(private, source).run(np.zeros((0, 4, 2), bool), lease=0).released
        assert released is not None and released.shape == (0, 4, 2)


def test_no_lease_is_needed_without_a_flipper() -> None:
    assert Network(NetworkSpec([relay(2)])).run(SILENCE).released is not None
