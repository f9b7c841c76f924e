"""The private schedule: when rows leave, and when they are let in, is a function of the pins and of no spike."""

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from amaranth.sim import Simulator
from support.backends import NO_STALLS, Pins, Stalls, golden, input_rows, leaving_rows, observe
from support.strategies import EVERY_OTHER

from spikeveil.hdl.engine.pacer import Pacer
from spikeveil.hdl.engine.plan import INPUT_LANES, Plan
from spikeveil.host.cosim import LeasePorts
from spikeveil.pysim.model import LayerSpec, Leak, NetworkSpec
from spikeveil.pysim.model.flipper import FlipSpec

LEASE = LeasePorts(number=3, record=9, key=0x0123456789ABCDEF0123, seeds=(77, 1 << 100))
FLIP = FlipSpec(3, 4)
STALLS = [NO_STALLS, Stalls(i=0xF0F3_0C81_55AA_0FF1, o=EVERY_OTHER), Stalls(i=EVERY_OTHER, o=0xFFFF_0F0F_FFFF_0000)]


TRIED = [(1, STALLS[0]), (3, STALLS[1]), (3, STALLS[0]), (1, STALLS[2])]  # steps a record, and stalls: one a plan


class Hurried(Plan):
    """A plan that does not check its cadence."""

    @property
    def worst_case(self) -> int:  # type: ignore[override]
        return 0


def layer(neurons: int, inputs: int, seed: int = 0, **options: Any) -> LayerSpec:
    """Mixed weights: with more input spikes more neurons fire, without any none does."""
    weights = np.random.default_rng(seed).integers(-3, 8, (neurons, inputs))
    return LayerSpec(weights, **{"threshold": 9, "leak": Leak.shift(2), "state_bits": 10, **options})


PLANS = {
    "one neuron": Plan(NetworkSpec([layer(1, 1, flip=FLIP, threshold=2)]), lanes=64),
    "16-bit words, 1 lane": Plan(NetworkSpec([layer(19, 7, flip=FlipSpec(1 << 15))]), lanes=1),
    "spike limits": Plan(NetworkSpec([layer(18, 40, flip=FLIP, spike_limit=7, step_spike_limit=3)]), lanes=7),
    "input cap of 1": Plan(NetworkSpec([layer(9, 33, flip=FLIP, input_cap=1)]), lanes=4),
    "hidden flipper": Plan(NetworkSpec([layer(12, 20, flip=FLIP), layer(5, 12, 1)]), lanes=5),
    "output flipper": Plan(NetworkSpec([layer(23, 18), layer(3, 23, 1, flip=FLIP)]), lanes=16),
    "two flippers, LFSR": Plan(
        NetworkSpec([layer(11, 17, flip=FLIP), layer(7, 11, 1, flip=FLIP)]), lanes=3, source="lfsr"
    ),
    "three layers, a readout": Plan(
        NetworkSpec([layer(9, 10, flip=FLIP), layer(20, 9, 1), layer(2, 20, 2, threshold=None, readout=True)]), lanes=8
    ),
}
EACH_PLAN = pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS.keys())


def stimuli(plan: Plan, records: int, steps: int) -> dict[str, np.ndarray[Any, Any]]:
    shape = (records, steps, plan.spec.inputs)
    rng = np.random.default_rng(8)
    ones, zeros = np.ones(shape, np.bool_), np.zeros(shape, np.bool_)
    turns = np.arange(records * steps).reshape(records, steps, 1) % 2 == 0
    return {"none": zeros, "all": ones, "random": rng.random(shape) < 0.4, "all or none by turns": ones & turns}


def watch(plan: Plan, spikes: np.ndarray[Any, Any], stalls: Stalls = NO_STALLS, **options: Any) -> Pins:
    records, steps, _ = spikes.shape
    slots = records * steps + plan.slots + 2
    rows = records * steps * max(plan.i_rows, plan.o_rows)
    cycles = slots * plan.cadence + (0 if stalls == NO_STALLS else 6 * rows + slots * 8)
    return observe(plan, spikes, LEASE, cycles=cycles, stalls=stalls, **options)


@EACH_PLAN
def test_no_spike_moves_an_edge(plan: Plan, soak: bool) -> None:
    """Same pins, same lease, other spikes: `i.ready`, `o.valid` and `late` equal in every cycle, and `o` shows
    nothing but zeros while it is not valid.
    """
    for steps, stalls in product([1, 3], STALLS) if soak else [TRIED[list(PLANS.values()).index(plan) % len(TRIED)]]:
        spikes = stimuli(plan, 3 if steps == 1 else 1, steps)
        if not soak:
            del spikes["all or none by turns"]
        traces = {name: watch(plan, x, stalls) for name, x in spikes.items()}
        for name, pins in traces.items():
            np.testing.assert_array_equal(pins.timing, traces["none"].timing, err_msg=name)
            assert not pins.late.any()
            assert not [p for p, valid in zip(pins.o_payload, pins.o_valid, strict=True) if p and not valid]
            assert pins.o_taken.sum() == 3 * plan.o_rows  # all of them came within the time watched


def test_markers_move_no_edge() -> None:
    """A step is so many rows; `step_end` early, missing or everywhere changes neither timing nor what is released."""
    plan = PLANS["input cap of 1"]
    spikes = stimuli(plan, 2, 2)["random"]
    right = watch(plan, spikes)
    bits = input_rows(plan, spikes)
    step_end = 1 << INPUT_LANES
    for wrong in ([row & ~step_end for row in bits], [row | step_end for row in bits]):
        pins = watch(plan, spikes, rows=wrong)
        np.testing.assert_array_equal(pins.timing, right.timing)
        assert pins.o_payload == right.o_payload


