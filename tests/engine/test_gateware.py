"""Literal expectations, each for the golden model, Amaranth's simulator and Verilator: a wrong model hides nowhere."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support.backends import BACKENDS, NO_STALLS, Rows, Stalls, golden, verilator
from support.strategies import EVERY_OTHER

from spikeveil.hdl.engine.plan import Plan
from spikeveil.host.cosim.job import LeasePorts
from spikeveil.pysim.model import LayerSpec, Leak, NetworkSpec
from spikeveil.pysim.model.flipper import FlipSpec

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
