"""Input bytes to spike rows: both formats, by hand and against the twin, and a time that indices cannot change."""

import gc
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from support.backends import NO_STALLS, Stalls
from support.component import play, run
from support.strategies import EVERY_OTHER

from spikeveil.hdl.device.unpack import Unpacker
from spikeveil.hdl.engine.plan import INPUT_LANES, Plan
from spikeveil.hdl.engine.spikes import SpikeRow
from spikeveil.pysim.device import unpack as model
from spikeveil.pysim.device.identity import identity
from spikeveil.pysim.device.messages import Trait
from spikeveil.pysim.model.spec import LayerSpec, NetworkSpec


def plan(inputs: int, cap: int | None = None) -> Plan:
    """On the private schedule with an input cap; on the fast one without."""
    layer = LayerSpec(np.zeros((1, inputs), np.int8), threshold=1, input_cap=cap)
    return Plan(NetworkSpec([layer]), unsafe=True, schedule="private" if cap else "fast")


class Set(wiring.Component):
    """An unpacker with `tagged` tied."""

    i: stream.Interface
    o: stream.Interface

    def __init__(self, inputs: int, tagged: int, cap: int | None = None) -> None:
        self.unpacker, self.tagged = Unpacker(plan(inputs, cap)), tagged
        super().__init__({"i": In(stream.Signature(8)), "o": Out(stream.Signature(SpikeRow(INPUT_LANES)))})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.unpacker = self.unpacker
        m.d.comb += self.unpacker.tagged.eq(self.tagged)
        wiring.connect(m, wiring.flipped(self.i), self.unpacker.i)
        wiring.connect(m, self.unpacker.o, wiring.flipped(self.o))
        return m


def unpacked(
    inputs: int, content: bytes, *, tagged: int, cycles: int, stalls: Stalls = NO_STALLS, cap: int | None = None
) -> list[Any]:
    """(cycle, bits, step_end) of each row."""
    rows = play(Set(inputs, tagged, cap), list(content), stalls=stalls, cycles=cycles)
    return [(cycle, row & 0xFFFF, row >> 16) for cycle, row in rows]


