"""Output rows to bytes: by hand, and against the twin."""

from typing import Any

import numpy as np
import pytest
from support.backends import NO_STALLS, Stalls
from support.component import play, run
from support.strategies import EVERY_OTHER

from spikeveil.hdl.device.pack import Packer
from spikeveil.hdl.engine.plan import Plan
from spikeveil.pysim.device import pack as model
from spikeveil.pysim.model.spec import LayerSpec, NetworkSpec


def plan(outputs: int, lanes: int, state_bits: int | None = None) -> Plan:
    """Spikes, or with `state_bits` potentials."""
    shown: dict[str, Any] = {"threshold": 1} if state_bits is None else {"state_bits": state_bits, "readout": True}
    layer = LayerSpec(np.zeros((outputs, 1), int), weight_bits=2, **shown)
    return Plan(NetworkSpec([layer]), lanes=lanes, unsafe=True)


def rows(plan: Plan, steps: np.ndarray[Any, Any]) -> list[int]:
    """Steps (steps, outputs) as the payloads of the packer's input; lanes without a neuron are all ones."""
    last = plan.spec.layers[-1]
    bits, lanes = last.state_bits if last.readout else 1, plan.o_lanes
    words = []
    for step in steps:
        for start in range(0, len(step), lanes):
            fields = [int(value) & ((1 << bits) - 1) for value in step[start : start + lanes]]
            fields += [(1 << bits) - 1] * (lanes - len(fields))
            word = sum(field << (bits * place) for place, field in enumerate(fields))
            words.append(word | (start + lanes >= len(step)) << (bits * lanes))
    return words


def test_bytes_by_hand() -> None:
    """Neuron 0 is bit 0 of byte 0; a step of 10 has two bytes; potentials of 5 bits lie side by side."""
    spikes = np.array([[1, 0, 0, 0, 0, 0, 0, 1, 0, 1], [0, 1, 0, 0, 0, 0, 0, 0, 1, 1]])
    sent = play(Packer(plan(10, 4)), rows(plan(10, 4), spikes))
    assert [byte for _, byte in sent] == [0x81, 2, 2, 3]
    potentials = np.array([[-1, 3, -16]])
    sent = play(Packer(plan(3, 2, 5)), rows(plan(3, 2, 5), potentials))
    assert [byte for _, byte in sent] == [0b011_11111, 0b0_10000_00]


@pytest.mark.parametrize(
    ("outputs", "lanes", "state_bits"),
    [
        *[(1, 1, None), (8, 3, None), (8, 8, None), (13, 3, None), (40, 16, None), (40, 1, None)],
        *[(1, 1, 2), (13, 8, 2), (13, 3, 9), (5, 4, 32), (9, 1, 31)],
    ],
)
def test_against_the_twin(outputs: int, lanes: int, state_bits: int | None) -> None:
    rng = np.random.default_rng(outputs)
    chosen, bits = plan(outputs, lanes, state_bits), state_bits or 1
    low, high = (0, 2) if state_bits is None else (-(1 << (bits - 1)), 1 << (bits - 1))
    steps = rng.integers(low, high, (3, outputs))
    expected = list(model.pack(steps, bits))
    for stalls in (NO_STALLS, Stalls(i=0xFFF0, o=EVERY_OTHER)):
        cycles = 3 * (2 * outputs * bits + 40 * chosen.o_rows) + 200
        sent = play(Packer(chosen), rows(chosen, steps), cycles=cycles, stalls=stalls)
        assert [byte for _, byte in sent] == expected
    assert model.unpack(bytes(expected), outputs, bits, signed=state_bits is not None).tolist() == steps.tolist()


def test_a_step_takes_the_time_of_its_bits() -> None:
    """13 spikes in rows of 3: 13 bits, 5 rows to take, 3 zeros to fill."""
    chosen = plan(13, 3)
    for steps in (np.zeros((4, 13), int), np.ones((4, 13), int)):
        sent = play(Packer(chosen), rows(chosen, steps))
        assert np.diff([cycle for cycle, _ in sent][1::2]).tolist() == [13 + 5 + 3] * 3


def test_clear_drops_what_is_inside() -> None:
    """In whatever cycle it comes, the next step begins with a byte of its own."""
    chosen = plan(13, 3)
    old, new = rows(chosen, np.ones((2, 13), int)), rows(chosen, np.array([[0, 1, 1] + [0] * 9 + [1]]))
    for cleared in range(1, 50):
        dut: Any = Packer(chosen)
        sent: list[int] = []

        async def bench(ctx: Any, dut: Any = dut, cleared: int = cleared, sent: list[int] = sent) -> None:
            waiting = list(old)
            for cycle in range(cleared + 40):
                waiting = list(new) if cycle == cleared + 1 else waiting
                ctx.set(dut.i.valid, bool(waiting) and cycle != cleared)
                ctx.set(dut.i.payload.as_value(), waiting[0] if waiting else 0)
                ctx.set(dut.clear, cycle == cleared)
                ctx.set(dut.o.ready, cycle % 3 != 0)
                if cycle > cleared and ctx.get(dut.o.valid) and ctx.get(dut.o.ready):
                    sent.append(ctx.get(dut.o.payload))
                if ctx.get(dut.i.valid) and ctx.get(dut.i.ready):
                    waiting.pop(0)
                await ctx.tick()

        run(dut, bench)
        assert sent == [0b0000_0110, 0b0001_0000]
