# ruff: noqa: E501 - a bug is a line, however long
"""Planted bugs: one line of the gateware changed at a time, and the comparison with the golden model must notice."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from support.backends import Stalls, golden, observe
from support.planted import Bug, Planted, planted

from spikeveil.host.cosim.job import LeasePorts
from spikeveil.pysim.model import LayerSpec, Leak, NetworkSpec
from spikeveil.pysim.model.decision import Decision, OneHotDecision
from spikeveil.pysim.model.flipper import FlipSpec

PATIENCE = 3000  # cycles after which a mutant that hangs is caught


FEW = [
    Bug("fires above the threshold only", "neuron", "fires = ~margin[-1]", "fires = ~margin[-1] & margin.any()"),
    Bug("potentials wrap", "neuron", "return Mux(fits, u[:bits], Cat(", "return Mux(1, u[:bits], Cat("),
    Bug("leak rounds towards zero", "neuron", "return (v - (_half_added(v, decay) >> decay.shift_by))", "return (v - (_half_added(v, decay) + v[-1] >> decay.shift_by))"),
    Bug("bias forgotten", "neuron", "biased.eq(leaked + numbers.bias)", "biased.eq(leaked)"),
    Bug("a row begins with the one before", "accumulator", "Mux(first, weight, total + weight)", "total + weight"),
    Bug("a row without events keeps the one before", "accumulator", "total.eq(0)", "total.eq(total)"),
    Bug("cap lets one more pass", "network", "cap=spec.input_cap)", "cap=spec.input_cap and spec.input_cap + 1)"),
    Bug("limit lets one more pass", "limiter", "counts[lane] < allowance", "counts[lane] <= allowance"),
    Bug("limit counts from the highest lane", "limiter", "counted_row.bits & passes", "counted_row.bits & passes[::-1]"),
    Bug("flips at the threshold too", "flipper", "word < self.flip.threshold for", "word <= self.flip.threshold for"),
    Bug("masks of the old record kept", "layer", "flipper.flush.eq(self.flush | self.next_record)", "flipper.flush.eq(self.flush)"),
    Bug("IV without its record", "source", "Cat(record, self.lease,", "Cat(self.record, self.lease,"),
    Bug("IV without its layer", "source", "Const(self.layer, unsigned", "Const(0, unsigned"),
    Bug("potentials outlive the record", "sequencer", "record_start.eq(step.record_end)", "record_start.eq(0)"),
]  # fmt: skip

MORE = [
    Bug("resets to zero only", "neuron", 'if spec.reset == "subtract"', "if False"),
    Bug("never rounds to nearest", "neuron", "return v + decay.half if", "return v if"),
    Bug("a leak factor of one takes a half", "neuron", "Mux(factor[-1], v, leaked)", "Mux(factor[-1], leaked, leaked)"),
    Bug("fraction bits forgotten", "neuron", "Cat(Const(0, spec.fraction_bits), total)", "total"),
    Bug("initial potentials forgotten", "neuron", "Mux(record_start, initial, stored)", "stored"),
    Bug("initial potentials in every step", "neuron", "Mux(record_start, initial, stored)", "initial"),
    Bug("never resets", "neuron", "saturate(Mux(fires, after_spike, u_delayed)", "saturate(Mux(0, after_spike, u_delayed)"),
    Bug("scaled leak loses a bit", "neuron", ">> decay.shift_by)[: len(v)].as_signed()\n    return v", ">> decay.shift_by << 1)[: len(v)].as_signed()\n    return v"),
    Bug("saturates to the wrong end", "neuron", "Cat((~sign).replicate(bits - 1), sign)", "Cat(sign.replicate(bits - 1), ~sign)"),
    Bug("threshold of the wrong row", "neuron", "self._thresholds(m, row, SUMS_LATENCY - 1)", "self._thresholds(m, row, SUMS_LATENCY - 2)"),
    Bug("rows visited too soon", "neuron", "MIN_REVISIT_CYCLES = LATENCY + 1", "MIN_REVISIT_CYCLES = LATENCY - 2"),
    Bug("empty steps add a weight", "accumulator", "with m.Elif(~empty):", "with m.Else():"),
    Bug("a folded row is not shifted", "sum_folder", "pending_sums >> len(self.part)", "pending_sums"),
    Bug("a step's last folded row as long as the others", "sum_folder", "Mux(self.work.step_end, self.last_fold - 1, self.fold - 1)", "self.fold - 1"),
    Bug("a folded row ends with its events", "sequencer", "Mux(length < self.min_row_cycles, self.min_row_cycles - length, 0)", "0"),
    Bug("weights of the wrong row", "sequencer", "Mux(work_delayed_2.step_end, 0, row_base + self.inputs)", "0"),
    Bug("last event dropped", "sequencer", "Mux(event_count < self.min_row_cycles, self.min_row_cycles - 1, event_count - 1)", "Mux(event_count < self.min_row_cycles + 1, self.min_row_cycles - 1, event_count - 2)"),
    Bug("empty steps skipped by the cap", "encoder", "end_event.eq(row.step_end & ~has_spike)", "end_event.eq(row.step_end & (row.bits == 0))"),
    Bug("rows of a step share one base", "encoder", "Mux(self.i.p.step_end, 0, next_row_base + self.lanes)", "0"),
    Bug("cap not restored", "encoder", "cap_remaining.eq(cap)", "cap_remaining.eq(cap_remaining)"),
    Bug("step limit of a record", "limiter", '("step_remaining", self.per_step, row.step_end)', '("step_remaining", self.per_step, row.record_end)'),
    Bug("record limit never restored", "limiter", '("record_remaining", self.per_record, row.record_end)', '("record_remaining", self.per_record, 0)'),
    Bug("looser of two limits", "limiter", "Mux(remaining < smallest, remaining, smallest)", "Mux(remaining < smallest, smallest, remaining)"),
    Bug("no flip", "layer", "flow.bits ^ flipper.masks.payload", "flow.bits"),
    Bug("next record starts on old masks", "layer", "ready & ~awaiting_rekey", "ready"),
    Bug("rows start without a mask", "layer", "return ready & ~awaiting_rekey,", "return ~awaiting_rekey,"),
    Bug("rows start without room", "layer", "return credit.count(m, queue_credit, queue.r_rdy & queue.r_en)", "return 1 | credit.count(m, queue_credit, queue.r_rdy & queue.r_en)"),
    Bug("record counts by two", "source", "record.eq(record + 1)", "record.eq(record + 2)"),
    Bug("lease and record swapped", "source", "Cat(record, self.lease,", "Cat(self.lease, record,"),
    Bug("old record's words run on", "source", "trivium.o.valid & ~start & ~self.next_record", "trivium.o.valid"),
    Bug("every flipper on the first seed", "network", "self.plan.spec.randomised.index(index)", "0"),
    Bug("last row of masks full", "flipper", "Mux(last, pending_mask >> last_row_bits, pending_mask >> self.lanes)", "pending_mask >> self.lanes"),
    Bug("two events short of room", "sequencer", "fill_level != self.depth)", "fill_level != self.depth + 1)"),
    Bug("a step let in twice", "pacer", "bank_full.bit_select(drain_bank, 1).eq(0)", "bank_full.bit_select(drain_bank, 1).eq(bank_full.all())"),
    Bug("rows of two steps let out at once", "pacer", "rows_remaining.eq(self.o_rows)", "rows_remaining.eq(2 * self.o_rows)"),
]  # fmt: skip

DECIDING = [
    Bug("ties go to the highest class", "decision", "(total > best)", "(total >= best)"),
    Bug("best score outlives the record", "decision", "(index == 0) | (total > best)", "(total > best)"),
    Bug("scores outlive the record", "decision", "base = Mux(first_step, 0, head)", "base = head"),
    Bug("only the last step counts", "decision", "first_step.eq(record_end)", "first_step.eq(1)"),
    Bug("a sum of potentials wraps", "decision", "(steps - 1).bit_length() * self.accumulates", "0"),
    Bug("scores in memory one class late", "decision", "read.addr.eq(Mux(class_done, next_index, index))", "read.addr.eq(index)"),
    Bug("a decision every step", "decision", "self.valid.eq(total_valid & total_record_end)", "self.valid.eq(total_valid & total_step_end)"),
    Bug("the winner is not skipped", "decision", "other_class = quotient + (quotient >= winner)", "other_class = quotient"),
    Bug("one class above the winner is skipped", "decision", "quotient + (quotient >= winner)", "quotient + (quotient > winner)"),
    Bug("q counts as below q", "decision", "difference.eq(collector.word - decision.q)", "difference.eq(collector.word - decision.q - 1)"),
    Bug("one subtraction short", "decision", "advance & (cycle == others - 1), Mux", "advance & (cycle == others - 2), Mux"),
    Bug("quotient outlives the record", "decision", "m.d.sync += quotient.eq(0)", "m.d.sync += quotient.eq(quotient)"),
    Bug("bits at the limit are set too", "decision", "collector.word < Mux", "collector.word <= Mux"),
    Bug("k1 and k0 swapped", "decision", "decision.k1, decision.k0)),", "decision.k0, decision.k1)),"),
    Bug("responds before its word is there", "decision", "advance.eq(working & collector.full)", "advance.eq(working)"),
    Bug("words of the old record kept", "decision", "self.words.valid & ~self.o.valid", "self.words.valid"),
    Bug("no new key for the next decision", "network", "words.next_record.eq(decider.next_record)", "words.next_record.eq(0)"),
]  # fmt: skip

TELLTALES = [
    Bug("rows seen before their tick", "pacer", "Mux(self.o.valid, queue.r_data, 0)", "queue.r_data"),
    Bug("rows offered before their tick", "pacer", "self.o.valid.eq(releasing & queue.r_rdy)", "self.o.valid.eq(queue.r_rdy)"),
    Bug("ticks as soon as the layers are done", "pacer", "(slot_remaining == 0) & ~releasing)", "((slot_remaining == 0) | self.layers_o.valid) & ~releasing)"),
    Bug("a bank freed when it is empty", "pacer", "m.d.comb += [next_bank", "with m.If(self.layers_o.valid):\n            m.d.sync += bank_full.eq(0)\n        m.d.comb += [next_bank"),
]  # fmt: skip


RNG = np.random.default_rng(11)
FIRST = LayerSpec(
    [[7, 3, -8, 5, 1], [-8, -8, -8, -8, -8], [7, 7, 7, 7, 7], [2, 1, 3, -1, 4], [0, 1, 0, 1, 1]],
    threshold=[9, 5, 7, 4, 6], leak=Leak.shift(1), reset="subtract", bias=[1, -3, 2, 0, 5], state_bits=5, weight_bits=4,
    flip=FlipSpec(3, 4), input_cap=3, step_spike_limit=3, spike_limit=7,
)  # fmt: skip
SECOND = LayerSpec(RNG.integers(-4, 8, (17, 5)), threshold=4, leak=Leak.scale(5, 3), state_bits=6, flip=FlipSpec(1, 1))
THIRD = LayerSpec(RNG.integers(-8, 8, (3, 17)), leak=Leak.shift(2), state_bits=7, readout=True)
WIDE = LayerSpec(RNG.integers(-3, 8, (6, 35)), threshold=8, flip=FlipSpec(5, 6))
FAST, PRIVATE, FOLDED = {"schedule": "fast"}, {"schedule": "private"}, {"schedule": "fast", "fold": 4}
EXTENDED = LayerSpec(
    np.random.default_rng(6).integers(-4, 8, (5, 9)),
    threshold=[9, 20, 40, 12, 30],
    leak=Leak.scale(0, 3, "nearest"),
    leak_factors=[8, 7, 5, 3, 6],
    reset="value",
    reset_potential=[-3, 5, 8, -20, 11],
    initial=[8, 19, -30, 2, 25],
    fraction_bits=1,
    weight_bits=4,
    state_bits=7,
    flip=FlipSpec(1, 6),
)

JOBS = [  # layers, lanes, source, schedule, (records, steps), rate, stalls
    ([FIRST], 2, "trivium", FAST, (3, 5), 0.5, Stalls()),
    ([FIRST, SECOND], 4, "lfsr", FAST, (2, 4), 0.7, Stalls(o=0x7FFF_FFFF_FFFF_FFFF)),
    ([SECOND, THIRD], 5, "trivium", FAST, (2, 3), 0.4, Stalls()),
    ([WIDE], 1, "trivium", PRIVATE, (2, 2), 0.3, Stalls()),
    ([WIDE, LayerSpec(np.ones((2, 6), int), threshold=2, bias=[2, 0], flip=FlipSpec(1, 1))], 6, "trivium", FAST, (3, 1), 0.1, Stalls()),
    ([WIDE], 4, "trivium", FOLDED, (2, 4), 0.03, Stalls()),
    ([EXTENDED], 2, "trivium", FAST, (3, 12), 0.15, Stalls()),
]  # fmt: skip


def agrees(load: Callable[[str], ModuleType]) -> bool:
    """Whether the gateware, as imported now, releases what the model does in every job."""
    plans, engine = load("spikeveil.hdl.engine.plan"), load("spikeveil.host.cosim.amaranth_engine")
    engine.PATIENCE = PATIENCE
    for number, (layers, lanes, source, schedule, shape, rate, stalls) in enumerate(JOBS):
        plan = plans.Plan(NetworkSpec(layers), lanes=lanes, source=source, **schedule)
        seeds = tuple((1 << 127) // (3 + index) for index in range(len(plan.spec.flipped)))
        lease = LeasePorts(number=5, record=6, key=0xFEDC_BA98_7654_3210_0123, seeds=seeds)
        spikes = np.random.default_rng(number).random((*shape, plan.spec.inputs)) < rate
        try:
            rows = engine.run(plan, spikes, lease, stall_i=stalls.i, stall_o=stalls.o).released
        except (RuntimeError, TimeoutError, AssertionError):
            return False
        if not np.array_equal(rows, golden(plan, spikes, lease)):
            return False
    return True


@pytest.mark.parametrize("planned", FEW + MORE + DECIDING + TELLTALES, ids=lambda bug: bug.name)
def test_every_bug_has_its_place(planned: Bug) -> None:
    """Also those that only the full counts plant."""
    assert Planted(planned).file.read_text().count(planned.old) == 1


def test_the_gateware_as_it_is_agrees() -> None:
    with planted(None) as load:
        assert agrees(load)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The longer list only where the full counts are asked for."""
    if "bug" in metafunc.fixturenames:
        bugs = FEW + (MORE if metafunc.config.getoption("--soak") else [])
        metafunc.parametrize("bug", bugs, ids=lambda bug: bug.name)
    if "deciding" in metafunc.fixturenames:
        metafunc.parametrize("deciding", DECIDING, ids=lambda bug: bug.name)
    if "telltale" in metafunc.fixturenames:
        metafunc.parametrize("telltale", TELLTALES, ids=lambda bug: bug.name)