@pytest.mark.parametrize("name", ["one neuron", "16-bit words, 1 lane", "hidden flipper", "output flipper"])
def test_rows_leave_exactly_every_cadence(name: str) -> None:
    """Step n comes in before tick n and leaves from tick n + slots on; the ticks are a cadence apart."""
    plan = PLANS[name]
    pins = watch(plan, np.ones((2, 2, plan.spec.inputs), np.bool_))
    leaving = np.flatnonzero(pins.o_taken).reshape(4, plan.o_rows)
    np.testing.assert_array_equal(np.diff(leaving, axis=1), 1)
    np.testing.assert_array_equal(np.diff(leaving[:, 0]), plan.cadence)
    assert leaving[0, 0] - plan.i_rows > (plan.slots - 1) * plan.cadence
    assert leaving[0, 0] - plan.i_rows < (plan.slots + 1) * plan.cadence + 4
    assert (
        golden(plan, np.ones((2, 2, plan.spec.inputs), np.bool_), LEASE).tolist()
        == leaving_rows(plan, pins, 2).tolist()
    )


def test_nothing_leaves_before_open() -> None:
    """Not in a private core, nor in a fast one whose layers wait for their first mask."""
    for plan in (PLANS["hidden flipper"], replace(PLANS["output flipper"], schedule="fast")):
        spikes = np.ones((2, 2, plan.spec.inputs), np.bool_)
        shut = observe(plan, spikes, LEASE, cycles=3 * plan.slots * plan.cadence, opened=None)
        assert not shut.o_valid.any()
        assert not any(shut.o_payload)
        late_open = observe(plan, spikes, LEASE, cycles=12 * plan.cadence, opened=plan.cadence + 3)
        assert not late_open.o_valid[: plan.cadence + 4].any()
        np.testing.assert_array_equal(leaving_rows(plan, late_open, 2), golden(plan, spikes, LEASE))


def test_a_cadence_too_short_shuts_the_output_for_good() -> None:
    """Where the worst case does not fit, all that leaves is on time and right, and then nothing leaves any more."""
    spec = PLANS["16-bit words, 1 lane"].spec
    outcomes = set()
    for cadence in (60, 155, 165, 240):
        plan = Hurried(NetworkSpec(spec.layers, cadence=cadence), lanes=1)
        spikes = stimuli(plan, 2, 2)
        none, all_ones = (observe(plan, spikes[name], LEASE, cycles=cadence * 8 + 60) for name in ("none", "all"))
        shut = int(all_ones.late.argmax()) if all_ones.late.any() else len(all_ones.late)
        assert not all_ones.o_valid[shut:].any()
        assert all_ones.late[shut:].all()
        np.testing.assert_array_equal(all_ones.o_valid[:shut], none.o_valid[:shut])
        got = leaving_rows(plan, all_ones, 1)[:, 0]
        np.testing.assert_array_equal(got, golden(plan, spikes["all"], LEASE).reshape(4, -1)[: len(got)])
        outcomes.add(len(got))
    assert {0, 4} <= outcomes


@pytest.mark.parametrize("name", ["one neuron", "hidden flipper", "spike limits"])
def test_a_row_that_just_makes_it_leaves_no_later_than_one_that_waited(name: str) -> None:
    """The layers' answer to the first step, tried in every cycle around its tick: on time in one and the same cycle,
    or late and never.
    """
    plan = PLANS[name]
    tick = plan.slots * plan.cadence  # after the first one that admits
    seen: dict[int | None, int] = {}
    for delay in (plan.cadence, *range(tick - plan.o_rows - 10, tick + 10)):
        left = first_leaving(plan, delay)
        seen[left] = seen.get(left, 0) + 1
    assert len(seen) == 2
    assert seen[None] > 4


def first_leaving(plan: Plan, delay: int) -> int | None:
    """The cycle, from the first step's first row inside, in which its answer of `delay` cycles leaves a pacer."""
    dut: Any = Pacer(plan)
    left: list[int | None] = [None]

    async def bench(ctx: Any) -> None:
        ctx.set(dut.o.ready, 1)
        ctx.set(dut.layers_i.ready, 1)
        ctx.set(dut.i.valid, 1)
        for row in input_rows(plan, np.ones((1, 1, plan.spec.inputs), np.bool_)):
            ctx.set(dut.i.payload.as_value(), row)
            await ctx.tick()
        ctx.set(dut.i.valid, 0)
        ctx.set(dut.open, 1)
        await ctx.tick().until(dut.layers_i.valid)
        await ctx.tick().repeat(delay)
        ctx.set(dut.layers_o.valid, 1)
        for row in range(plan.o_rows):
            ctx.set(dut.layers_o.payload.step_end, row == plan.o_rows - 1)
            await ctx.tick()
        ctx.set(dut.layers_o.valid, 0)

    async def watch_output(ctx: Any) -> None:
        for cycle in range((plan.slots + 1) * plan.cadence + 60):
            if left[0] is None and ctx.get(dut.o.valid):
                left[0] = cycle
            assert not (ctx.get(dut.late) and ctx.get(dut.o.valid))
            await ctx.tick()
        assert ctx.get(dut.late) == (left[0] is None)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.add_testbench(watch_output)
    simulator.run()
    return left[0]
