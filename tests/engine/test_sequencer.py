"""The order of work and its cost in cycles: every row visits every event, a row's visits keep their distance."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from support.component import run

from spikeveil.hdl.engine.sequencer import Sequencer
from spikeveil.hdl.engine.spikes import SpikeEvent


def work(
    steps: list[list[int]], *, inputs: int, rows: int, distance: int = 7, grant: float = 1.0
) -> list[dict[str, int]]:
    """The work that the events of `steps`, one record, become: its fields and its cycle."""
    dut: Any = Sequencer(inputs=inputs, rows=rows, capacity=inputs, revisit_cycles=distance)
    rng = np.random.default_rng(1)
    layout = SpikeEvent(inputs)
    words = []
    for number, step in enumerate(steps):
        words += [layout.const({"index": index, "step_end": 0, "record_end": 0}) for index in step]
        words.append(layout.const({"index": 0, "step_end": 1, "record_end": number == len(steps) - 1}))
    done: list[dict[str, int]] = []

    async def bench(ctx: Any) -> None:
        waiting, row = list(words), 0
        for cycle in range(60 + 2 * distance * len(steps) + 4 * rows * (len(words) + 1)):
            ctx.set(dut.i.valid, bool(waiting))
            if waiting:
                ctx.set(dut.i.payload, waiting[0])
            ctx.set(dut.grant, int(rng.random() < grant))
            if ctx.get(dut.o.valid):
                fields = ("address", "first", "last", "empty", "record_start", "step_end", "record_end")
                done.append({"cycle": cycle, "row": row, **{name: ctx.get(getattr(dut.o, name)) for name in fields}})
                row = 0 if done[-1]["last"] and done[-1]["step_end"] else row + done[-1]["last"]
            if waiting and ctx.get(dut.i.ready):
                waiting.pop(0)
            await ctx.tick()
        assert not waiting

    run(dut, bench)
    return done


def test_each_row_visits_every_event_of_the_step() -> None:
    done = work([[0, 2], [], [1]], inputs=3, rows=2)
    assert [(w["row"], w["address"]) for w in done if not w["empty"]] == [
        *[(0, 0), (0, 2), (1, 3), (1, 5)],
        *[(0, 1), (1, 4)],
    ]
    assert [w["row"] for w in done] == [0, 0, 1, 1, 0, 1, 0, 1]
    assert [w["first"] for w in done] == [1, 0, 1, 0, 1, 1, 1, 1]
    assert [w["last"] for w in done] == [0, 1, 0, 1, 1, 1, 1, 1]
    assert [w["record_start"] for w in done] == [1, 1, 1, 1, 0, 0, 0, 0]
    assert [w["step_end"] for w in done] == [0, 0, 1, 1, 0, 1, 0, 1]
    assert [w["record_end"] for w in done] == [0, 0, 0, 0, 0, 0, 0, 1]


@pytest.mark.parametrize("rows", [1, 2, 6, 7, 11])
@pytest.mark.parametrize("count", [0, 1, 2, 9])
def test_a_step_costs_rows_times_spikes_and_at_most_eight_more(rows: int, count: int) -> None:
    """In steady state, events waiting: exactly rows * max(1, s) + 1, or the distance where that is more."""
    done = work([list(range(count))] * 6, inputs=9, rows=rows)
    starts = [w["cycle"] for w in done if w["first"] and w["row"] == 0]
    period = set(np.diff(starts[2:]).tolist())
    wait_for_events = count + 1  # a step's events come in at one a cycle
    assert period == {max(rows * max(1, count) + max(1, 7 - rows), wait_for_events)}
    assert max(period) <= count * rows + rows + 8


@pytest.mark.parametrize("rows", [1, 3, 8])
def test_visits_of_a_row_keep_their_distance_and_never_pause(rows: int) -> None:
    steps = [[0], [], [], [0, 1, 2], [2], [], [1, 2]]
    for grant in (1.0, 0.3):
        done = work(steps, inputs=3, rows=rows, grant=grant)
        assert len(done) == rows * sum(max(1, len(step)) for step in steps)
        for row in range(rows):
            ends = [w["cycle"] for w in done if w["row"] == row and w["last"]]
            assert len(ends) == len(steps)
            assert all(after - before >= 7 for before, after in pairwise(ends))
        for before, after in pairwise(done):
            assert before["last"] or after["cycle"] == before["cycle"] + 1
