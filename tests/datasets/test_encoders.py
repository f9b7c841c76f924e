"""Encoders: hand-computed trains, and the laws that make a train even."""

from collections.abc import Callable
from fractions import Fraction
from math import ceil, floor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeveil.host.data import direct, encoder, latency, levels, load_digits, rate, spread


def trains(spikes: np.ndarray) -> list[str]:
    """The train of each pixel of the first record, as digits."""
    return ["".join("1" if s else "0" for s in train) for train in spikes[0].T]


@pytest.mark.parametrize(
    ("value", "at_phase_0", "at_phase_1", "at_phase_3"),
    [(0, "0000", "0000", "0000"), (1, "0001", "0010", "1000"), (2, "0101", "1010", "1010"),
     (3, "0111", "1110", "1011"), (4, "1111", "1111", "1111")],
)  # fmt: skip
def test_rate_trains_by_hand(value: int, at_phase_0: str, at_phase_1: str, at_phase_3: str) -> None:
    pixels = trains(rate([[value] * 5], 4, 4))
    assert (pixels[0], pixels[1], pixels[3], pixels[4]) == (at_phase_0, at_phase_1, at_phase_3, at_phase_0)


@pytest.mark.parametrize(("value", "count"), [(0, 0), (1, 1), (2, 1), (3, 2), (4, 2)])  # 0, 1/2, 1, 3/2, 2
def test_rate_rounds_halves_up(value: int, count: int) -> None:
    assert rate([[value]], 2, 4).sum() == count


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.integers(1, 40), st.integers(1, 255), st.data())
def test_rate_is_as_even_as_whole_steps_allow(steps: int, maximum: int, data: st.DataObject) -> None:
    """Round the circle of steps, any window of w of them holds w*c/steps spikes, rounded down or up."""
    values = data.draw(st.lists(st.integers(0, maximum), min_size=1, max_size=20))
    spikes = rate([values], steps, maximum)
    assert spikes.shape == (1, steps, len(values)) and spikes.dtype == np.bool_
    for value, train in zip(values, spikes[0].T.astype(int), strict=True):
        count = floor(Fraction(steps * value, maximum) + Fraction(1, 2))
        assert train.sum() == count
        for width in range(1, steps):
            windows = sum(np.roll(train, shift) for shift in range(width))
            fair = Fraction(width * count, steps)
            assert windows.min() >= floor(fair) and windows.max() <= ceil(fair)


@pytest.mark.parametrize(
    ("value", "train"), [(0, "00000"), (1, "00010"), (2, "00100"), (3, "01000"), (4, "10000")]
)  # fmt: skip
def test_latency_trains_by_hand(value: int, train: str) -> None:
    assert trains(latency([[value]], 5, 4)) == [train]


@pytest.mark.parametrize(("value", "step"), [(1, 2), (2, 1), (3, 1), (4, 0)])  # 3/2, 1, 1/2, 0: halves up
def test_latency_rounds_halves_up(value: int, step: int) -> None:
    assert latency([[value]], 3, 4)[0, :, 0].tolist() == [t == step for t in range(3)]


def test_one_step_holds_whatever_fires_at_all() -> None:
    assert trains(rate([[0, 7, 8, 255]], 1, 15 * 17)) == ["0", "0", "0", "1"]
    assert trains(latency([[0, 1, 255]], 1)) == ["0", "1", "1"]


@settings(derandomize=True, deadline=None, max_examples=30)
@given(st.integers(1, 1 << 16), st.integers(1, (1 << 16) - 1), st.integers(0, (1 << 16) - 1), st.integers(0, 9))
def test_rate_in_plain_integers_at_any_width(steps: int, maximum: int, value: int, pixel: int) -> None:
    """Where a product of phase and count would leave 32 bits too."""
    steps, value = max(1, steps // 16 if pixel else steps), value % (maximum + 1)
    spikes = rate([[value] * (pixel + 1)], steps, maximum)[0, :, pixel]
    count = (2 * steps * value + maximum) // (2 * maximum)
    phases = ((t + pixel) % steps for t in range(steps))
    assert spikes.tolist() == [(phase + 1) * count // steps > phase * count // steps for phase in phases]


@pytest.mark.parametrize(
    ("value", "planes"),  # of 3 levels above 0, lowest bit first: round(3 v / 6)
    [(0, "00"), (1, "10"), (2, "10"), (3, "01"), (4, "01"), (5, "11"), (6, "11")],
)
def test_direct_by_hand(value: int, planes: str) -> None:
    assert trains(direct([[value]], 3, 6, 2)) == [bit * 3 for bit in planes]


def test_one_plane_is_a_threshold() -> None:
    np.testing.assert_array_equal(direct([[0, 127, 128, 255]], 2), [[[0, 0, 1, 1]] * 2])


@pytest.mark.parametrize("bits", [1, 3, 8])
def test_direct_spikes_drive_what_the_levels_drive(bits: int) -> None:
    images = load_digits().test_images[:20]
    weights = np.random.default_rng(bits).normal(size=(5, 64)).astype(np.float32)
    expected = levels(images, 16, bits) @ weights.T
    for current in np.moveaxis(direct(images, 4, 16, bits) @ spread(weights, bits).T, 1, 0):
        np.testing.assert_allclose(current, expected, atol=1e-5)


def test_levels_reach_from_0_to_1_and_keep_eight_bits() -> None:
    np.testing.assert_array_equal(levels([np.arange(256)]), [np.arange(256, dtype=np.float32) / 255])
    assert levels([[0, 5, 16]], 16, 2).tolist() == [[0, np.float32(1 / 3), 1]]


def test_encoders_by_name() -> None:
    images = load_digits().test_images[:5]
    for name, encode in (("rate", rate), ("latency", latency), ("direct", direct)):
        np.testing.assert_array_equal(encoder(name, 8, 16)(images), encode(images, 8, 16))
    with pytest.raises(ValueError) as caught:
        encoder("phase", 8)
    assert str(caught.value) == "encoder must be one of 'rate', 'latency', 'direct', not 'phase'"
    with pytest.raises(ValueError) as caught:
        direct(images, 8, 16, 9)
    assert str(caught.value) == "encoder bits must be 1 to 8, not 9"


@pytest.mark.parametrize("encode", [rate, latency, direct])
@pytest.mark.parametrize(
    ("images", "steps", "maximum", "sentence"),
    [
        ([1, 2], 4, 4, "images must have shape (records, pixels), not (2,)"),
        ([[1.5]], 4, 4, "images must have an integer dtype, not float64"),
        ([[5]], 4, 4, "images must be 0 to 4, not 5"),
        ([[-1]], 4, 4, "images must be 0 to 4, not -1"),
        ([[1]], 0, 4, "encoder steps must be 1 to 65536, not 0"),
        ([[1]], 4, 0, "encoder maximum must be 1 to 65535, not 0"),
        ([[1]], 4.0, 4, "encoder steps must be an integer, not 4.0"),
    ],
)
def test_refusals(encode: Callable[..., object], images: object, steps: int, maximum: int, sentence: str) -> None:
    with pytest.raises(ValueError) as caught:
        encode(images, steps, maximum)
    assert str(caught.value) == sentence
