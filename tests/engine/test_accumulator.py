"""Sums of weights in any order, exact at the extremes, and on time."""

from typing import Any

import numpy as np
import pytest
from support.component import run

from spikeveil.hdl.engine.accumulator import Accumulator, lane_rows, pack_fields
from spikeveil.pysim.model.lanes import rows
from spikeveil.pysim.model.spec import LayerSpec


@pytest.mark.parametrize("lanes", [1, 2, 5, 8])
@pytest.mark.parametrize("extreme", [-128, 127, None])
def test_sums_four_cycles_after_the_last_work(lanes: int, extreme: int | None) -> None:
    rng = np.random.default_rng(lanes)
    weights = rng.integers(-128, 128, (7, 9)) if extreme is None else np.full((7, 9), extreme)
    spec = LayerSpec(weights, threshold=1)
    dut: Any = Accumulator(spec, lanes=lanes)
    count, bits = rows(7, lanes), spec.accumulator_bits
    visits = [(row, rng.permutation(9)[: rng.integers(0, 10)] if extreme is None else range(9)) for row in range(count)]

    async def bench(ctx: Any) -> None:
        due: dict[int, list[int]] = {}
        jobs = [
            (row, index, place == 0, place == max(1, len(active)) - 1, not len(active), active)
            for row, active in visits
            for place, index in enumerate(active if len(active) else [0])
        ]
        for cycle, (row, index, first, last, empty, active) in enumerate([*jobs, *[jobs[-1]] * 5]):
            fields = {"valid": 1, "address": row * 9 + int(index), "first": first, "last": last}
            for name, value in {**fields, "empty": empty}.items():
                ctx.set(getattr(dut.work, name), int(value))
            if last and cycle < len(jobs):
                wanted = weights[row * lanes : (row + 1) * lanes, list(active)].sum(axis=1, dtype=int)
                due[cycle + 4] = wanted.tolist()
            if cycle in due:
                packed = ctx.get(dut.sums)
                got = [packed >> bits * lane & (1 << bits) - 1 for lane in range(lanes)]
                expected = due.pop(cycle)
                assert got[: len(expected)] == [value & (1 << bits) - 1 for value in expected]
            await ctx.tick()
        assert not due

    run(dut, bench)


def test_sums_are_just_wide_enough() -> None:
    """Nine weights of -128 need 12 bits, of 127 too; eight of -128, as only eight inputs count, are -1024: 11 bits."""
    assert LayerSpec(np.full((1, 9), -128), threshold=1).accumulator_bits == 12
    assert LayerSpec(np.full((1, 9), 127), threshold=1).accumulator_bits == 12
    assert LayerSpec(np.full((1, 9), -128), threshold=1, input_cap=8).accumulator_bits == 11
    mixed = LayerSpec([[5, -3, 4, -2, 1]], threshold=1, input_cap=2)
    assert mixed.current_range == (-5, 9)


def test_packing_puts_the_first_value_lowest_and_fills_the_last_row() -> None:
    assert pack_fields([1, -1, 2], 4) == 0x2F1
    assert lane_rows([1, 2, 3], 2, fill=9).tolist() == [[1, 2], [3, 9]]
