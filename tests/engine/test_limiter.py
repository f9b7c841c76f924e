"""Contribution bounding, row by row, against its sentence: the first so many spikes pass."""

from typing import Any

import numpy as np
import pytest
from support.component import run

from spikeveil.hdl.engine.limiter import LATENCY, Limiter


@pytest.mark.parametrize("lanes", [1, 3, 8])
@pytest.mark.parametrize(("per_record", "per_step"), [(5, None), (None, 2), (5, 2), (2, 5), (1, 1), (1000, None)])
def test_the_first_spikes_pass(lanes: int, per_record: int | None, per_step: int | None) -> None:
    """Random rows with pauses; 2 rows a step, 4 steps a record; counted in Python, spike by spike."""
    rng = np.random.default_rng(lanes)
    rows = [(rng.random(lanes) < rng.choice([0.2, 1.0]), n % 2 == 1, n % 8 == 7) for n in range(48)]
    expected = []
    in_record, in_step = 0, 0
    for bits, step_end, record_end in rows:
        kept = []
        for spike in bits:
            passes = spike and in_record < (per_record or 1e9) and in_step < (per_step or 1e9)
            in_record, in_step = in_record + passes, in_step + passes
            kept.append(bool(passes))
        expected.append((sum(spike << lane for lane, spike in enumerate(kept)), step_end, record_end))
        in_step = 0 if step_end else in_step
        in_record = 0 if record_end else in_record

    dut: Any = Limiter(lanes=lanes, per_record=per_record, per_step=per_step)
    came: list[tuple[int, tuple[int, bool, bool]]] = []
    sent: list[int] = []

    async def bench(ctx: Any) -> None:
        waiting = list(rows)
        for cycle in range(120):
            valid = bool(waiting) and rng.random() < 0.7
            ctx.set(dut.i.valid, valid)
            bits, step_end, record_end = waiting[0] if valid else (np.ones(lanes), 1, 1)  # invalid rows count nothing
            ctx.set(dut.i.bits, sum(int(spike) << lane for lane, spike in enumerate(bits)))
            ctx.set(dut.i.step_end, int(step_end))
            ctx.set(dut.i.record_end, int(record_end))
            if valid:
                sent.append(cycle)
                waiting.pop(0)
            if ctx.get(dut.o.valid):
                came.append((cycle, (ctx.get(dut.o.bits), ctx.get(dut.o.step_end), ctx.get(dut.o.record_end))))
            await ctx.tick()
        assert not waiting

    run(dut, bench)
    assert [row for _, row in came] == expected
    assert [cycle for cycle, _ in came] == [cycle + LATENCY for cycle in sent]