def test_a_planted_bug_is_noticed(bug: Bug) -> None:
    with planted(bug) as load:
        assert not agrees(load)


def choosing(decision: Any, group: int, steps: int, **last: Any) -> NetworkSpec:
    rows = np.random.default_rng(2).integers(-4, 8, (decision.classes * group, 6))
    layer = LayerSpec(rows, weight_bits=4, state_bits=6, **({"readout": True} if last else {"threshold": 7}))
    return NetworkSpec([layer], decision=decision, steps=steps)


CHOICES = [  # network, lanes, source, records, stalls
    (choosing(Decision(3, 5, 4), 2, 3), 1, "lfsr", 12, Stalls()),
    (choosing(Decision(4, 2, 3), 1, 1), 4, "lfsr", 10, Stalls(o=0xFFFF_FFFF_FFFF_0000)),
    (choosing(OneHotDecision(3, 3, 1, 2), 1, 2), 3, "trivium", 6, Stalls(o=0xFFF0)),
    (choosing(Decision(17, 9, 8, "sum"), 1, 4, readout=True), 8, "lfsr", 5, Stalls()),
    (choosing(Decision(2, 0x60000000, 32), 2, 2), 2, "trivium", 4, Stalls()),
]


def decides(load: Callable[[str], ModuleType]) -> bool:
    """Whether the gateware, as imported now, decides as the model does about every record."""
    plans, engine = load("spikeveil.hdl.engine.plan"), load("spikeveil.host.cosim.amaranth_engine")
    engine.PATIENCE = PATIENCE
    for number, (spec, lanes, source, records, stalls) in enumerate(CHOICES):
        plan = plans.Plan(spec, lanes=lanes, source=source, schedule="fast", unsafe=True)
        lease = LeasePorts(number=5, record=6, key=0xFEDC_BA98_7654_3210_0123, seeds=((1 << 127) // 3,))
        rates = np.resize([0.5, 0.0, 0.2, 0.9], records)[:, None, None]
        spikes = np.random.default_rng(number).random((records, spec.steps or 1, spec.inputs)) < rates
        try:
            released = engine.run(plan, spikes, lease, stall_i=stalls.i, stall_o=stalls.o).released
        except (RuntimeError, TimeoutError, AssertionError, IndexError):
            return False
        if not np.array_equal(released, golden(plan, spikes, lease)):
            return False
    return True


def test_decisions_as_they_are_agree() -> None:
    with planted(None) as load:
        assert decides(load)


def test_a_bug_in_a_decision_is_noticed(deciding: Bug) -> None:
    with planted(deciding) as load:
        assert not decides(load)


def keeps_time(load: Callable[[str], ModuleType]) -> bool:
    """Whether the pins of a private core move alike for no and for all input spikes."""
    plan = load("spikeveil.hdl.engine.plan").Plan(NetworkSpec([WIDE]), lanes=2)
    network = load("spikeveil.hdl.engine.network").Network
    spikes = np.ones((1, 2, plan.spec.inputs), np.bool_)
    traces = [
        observe(plan, x, LeasePorts(key=4), cycles=5 * plan.cadence, stalls=Stalls(o=0xF0), network=network).timing
        for x in (spikes, ~spikes)
    ]
    return np.array_equal(*traces)


def test_the_pacer_as_it_is_keeps_time() -> None:
    with planted(None) as load:
        assert keeps_time(load)


def test_a_telltale_edge_is_noticed(telltale: Bug) -> None:
    with planted(telltale) as load:
        assert not keeps_time(load)