def as_steps(rows: list[Any], inputs: int) -> np.ndarray[Any, Any]:
    """Rows to (steps, inputs), the markers checked."""
    count = -(-inputs // INPUT_LANES)
    assert [end for _, _, end in rows] == [int(n % count == count - 1) for n in range(len(rows))]
    bits = np.array([[row >> lane & 1 for lane in range(INPUT_LANES)] for _, row, _ in rows], np.bool_)
    return bits.reshape(-1, count * INPUT_LANES)[:, :inputs]


def test_bytes_by_hand() -> None:
    """Bit i of byte j is input 8 j + i; indices of one byte up to 255 inputs, then of two."""
    rows = unpacked(20, bytes([0x01, 0x80, 0x0F, 0, 0, 1]), tagged=0, cycles=20)
    assert [row[1:] for row in rows] == [(0x8001, 0), (0x0F, 1), (0, 0), (1, 1)]
    content = bytes([2, 19, 0, 0, 255, 3, 0, 1, 2, 20, 255, 3, 2, 2, 5])  # two; none; a bitmap; out of range; one twice
    rows = unpacked(20, content, tagged=1, cycles=90)
    assert [row[1:] for row in rows] == [
        (1, 0),
        (8, 1),
        (0, 0),
        (0, 1),
        (3, 0),
        (1, 1),
        (0, 0),
        (0, 1),
        (0x24, 0),
        (0, 1),
    ]
    wide = unpacked(300, bytes([2, 0x2B, 1, 16, 0]), tagged=1, cycles=120)  # 299 and 16
    assert {n: row[1] for n, row in enumerate(wide) if row[1]} == {1: 1, 18: 1 << 11}


@pytest.mark.parametrize("inputs", [1, 8, 9, 17, 24, 255, 256])
def test_against_the_twin(inputs: int) -> None:
    """Steps of every rate in each encoding; then random bytes."""
    stalls = Stalls(i=EVERY_OTHER, o=0xFF00) if inputs % 2 else NO_STALLS
    rng = np.random.default_rng(inputs)
    steps = rng.random((7, inputs)) < np.array([[0], [1], [0.5], [0.1], [0.3], [0.02], [0.9]])
    np.testing.assert_array_equal(
        as_steps(unpacked(inputs, model.bitmaps(steps), tagged=0, cycles=600, stalls=stalls), inputs), steps
    )
    few = steps & (np.cumsum(steps, axis=1) <= 9)
    mixed = model.shortest(steps) + b"".join(model.counted(step) for step in few)
    expected = np.concatenate([steps, few])
    got = as_steps(unpacked(inputs, mixed, tagged=1, cycles=1500 + 4 * len(mixed), stalls=stalls), inputs)
    np.testing.assert_array_equal(got, expected)
    noise = rng.bytes(400)
    steps_of_noise = model.Unpacker(inputs, 1).take(noise, 1000)
    got = as_steps(unpacked(inputs, noise, tagged=1, cycles=1800), inputs)
    np.testing.assert_array_equal(got[: len(steps_of_noise)], steps_of_noise)
    assert len(steps_of_noise) >= 1


def test_indices_of_a_private_device_by_hand() -> None:
    """Three a step, no count: fewer are filled with ones, out of range is ignored, order and repetition are free."""
    content = bytes([19, 0, 255, 255, 255, 255, 2, 2, 5, 20, 254, 7])
    rows = unpacked(20, content, tagged=1, cycles=90, cap=3)
    assert [row[1:] for row in rows] == [(1, 0), (8, 1), (0, 0), (0, 1), (0x24, 0), (0, 1), (0x80, 0), (0, 1)]
    wide = unpacked(300, bytes([0x2B, 1, 16, 0, 255, 255, 255, 255]), tagged=1, cycles=150, cap=2)
    assert {n: row[1] for n, row in enumerate(wide) if row[1]} == {1: 1, 18: 1 << 11}


@pytest.mark.parametrize(("inputs", "cap"), [(1, 1), (17, 1), (24, 24), (255, 3), (256, 7)])
def test_fixed_indices_against_the_twin(inputs: int, cap: int) -> None:
    """A private device takes steps of `cap` indices, random bytes too: no byte is a count."""
    stalls = Stalls(i=EVERY_OTHER, o=0xFF00) if inputs % 2 else NO_STALLS
    rng = np.random.default_rng(inputs)
    steps = rng.random((9, inputs)) < 0.5
    steps &= np.cumsum(steps, axis=1) <= cap
    content = model.padded(steps, cap) + rng.bytes(9 * cap * model.index_bytes(inputs))
    expected = model.Unpacker(inputs, 1, cap).take(content, 100)
    np.testing.assert_array_equal(expected[:9], steps)
    assert len(expected) == 18
    got = as_steps(unpacked(inputs, content, tagged=1, cycles=3000, stalls=stalls, cap=cap), inputs)
    np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize(("inputs", "cap"), [(40, 5), (300, 5)])
def test_time_of_a_private_device_is_the_same_for_every_step(inputs: int, cap: int) -> None:
    """No, one or `cap` spikes, in range or not: the rows leave in the same cycles, those of the docstring."""
    cost, count = 2 + model.index_bytes(inputs), -(-inputs // INPUT_LANES)
    none, one = np.full(cap, inputs), np.array([3, *[inputs] * (cap - 1)])
    seen = set()
    for kind in (none, one, np.arange(cap), np.zeros(cap, int), np.full(cap, -1)):
        step = kind.astype(f"<u{model.index_bytes(inputs)}").tobytes()
        rows = unpacked(inputs, step * 3, tagged=1, cycles=520, cap=cap)
        seen.add(tuple(cycle for cycle, _, _ in rows))
    assert len(seen) == 1
    assert np.diff(next(iter(seen))[count - 1 :: count]).tolist() == [cap * cost + 3 * count + 1] * 2


def test_a_private_device_without_an_input_cap_takes_bitmaps_alone() -> None:
    """A count in front of the indices would give a step any length."""
    for cap, schedule, flags in ((None, "private", Trait.BITMAPS), (3, "private", 0), (None, "fast", 0)):
        layer = LayerSpec(np.zeros((1, 20), np.int8), threshold=1, input_cap=cap)
        described = identity(Plan(NetworkSpec([layer]), unsafe=True, schedule=schedule))  # type: ignore[arg-type]
        assert described.flags & Trait.BITMAPS == flags
        assert described.indices == (cap or 0)


@pytest.mark.parametrize("inputs", [40, 300])
def test_time_depends_on_the_number_of_indices_alone(inputs: int) -> None:
    """The time is that of the docstring; bytes arrive in bursts with pauses, as in frames."""
    rng = np.random.default_rng(3)
    count, cost = -(-inputs // INPUT_LANES), 2 + model.index_bytes(inputs)
    kinds = [np.zeros(5, int), np.full(5, inputs - 1), np.arange(5), np.arange(5)[::-1] * 7, np.full(5, inputs)]
    kinds += [rng.integers(0, inputs + 3, 5) for _ in range(3)]
    for stalls in (NO_STALLS, Stalls(i=(1 << 40) - 1), Stalls(i=0xFFF0F, o=0x0FF)):
        seen = set()
        for kind in kinds:
            step = bytes([5]) + kind.astype(f"<u{model.index_bytes(inputs)}").tobytes()
            rows = unpacked(inputs, step * 3, tagged=1, cycles=200 if inputs == 40 else 520, stalls=stalls)
            assert len(rows) == 3 * count
            seen.add(tuple(cycle for cycle, _, _ in rows))
        assert len(seen) == 1
        if stalls == NO_STALLS:
            ends = next(iter(seen))[count - 1 :: count]
            assert np.diff(ends).tolist() == [5 * cost + 3 * count + 1] * 2


@pytest.mark.parametrize("tagged", [0, 1])
def test_clear_drops_what_is_inside(tagged: int) -> None:
    """Whenever `clear` comes, the steps after it are complete and new."""
    inputs, rng = 40, np.random.default_rng(1)
    old, new = rng.random((2, 2, inputs)) < [[[0.9]], [[0.1]]]
    encode = (lambda steps: b"".join(map(model.counted, steps))) if tagged else model.bitmaps
    for cleared in range(1, 116, 3) if tagged else range(1, 16):
        dut: Any = Unpacker(plan(inputs))
        rows: list[Any] = []

        async def bench(ctx: Any, dut: Any = dut, cleared: int = cleared, rows: list[Any] = rows) -> None:
            ctx.set(dut.tagged, tagged)
            waiting = list(encode(old))
            for cycle in range(cleared + (130 if tagged else 30)):
                if cycle == cleared:
                    waiting = list(encode(new))
                    ctx.set(dut.i.valid, 0)
                else:
                    ctx.set(dut.i.valid, bool(waiting))
                    ctx.set(dut.i.payload, waiting[0] if waiting else 0)
                ctx.set(dut.clear, cycle == cleared)
                ctx.set(dut.o.ready, cycle % 3 != 0)
                if cycle > cleared and ctx.get(dut.o.valid) and ctx.get(dut.o.ready):
                    row = ctx.get(dut.o.payload.as_value())
                    rows.append((cycle, row & 0xFFFF, row >> 16))
                if ctx.get(dut.i.valid) and ctx.get(dut.i.ready):
                    waiting.pop(0)
                await ctx.tick()

        run(dut, bench)
        np.testing.assert_array_equal(as_steps(rows, inputs), new)


@pytest.mark.filterwarnings("ignore::amaranth.hdl.UnusedElaboratable")
def test_refuses_more_inputs_than_an_index_names() -> None:
    with pytest.raises(ValueError) as error:
        Unpacker(plan(65536))
    assert str(error.value) == "inputs of a device must be 1 to 65535, not 65536"
    del error
    gc.collect()  # the refused component warns here, where it is expected, that it was not elaborated
