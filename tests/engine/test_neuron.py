"""A neuron's step, every leak and reset, by hand."""

from typing import Any

import numpy as np
import pytest

from spikeveil.pysim import LayerSpec, Leak
from spikeveil.pysim.model.neuron import leak, state_dtype, step


def neuron(**changes: Any) -> LayerSpec:
    """One neuron of 8-bit potential (-128 to 127) and threshold 10."""
    fields: dict[str, Any] = {"weights": [[1]], "threshold": 10, "state_bits": 8}
    return LayerSpec(**(fields | changes))


def one_step(spec: LayerSpec, v: int, current: int) -> tuple[bool, int]:
    kind = state_dtype(spec)
    s, after = step(np.array([[v]], kind), np.array([[current]], kind), spec)
    return bool(s[0, 0]), int(after[0, 0])


@pytest.mark.parametrize(
    ("decay", "v", "expected"),
    [
        (Leak.none(), 100, 100),
        (Leak.none(), -100, -100),
        (Leak.shift(1), 7, 4),  # 7 - 3
        (Leak.shift(1), -7, -3),  # -7 - (-4): the shift floors
        (Leak.shift(1), 1, 1),  # 1 - 0: a positive potential gets stuck at 1
        (Leak.shift(1), -1, 0),  # -1 - (-1): a negative one does not
        (Leak.shift(3), 100, 88),  # 100 - 12
        (Leak.shift(3), -100, -87),  # -100 - (-13)
        (Leak.shift(31), 127, 127),
        (Leak.shift(31), -128, -127),
        (Leak.scale(51, 8), 100, 19),  # 5100 / 256 = 19.9
        (Leak.scale(51, 8), -100, -20),  # -19.9
        (Leak.scale(51, 8), -1, -1),  # -0.2
        (Leak.scale(51, 8), 1, 0),
        (Leak.scale(0, 4), -128, 0),
        (Leak.scale(16, 4), -128, -128),
        (Leak.scale(1 << 16, 16), 127, 127),
    ],
)
def test_leaks_floor(decay: Leak, v: int, expected: int) -> None:
    assert leak(np.array([v], np.int64), decay).tolist() == [expected]


@pytest.mark.parametrize(
    ("reset", "v", "current", "fires", "after"),
    [
        ("zero", 4, 5, False, 9),  # one under the threshold
        ("zero", 4, 6, True, 0),  # at the threshold
        ("zero", 4, 100, True, 0),
        ("subtract", 4, 5, False, 9),
        ("subtract", 4, 6, True, 0),
        ("subtract", 4, 9, True, 3),
        ("subtract", 0, 25, True, 15),  # still over the threshold after the reset: one spike a step, no more
        ("zero", -20, 29, False, 9),
        ("zero", -20, 30, True, 0),
    ],
)
def test_threshold_and_reset(reset: str, v: int, current: int, fires: bool, after: int) -> None:
    assert one_step(neuron(reset=reset), v, current) == (fires, after)


@pytest.mark.parametrize(
    ("reset", "v", "current", "fires", "after"),
    [
        ("subtract", 127, 127, True, 127),  # 254 fires; 244 is over the top
        ("subtract", 100, 37, True, 127),  # 137 - 10 is just the top
        ("subtract", 100, 36, True, 126),
        ("zero", -128, -1, False, -128),
        ("zero", -128, -128, False, -128),
        ("zero", -128, 138, True, 0),  # no saturation before the comparison: -128 + 138 = 10
        ("subtract", -28, -100, False, -128),
        ("subtract", -28, -99, False, -127),
    ],
)
def test_only_what_is_kept_saturates(reset: str, v: int, current: int, fires: bool, after: int) -> None:
    wide = neuron(weights=[[127, 127]], reset=reset)
    assert one_step(wide, v, current) == (fires, after)


def test_a_threshold_above_what_the_state_holds_can_still_be_reached() -> None:
    spec = neuron(threshold=200)
    assert one_step(spec, 127, 72) == (False, 127)
    assert one_step(spec, 127, 73) == (True, 0)


def test_a_readout_saturates_and_never_fires() -> None:
    spec = neuron(threshold=None, readout=True)
    assert one_step(spec, 120, 7) == (False, 127)
    assert one_step(spec, 120, 8) == (False, 127)
    assert one_step(spec, -120, -9) == (False, -128)


def test_the_leak_comes_before_the_current() -> None:
    """(100 * 128) >> 8 = 50, and 50 - 41 = 9 is under the threshold; leaking 100 - 41 = 59 would not be."""
    assert one_step(neuron(leak=Leak.scale(128, 8)), 100, -41) == (False, 9)
    assert one_step(neuron(leak=Leak.shift(1)), 100, -40) == (True, 0)


def test_every_neuron_has_its_own_threshold() -> None:
    for reset, after in (("zero", [9, 0, 0, 0]), ("subtract", [9, 0, 4, 8])):
        spec = LayerSpec(np.ones((4, 1), int), [10, 9, 5, 1], reset=reset)  # type: ignore[arg-type]
        s, v = step(np.zeros((1, 4), np.int32), np.full((1, 4), 9, np.int32), spec)
        assert (s.tolist(), v.tolist()) == ([[False, True, True, True]], [after])


@pytest.mark.parametrize("reset", ["zero", "subtract"])
def test_no_intermediate_overflows_at_the_widest(reset: str) -> None:
    """31-bit potentials and a scale of 2^16 need 47 bits inside; the sums need 32."""
    spec = LayerSpec([[127]], 2**31 - 1, Leak.scale(1 << 16, 16), reset, state_bits=31)  # type: ignore[arg-type]
    assert state_dtype(spec) is np.int64
    assert one_step(spec, 2**30 - 1, 127) == (False, 2**30 - 1)
    assert one_step(spec, -(2**30), -128) == (False, -(2**30))
    plain = LayerSpec([[127]], 2**30 + 126, reset=reset, state_bits=31)  # type: ignore[arg-type]
    assert state_dtype(plain) is np.int32
    assert one_step(plain, 2**30 - 1, 127) == (True, 0)
