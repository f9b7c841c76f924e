"""Sums of a row handed on some at a time: which, when, and no more than there are neurons."""

from typing import Any

import numpy as np
import pytest
from support.component import run

from spikeveil.hdl.engine.sum_folder import SUMS_LATENCY, SumFolder
from spikeveil.pysim.model.lanes import LayerLanes


@pytest.mark.parametrize(
    ("neurons", "lanes", "scan"), [(8, 4, 4), (8, 4, 2), (8, 4, 1), (7, 4, 2), (5, 4, 1), (3, 3, 1)]
)
@pytest.mark.parametrize("gap", [0, 3])
def test_parts_follow_in_order_each_with_its_sums(neurons: int, lanes: int, scan: int, gap: int) -> None:
    """Two steps; rows end as close to each other as they may, or `gap` cycles further apart."""
    bits, fold = 6, lanes // scan
    dut: Any = SumFolder(neurons=neurons, inputs=3, layer_lanes=LayerLanes(lanes, scan), bits=bits)
    rows, parts = -(-neurons // lanes), -(-neurons // scan)
    rng = np.random.default_rng(neurons * scan)
    sums = rng.integers(0, 1 << bits, (2, rows, lanes))
    ends = {(step * rows + row) * (fold + gap): (step, row) for step in range(2) for row in range(rows)}
    shown: list[tuple[int, int, int, int]] = []
    taken: dict[int, list[int]] = {}

    async def bench(ctx: Any) -> None:
        for cycle in range(max(ends) + fold + SUMS_LATENCY + 2):
            step, row = ends.get(cycle, (0, 0))
            ctx.set(dut.work.valid, cycle in ends)
            ctx.set(dut.work.last, cycle in ends)
            ctx.set(dut.work.step_end, row == rows - 1)
            ctx.set(dut.work.record_end, step == 1 and row == rows - 1)
            due = ends.get(cycle - SUMS_LATENCY)
            packed = 0 if due is None else sum(int(value) << bits * place for place, value in enumerate(sums[due]))
            ctx.set(dut.sums, packed)
            if cycle - SUMS_LATENCY in taken:
                part = ctx.get(dut.part)
                taken[cycle - SUMS_LATENCY] += [part >> bits * place & (1 << bits) - 1 for place in range(scan)]
            if ctx.get(dut.o.valid):
                shown.append((cycle, *(ctx.get(dut.o[name]) for name in ("row", "step_end", "record_end"))))
                taken[cycle] = []
            await ctx.tick()

    run(dut, bench)
    assert [row for _, row, _, _ in shown] == [*range(parts)] * 2
    assert [end for _, _, end, _ in shown] == ([0] * (parts - 1) + [1]) * 2
    assert [end for _, _, _, end in shown] == [0] * (2 * parts - 1) + [1]
    first = [cycle for cycle, row, _, _ in shown if row == 0]
    assert first[0] == (0 if fold == 1 else 1)
    for step in range(2):
        cycles = [cycle for cycle, *_ in shown[step * parts : (step + 1) * parts]]
        got = np.array([taken[cycle] for cycle in cycles]).reshape(-1)[:neurons]
        np.testing.assert_array_equal(got, sums[step].reshape(-1)[:neurons])
