"""Throughput on a workload: arithmetic on cycles."""

import pytest
from support.fake_tools import PLAN

from spikeveil.host.bitstream.workload import Workload, timing


def test_timing_is_arithmetic() -> None:
    figures = timing(PLAN, 50e6, Workload(steps=10, activity=0.5))
    assert figures["operations_per_step"] == 4 * 6
    assert figures["private"]["cycles_per_step"] == PLAN.cadence
    assert figures["private"]["microseconds_per_inference"] == pytest.approx(PLAN.cadence * 10 / 50)
    assert figures["fast"]["cycles_per_step"] == 2 * 4 + 1  # two rows of four lanes, four input spikes
    assert figures["fast"]["synaptic_operations_per_second"] == pytest.approx(24 * 50e6 / 9)
    for wrong, sentence in (
        ((0, 0.5), "steps must be at least 1, not 0"),
        ((1, 2.0), "activity must be 0 to 1, not 2.0"),
    ):
        with pytest.raises(ValueError, match=sentence):
            Workload(*wrong)
