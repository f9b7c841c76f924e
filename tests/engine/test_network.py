"""A whole network. Literal expectations hold the golden model, Amaranth's simulator and Verilator: a wrong model hides
nowhere. The model is held to plain Python integers too, and its flips to the ciphers' words.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from support.backends import BACKENDS, Rows, golden, verilator
from support.jobs import NO_STALLS, Stalls
from support.plain_network import flipped, one_layer
from support.strategies import EVERY_OTHER, networks

from spikeveil.hdl.engine.plan import Plan
from spikeveil.host.cosim import LeasePorts
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
ALWAYS = [[1], [1], [1], [1]]  # one record of an input that spikes in each of four steps
Run = Callable[..., Rows]


@pytest.fixture(params=BACKENDS, ids=lambda backend: backend.__name__)
def run(request: pytest.FixtureRequest) -> Run:
    """Run layers on one record of spikes, on each backend in turn; returns (steps, neurons)."""

    def run(*layers: LayerSpec, spikes: Any, lease: LeasePorts | None = None, **options: Any) -> Rows:
        plan = Plan(NetworkSpec(layers), **{"lanes": 2, "schedule": "fast", "unsafe": True, **options})
        rows = request.param(plan, np.array([spikes], np.bool_), lease or LeasePorts(), NO_STALLS)
        assert rows.shape[0] == 1
        return np.asarray(rows[0])

    return run


def test_saturates_at_both_ends_instead_of_wrapping(run: Run) -> None:
    layer = LayerSpec([[100], [-100], [1]], state_bits=8, readout=True)
    expected = [[100, -100, 1], [127, -128, 2], [127, -128, 3], [127, -128, 4]]
    assert run(layer, spikes=ALWAYS).tolist() == expected


def test_fires_at_the_threshold_and_keeps_what_is_above(run: Run) -> None:
    """Currents of 3 against thresholds 3, 4, 6, 7; reset by subtraction; neuron 4 falls and never fires."""
    layer = LayerSpec([[3], [3], [3], [3], [-100]], threshold=[3, 4, 6, 7, 1], reset="subtract", state_bits=8)
    expected = [[1, 0, 0, 0, 0], [1, 1, 1, 0, 0], [1, 1, 0, 1, 0], [1, 1, 1, 0, 0]]
    assert run(layer, spikes=ALWAYS).astype(int).tolist() == expected


def test_resets_to_zero_and_leaks_towards_minus_infinity(run: Run) -> None:
    """leak(v) = v - (v >> 1): 5 leaves 3, -5 leaves -2. Layer 1 fires at u = 7; layer 2 shows it."""
    first = LayerSpec([[5], [4]], threshold=7, leak=Leak.shift(1), bias=[0, -1])
    second = LayerSpec([[-5, 0], [0, 5]], leak=Leak.shift(1), readout=True)
    # neuron 0: 5, then 3 + 5 = 8 fires; 5, 8 fires. neuron 1 (3 a step): 3, 5, 6, 6: no spike
    assert run(first, second, spikes=ALWAYS).tolist() == [[0, 0], [-5, 0], [-2, 0], [-6, 0]]


def test_scaled_leak_floors_the_product(run: Run) -> None:
    """leak(v) = (51 v) >> 8, as lambda = 0.2: of 127, 25; of -128, -26; and 25 + 127 saturates at 8 bits."""
    layer = LayerSpec([[127, 0], [-128, 0]], leak=Leak.scale(51, 8), state_bits=8, readout=True)
    spikes = [[1, 0], [0, 1], [0, 0], [1, 0]]
    assert run(layer, spikes=spikes).tolist() == [[127, -128], [25, -26], [4, -6], [127, -128]]


def test_limits_and_caps_count_from_the_lowest_index(run: Run) -> None:
    """Five neurons that always fire, two a step and five a record may pass; of three inputs only the first counts."""
    layer = LayerSpec(np.repeat([[1, 1, 1]], 5, axis=0), threshold=1, spike_limit=5, step_spike_limit=2, input_cap=1)
    spikes = [[1, 1, 1], [0, 1, 0], [0, 0, 0], [0, 1, 1], [1, 0, 0]]
    expected = [[1, 1, 0, 0, 0], [1, 1, 0, 0, 0], [0, 0, 0, 0, 0], [1, 0, 0, 0, 0], [0, 0, 0, 0, 0]]
    assert run(layer, spikes=spikes).astype(int).tolist() == expected
    weighted = LayerSpec([[1, 2, 4], [-1, -2, -4]], input_cap=2, readout=True)
    assert run(weighted, spikes=spikes[:4]).tolist() == [[3, -3], [5, -5], [5, -5], [11, -11]]


def test_lfsr_flips_by_the_bits_of_its_seed(run: Run) -> None:
    """With one-bit words and threshold 1 a zero flips, and the first 127 words of the stream are the seed."""
    layer = LayerSpec(np.zeros((5, 1), int), threshold=1, flip=FlipSpec(1, 1))
    seed = 0b0_11010_00110_10101_00001
    released = run(layer, spikes=ALWAYS, source="lfsr", lease=LeasePorts(seeds=(seed,)))
    assert released.astype(int).tolist() == [[0, 1, 1, 1, 1], [0, 1, 0, 1, 0], [1, 0, 0, 1, 1], [1, 0, 1, 0, 0]]


def test_trivium_flips_by_the_official_keystream(run: Run) -> None:
    """eSTREAM set 1, vector 0: IV 0 is record 0 of lease 0 in layer 0. Bytes below 0x80 flip; neurons 0 and 3 fire."""
    keystream = bytes.fromhex("38EB86FF730D7A9CAF8DF13A4420540DBB7B6514")
    layer = LayerSpec([[1], [0], [0], [1], [0]], threshold=1, flip=FlipSpec(0x80, 8))
    released = run(layer, spikes=ALWAYS, source="trivium", lease=LeasePorts(key=0x80 << 72), schedule="private")
    flips = np.array([byte < 0x80 for byte in keystream]).reshape(4, 5)
    assert released.tolist() == (flips ^ [True, False, False, True, False]).tolist()


@pytest.mark.verilator
@pytest.mark.parametrize("schedule", ["private", "fast"])
def test_a_network_of_every_kind_of_layer(schedule: Any, subtests: pytest.Subtests) -> None:
    """One design on many jobs: rates of input, stalls, leases and first records."""
    rng = np.random.default_rng(5)
    spec = NetworkSpec(
        [
            LayerSpec(
                rng.integers(-32, 32, (37, 43)),
                threshold=rng.integers(1, 90, 37),
                leak=Leak.shift(2),
                reset="subtract",
                bias=rng.integers(-30, 30, 37),
                state_bits=8,
                weight_bits=6,
                flip=FlipSpec(5, 5),
                spike_limit=60,
            ),
            LayerSpec(rng.choice([-8, 7], (21, 37)), threshold=9, weight_bits=4, flip=FlipSpec(1, 2), input_cap=11),
            LayerSpec(rng.integers(-128, 128, (10, 21)), leak=Leak.scale(200, 8), state_bits=9, readout=True),
        ]
    )
    plan = Plan(spec, lanes=8, schedule=schedule)
    jobs = [
        (0.5, 2, NO_STALLS, LeasePorts(number=1, key=1 << 79)),
        (
            1.0,
            1,
            Stalls(i=EVERY_OTHER, o=0xFFFF_FFFF_0000_FFFF),
            LeasePorts(number=(1 << 40) - 1, record=255, key=12345),
        ),
        (0.1, 3, Stalls(i=(1 << 60) - 1, o=1), LeasePorts(record=(1 << 32) - 3, key=(1 << 80) - 1)),
    ]
    for rate, records, stalls, lease in jobs:
        with subtests.test(rate=rate):
            spikes = rng.random((records, 3, 43)) < rate
            expected = golden(plan, spikes, lease)
            assert len(np.unique(expected)) > 5
            np.testing.assert_array_equal(verilator(plan, spikes, lease, stalls), expected)


WORST = {  # all inputs spike, in the patterns that make one stage after the other the slowest
    "1 lane, 16-bit words": Plan(
        NetworkSpec([LayerSpec(np.full((70, 70), 127), threshold=1, flip=FlipSpec(1, 16))]), lanes=1
    ),
    "rows beyond a queue, a cap, a wide last layer": Plan(
        NetworkSpec(
            [
                LayerSpec(np.full((66, 3), 1), threshold=1, flip=FlipSpec(1, 5)),
                LayerSpec(np.full((70, 66), 1), threshold=1, input_cap=2, bias=np.arange(70) % 2),
                LayerSpec(np.full((2, 70), 1), threshold=60, flip=FlipSpec(1 << 15)),
            ]
        ),
        lanes=3,
    ),
}


@pytest.mark.verilator
@pytest.mark.parametrize("plan", WORST.values(), ids=WORST.keys())
def test_the_worst_case_is_never_late(plan: Plan) -> None:
    """A core that is late shuts for good, so all records came in time: 24 records of one step, keyed anew for each."""
    spikes = np.ones((24, 1, plan.spec.inputs), np.bool_)
    spikes[3::4] = False
    spikes[8:12:2] = False
    lease = LeasePorts(number=4, key=99)
    np.testing.assert_array_equal(verilator(plan, spikes, lease), golden(plan, spikes, lease))


def record_words(
    spec: LayerSpec, layer: int, flipper: int, steps: int, kind: str, lease: int, record: int
) -> list[int]:
    """The words that a record's draws get, cut out of the cipher's or the register's stream."""
    if spec.flip is None:
        return []
    draws, bits = steps * spec.neurons, spec.flip.bits
    if kind == "trivium":
        iv = bytes([layer]) + lease.to_bytes(5, "big") + record.to_bytes(4, "big")
        return [int(word) for word in Trivium(KEY, iv).words(draws, bits)]
    return [int(word) for word in Lfsr(SEEDS[flipper]).words((record + 1) * draws, bits)[record * draws :]]


@settings(derandomize=True, deadline=None, max_examples=150)
@given(
    networks(most_layers=3, sizes=st.integers(1, 12)),
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
            words = record_words(layer, index, flipper, steps, kind, lease, first + record)
            sent = flipped(layer, limited, words)
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


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint8, np.int32, np.uint64, np.float32, np.float64])
def test_any_numeric_type_of_spikes_is_accepted(dtype: type) -> None:
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
        (np.full((1, 3, 2), 0.5), "spikes must be 0 or 1, not 0.5"),
        (np.full((1, 3, 2), np.nan), "spikes must be 0 or 1, not nan"),
        (np.zeros((1, 3, 2), complex), "spikes must be numbers or bool, not of type complex128"),
        (np.full((1, 1, 2), "1"), "spikes must be numbers or bool, not of type <U1"),
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
