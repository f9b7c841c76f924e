"""Encoders: hand-computed trains, and the laws that make a train even."""

from collections.abc import Callable
from fractions import Fraction
from math import ceil, floor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikeveil.host.data import latency, rate


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


@pytest.mark.parametrize("encode", [rate, latency])
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
