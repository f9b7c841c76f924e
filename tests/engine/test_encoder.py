"""Rows to events: literal sequences, the cap, cycle counts, and the stream laws under stalls."""

from typing import Any

import numpy as np
import pytest
from support.backends import NO_STALLS, Stalls
from support.component import play
from support.strategies import EVERY_OTHER

from spikeveil.hdl.engine.encoder import Encoder
from spikeveil.hdl.engine.spikes import SpikeEvent, SpikeRow, index_bits
from spikeveil.pysim.model.lanes import rows

PATTERNS = [NO_STALLS, Stalls(o=EVERY_OTHER), Stalls(i=0x9249_2492_4924_9249), Stalls(0xF0, 0xFFFF_0000_F00F_3333)]


def words(steps: Any, lanes: int) -> list[int]:
    """Steps of spikes (steps, inputs) as rows; the last step ends the record."""
    found = []
    for number, step in enumerate(steps):
        count = rows(len(step), lanes)
        for row in range(count):
            bits = sum(int(spike) << lane for lane, spike in enumerate(step[row * lanes : (row + 1) * lanes]))
            last = row == count - 1
            ends = {"step_end": last, "record_end": last and number == len(steps) - 1}
            found.append(SpikeRow(lanes).const({"bits": bits, **ends}).as_value().value)
    return found


def events(taken: list[tuple[int, int]], inputs: int) -> list[int | str]:
    """Indices, `.` for a step's end and `;` for a record's."""
    width = index_bits(inputs)
    ends = {1: ".", 3: ";"}
    return [ends[value >> width] if value >> width else value for _, value in taken]


@pytest.mark.parametrize("stalls", PATTERNS)
def test_lowest_input_first_then_the_marker(stalls: Stalls) -> None:
    steps = [[1, 0, 1, 1, 0, 0, 1], [0] * 7, [0, 0, 0, 0, 0, 0, 1]]
    for lanes in (1, 2, 3, 7, 8):
        got = events(play(Encoder(inputs=7, lanes=lanes), words(steps, lanes), stalls=stalls), 7)
        assert got == [0, 2, 3, 6, ".", ".", 6, ";"]


@pytest.mark.parametrize("stalls", PATTERNS)
def test_cap_drops_the_highest_inputs_of_each_step(stalls: Stalls) -> None:
    steps = [[1] * 7, [0, 1, 1, 0, 0, 1, 0], [0, 0, 0, 0, 0, 0, 1], [1] * 7]
    for lanes in (1, 3, 4, 7):
        got = events(play(Encoder(inputs=7, lanes=lanes, cap=2), words(steps, lanes), stalls=stalls), 7)
        assert got == [0, 1, ".", 1, 2, ".", 6, ".", 0, 1, ";"]


def test_bits_beyond_the_inputs_are_no_events() -> None:
    garbage = SpikeRow(4).const({"bits": 0b1110, "step_end": 1, "record_end": 0}).as_value().value
    first = SpikeRow(4).const({"bits": 0b1000, "step_end": 0, "record_end": 0}).as_value().value
    assert events(play(Encoder(inputs=6, lanes=4), [first, garbage]), 6) == [3, 5, "."]


@pytest.mark.parametrize("inputs", [1, 16, 45])
@pytest.mark.parametrize("lanes", [1, 4, 16, 64])
@pytest.mark.parametrize("cap", [None, 1, 9])
def test_random_steps_take_no_longer_than_promised(inputs: int, lanes: int, cap: int | None) -> None:
    rng = np.random.default_rng(inputs * 1000 + lanes)
    cap = cap and min(cap, inputs)
    steps = rng.random((4, inputs)) < np.array([[0.0], [1.0], [0.3], [0.6]])
    expected: list[int | str] = []
    for step in steps:
        expected += [*np.flatnonzero(step)[:cap].tolist(), "."]
    expected[-1] = ";"
    taken = play(Encoder(inputs=inputs, lanes=min(lanes, inputs)), words(steps, min(lanes, inputs)))
    if cap is None:
        assert events(taken, inputs) == expected
        assert taken[-1][0] <= 2 + sum(rows(inputs, min(lanes, inputs)) + step.sum() + 1 for step in steps)
    capped = play(Encoder(inputs=inputs, lanes=min(lanes, inputs), cap=cap), words(steps, min(lanes, inputs)))
    assert events(capped, inputs) == expected


def test_event_layout_has_room_for_every_input() -> None:
    assert [SpikeEvent(inputs)["index"].shape.width for inputs in (1, 2, 3, 64, 65)] == [1, 1, 2, 6, 7]
