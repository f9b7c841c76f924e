"""A layer over whole records: exact currents, input caps, spike limits, by hand."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from spikeveil.pysim import LayerSpec
from spikeveil.pysim.model import layer


def spikes(*records: list[str]) -> NDArray[np.bool_]:
    """Records of steps, each step a word of digits."""
    return np.array([[[digit == "1" for digit in step] for step in record] for record in records])


def words(array: NDArray[np.bool_]) -> list[list[str]]:
    return [["".join("01"[int(s)] for s in step) for step in record] for record in array]


def relay(**changes: Any) -> LayerSpec:
    """Four neurons that repeat their four inputs."""
    return LayerSpec(**({"weights": np.eye(4, dtype=int), "threshold": 1} | changes))


def test_potentials_start_at_zero_in_every_record() -> None:
    counter = LayerSpec([[2, -1]], 5, reset="subtract", bias=[1])
    trace = layer.run(spikes(["10", "11", "01", "00"], ["10", "11", "01", "00"]), counter)
    # u = v + 2a - b + 1: 3; 5 fires, 0; 0; 1
    assert trace.potentials[:, :, 0].tolist() == [[3, 0, 0, 1]] * 2
    assert words(trace.raw) == [["0", "1", "0", "0"]] * 2
    assert trace.limited is not None and words(trace.limited) == words(trace.raw)


@pytest.mark.parametrize(
    ("cap", "counted"), [(1, [8, 4, 2, 0]), (2, [12, 6, 3, 0]), (3, [14, 7, 3, 0]), (4, [15, 7, 3, 0])]
)
def test_input_cap_counts_the_first_spikes_by_index_in_every_step(cap: int, counted: list[int]) -> None:
    """Inputs weigh 8, 4, 2, 1 and the readout forgets nothing, so differences show which counted."""
    spec = LayerSpec([[8, 4, 2, 1]], readout=True, input_cap=cap)
    trace = layer.run(spikes(["1111", "0111", "0011", "0000"]), spec)
    assert np.diff(trace.potentials[0, :, 0], prepend=0).tolist() == counted


@pytest.mark.parametrize(
    ("limits", "passed"),
    [
        ({}, ["0110", "1111", "0001", "1001"]),
        ({"spike_limit": 1}, ["0100", "0000", "0000", "0000"]),
        ({"spike_limit": 2}, ["0110", "0000", "0000", "0000"]),
        ({"spike_limit": 5}, ["0110", "1110", "0000", "0000"]),
        ({"spike_limit": 6}, ["0110", "1111", "0000", "0000"]),
        ({"spike_limit": 7}, ["0110", "1111", "0001", "0000"]),
        ({"spike_limit": 8}, ["0110", "1111", "0001", "1000"]),
        ({"step_spike_limit": 1}, ["0100", "1000", "0001", "1000"]),
        ({"step_spike_limit": 3}, ["0110", "1110", "0001", "1001"]),
        ({"step_spike_limit": 3, "spike_limit": 6}, ["0110", "1110", "0001", "0000"]),  # suppressed ones use no room
        ({"step_spike_limit": 1, "spike_limit": 3}, ["0100", "1000", "0001", "0000"]),
    ],
)
def test_spike_limits_pass_the_first_by_step_and_index(limits: dict[str, int], passed: list[str]) -> None:
    steps = ["0110", "1111", "0001", "1001"]
    trace = layer.run(spikes(steps, ["0000"] * 3 + ["1000"], steps), relay(**limits))
    assert words(trace.raw)[0] == steps
    assert words(trace.limited) == [passed, ["0000"] * 3 + ["1000"], passed]  # each record has its own room


def test_a_suppressed_spike_still_resets_its_neuron() -> None:
    spec = LayerSpec([[3], [3]], 5, reset="subtract", spike_limit=1)
    trace = layer.run(spikes(["1", "1", "1", "1"]), spec)
    assert trace.potentials[0].tolist() == [[3, 3], [1, 1], [4, 4], [2, 2]]
    assert words(trace.raw) == [["00", "11", "00", "11"]]
    assert words(trace.limited) == [["00", "10", "00", "00"]]


def test_currents_are_exact_where_float32_is_not() -> None:
    """140,000 weights of 127 sum to more than 2^24, where float32 knows even numbers only."""
    count = 140_000
    weights = np.full((2, count), 127)
    weights[1, 0] = 126
    spec = LayerSpec(weights, 1000, state_bits=31)
    total = layer.current(np.ones((1, count), bool), spec)
    assert total.tolist() == [[127 * count, 127 * count - 1]]


def test_a_partial_sum_may_leave_float32_even_where_the_whole_does_not() -> None:
    weights = np.concatenate([np.full(140_000, 127), np.full(140_000, -127), [1]])[None]
    assert layer.current(np.ones((1, 280_001), bool), LayerSpec(weights, 5, state_bits=31)).tolist() == [[1]]


def test_long_records_are_computed_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(7)
    spec = LayerSpec(generator.integers(-128, 128, (9, 13)), 90, reset="subtract", spike_limit=40)
    x = generator.random((5, 31, 13)) < 0.4
    whole = layer.run(x, spec)
    monkeypatch.setattr(layer, "BLOCK_BYTES", 4 * 5 * (13 + 9) * 4)  # four steps
    parts = layer.run(x, spec)
    for name in ("raw", "limited", "potentials"):
        np.testing.assert_array_equal(getattr(parts, name), getattr(whole, name))
    assert whole.raw.any() and (whole.raw != whole.limited).any()


@pytest.mark.parametrize(("records", "steps"), [(0, 3), (3, 0), (0, 0)])
def test_nothing_in_nothing_out(records: int, steps: int) -> None:
    trace = layer.run(np.zeros((records, steps, 4), bool), relay(spike_limit=2))
    assert trace.raw.shape == trace.limited.shape == trace.potentials.shape == (records, steps, 4)
