# ruff: noqa: E501 - a bug is a line, however long
"""Planted bugs in the guard: one for each sentence of its contract, and the twin or the laws must notice."""

from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from device.test_guard import GOOD, KEY, Cycle, Hostile, check_laws, deciding, dishonest, drive, opening, plan, standing
from support.planted import Bug, Planted, planted

from spikeveil.hdl.device.guard import Guard
from spikeveil.hdl.engine.plan import Plan


def guard(name: str, old: str, new: str) -> Bug:
    return Bug(name, "guard", old, new, package="device")


def secret(name: str, old: str, new: str) -> Bug:
    return Bug(name, "secret", old, new, package="device")


ROWS = [
    guard("rows enter without a lease", "admit.eq(control.open & ~control.start & quota_left)", "admit.eq(~control.start & quota_left)"),
    guard("rows enter without quota", "admit.eq(control.open & ~control.start & quota_left)", "admit.eq(control.open & ~control.start)"),
    guard("rows enter in the first cycle of a lease", "admit.eq(control.open & ~control.start & quota_left)", "admit.eq(control.open & quota_left)"),
    guard("rows leave without a lease", "self.o.valid.eq(self.network_o.valid & ~self.reset)", "self.o.valid.eq(self.network_o.valid)"),
    guard("rows are taken from a network in reset", "self.network_o.ready.eq(self.o.ready & ~self.reset)", "self.network_o.ready.eq(self.o.ready)"),
    guard("step markers of the input count", "self.network_i.payload.step_end.eq(last_row)", "self.network_i.payload.step_end.eq(self.i.payload.step_end)"),
    guard("record markers of the input count", "self.network_i.payload.record_end.eq(last_row & last_of_record)", "self.network_i.payload.record_end.eq(self.i.payload.record_end)"),
    guard("step markers of the network leave", "self.o.payload.step_end.eq(last_row)", "self.o.payload.step_end.eq(self.network_o.payload.step_end)"),
    guard("the payload shows before it leaves", "with m.If(self.o.valid):", "with m.If(self.network_o.valid):"),
    guard("no reset between two leases", "self.reset.eq(~(control.open | self.leaving))", "self.reset.eq(~(control.open | self.leaving | self.granted))"),
    guard("reset while a release leaves", "self.reset.eq(~(control.open | self.leaving))", "self.reset.eq(~control.open)"),
    guard("each row counts", "left.eq(self.o.valid & self.o.ready & ~self.leaving)", "left.eq(self.o.valid & self.o.ready)"),
    guard("a release counts when its last row leaves", "left.eq(self.o.valid & self.o.ready & ~self.leaving)", "left.eq(self.o.valid & self.o.ready & last_row)"),
    guard("one step more inside", "Mux(entered, with_one, unchanged)", "unchanged"),
    guard("one step fewer inside", "Mux(entered, with_one, unchanged)", "with_one"),
    guard("what left is still inside", "with m.If(entered ^ left):", "with m.If(entered):"),
    guard("steps inside outlive the lease", "with m.If(self.reset):\n            m.d.sync += inside.eq(0)", "with m.If(0):\n            m.d.sync += inside.eq(0)"),
    guard("a step begins in the middle", "with m.If(self.reset | step_entered):", "with m.If(step_entered):"),
    guard("a record begins in the middle", "with m.If(self.reset | (step_entered & last_of_record)):", "with m.If(step_entered & last_of_record):"),
    guard("records one step too long", "last_of_record.eq(remaining == 2)", "last_of_record.eq(remaining == 1)"),
    guard("records of one step", "last_of_record.eq(record_steps == 1)", "last_of_record.eq(record_steps == 2)"),
    guard("the last release is cut", "self.leaving.eq(~last_row)", "self.leaving.eq(~last_row & ~self.last_release)"),
    guard("one release more", "Mux(left, 2, 1))", "Mux(left, 1, 0))"),
    guard("the lease outlives its quota", "m.d.sync += control.open.eq(~self.last_release)", "pass"),
    guard("rows are delayed", "self.network_i.valid.eq(self.i.valid & admit)", "self.network_i.valid.eq(self.i.valid & admit & quota_left & row[0])"),
    guard("an offer stays after its lease", "self.o.valid.eq(self.network_o.valid & ~self.reset)", "self.o.valid.eq(self.network_o.valid & (~self.reset | self.last_release))"),
    guard("rows outlive the lease", "with m.If(self.reset):\n            m.d.sync += self.o_row.eq(0)", "with m.If(0):\n            m.d.sync += self.o_row.eq(0)"),
]  # fmt: skip

DECISIONS = [
    guard("steps are counted, not records", "step_entered & last_of_record if self.plan.spec.decision is not None else step_entered", "step_entered"),
    guard("no record is ever inside", "step_entered & last_of_record if self.plan.spec.decision is not None else step_entered", "step_entered & last_of_record & control.start"),
    guard("OPEN with other record steps", "control.offer.record_steps == self.plan.spec.steps", "control.offer.record_steps != 0"),
    guard("OPEN with fewer record steps", "control.offer.record_steps == self.plan.spec.steps", "control.offer.record_steps <= self.plan.spec.steps"),
    guard("records as the host says", "record_steps = Const(self.plan.spec.steps, RECORD_STEPS_BITS)", "record_steps = control.offer.record_steps"),
    guard("records of another length", "Const(self.plan.spec.steps, RECORD_STEPS_BITS)", "Const(self.plan.spec.steps - 1, RECORD_STEPS_BITS)"),
    secret("a decision has no seed", "len(plan.spec.randomised)", "len(plan.spec.flipped)"),
]  # fmt: skip

COMMANDS = [
    guard("check before close", "with m.If(control.close):", "with m.If(control.close & ~control.check):"),
    guard("begin before check", "with m.Elif(control.check):", "with m.Elif(control.check & ~control.begin):"),
    guard("rewind before begin", "with m.Elif(control.begin):", "with m.Elif(control.begin & ~control.rewind):"),
    guard("close ends nothing", "m.d.sync += [control.open.eq(0), self.granted.eq(0)]", "m.d.sync += [self.granted.eq(0)]"),
    guard("close keeps the quota", "m.d.comb += end_lease.eq(1)", "m.d.comb += end_lease.eq(0)"),
    guard("close keeps the offer", "m.d.sync += [control.open.eq(0), self.granted.eq(0)]", "m.d.sync += [control.open.eq(0)]"),
    guard("close cuts a release", "m.d.sync += [control.open.eq(0), self.granted.eq(0)]", "m.d.sync += [control.open.eq(0), self.granted.eq(0), self.leaving.eq(0)]"),
    guard("a quota of 0", "(control.offer.quota != 0) & steps_allowed", "steps_allowed"),
    guard("record steps of 0", "steps_allowed: Value = control.offer.record_steps != 0", "steps_allowed: Value = Const(1)"),
    guard("leases of simulations", "steps_allowed & ~control.offer.lease[-1]", "steps_allowed"),
    secret("a secret too short", "self.valid.eq((remaining == 0) & ~surplus & ~zero_seed)", "self.valid.eq((remaining <= 1) & ~surplus & ~zero_seed)"),
    secret("a secret too long", "self.valid.eq((remaining == 0) & ~surplus & ~zero_seed)", "self.valid.eq((remaining == 0) & ~zero_seed)"),
    secret("a seed of 0", "self.valid.eq((remaining == 0) & ~surplus & ~zero_seed)", "self.valid.eq((remaining == 0) & ~surplus)"),
    secret("a seed of its ignored bit", "Mux(seed_end, byte[:7], byte).any()", "byte.any()"),
    secret("a seed is judged by its last byte", "seed_nonzero | Mux", "Mux"),
    guard("without weights", "loaded = Mux(control.loaded, newer, ResultCode.UNLOADED)", "loaded = newer"),
    guard("STALE before UNLOADED", "loaded = Mux(control.loaded, newer, ResultCode.UNLOADED)", "loaded = Mux(self.newer & ~control.loaded, ResultCode.UNLOADED, newer)"),
    guard("UNLOADED before MALFORMED", "return Mux(secret_valid & self.in_range, loaded, ResultCode.MALFORMED)", "return Mux((secret_valid & self.in_range) | ~control.loaded, loaded, ResultCode.MALFORMED)"),
    guard("the same number again", "self.newer.eq(control.lease < control.offer.lease)", "self.newer.eq(control.lease <= control.offer.lease)"),
    guard("any number", "newer = Mux(self.newer, ResultCode.OK, ResultCode.STALE)", "newer = Value.cast(ResultCode.OK)"),
    guard("a check behind a granted one", "                    self.newer.eq(0),\n", ""),
    guard("a refused check ends the lease", "m.d.sync += control.result.eq(verdict)", "m.d.sync += [control.result.eq(verdict), control.open.eq(0)]"),
    guard("a refused check changes the quota", "m.d.sync += control.result.eq(verdict)", "m.d.sync += control.result.eq(verdict)\n            m.d.comb += grant.eq(verdict == ResultCode.STALE)"),
    guard("a refused check takes the number", "m.d.sync += control.result.eq(verdict)", "m.d.sync += [control.result.eq(verdict), control.lease.eq(self.offered_lease)]"),
    guard("a refused check takes the nonce", "m.d.sync += control.result.eq(verdict)", "m.d.sync += [control.result.eq(verdict), control.nonce.eq(control.offer.nonce)]"),
    guard("a granted check leaves the lease open", "                    control.open.eq(0),\n                    self.leaving.eq(0),", "                    self.leaving.eq(0),"),
    guard("the release before goes on", "                    self.leaving.eq(0),\n", ""),
    guard("the number of the offer is not kept", "                    control.lease.eq(self.offered_lease),\n", ""),
    guard("the nonce of the offer is not kept", "                    control.nonce.eq(control.offer.nonce),\n", ""),
    guard("the quota of the offer is not kept", "m.d.comb += [secret.rewind.eq(1), grant.eq(1)]", "m.d.comb += [secret.rewind.eq(1)]"),
    guard("a granted check keeps the secret's count", "m.d.comb += [secret.rewind.eq(1), grant.eq(1)]", "m.d.comb += [grant.eq(1)]"),
    guard("begin without check", "with m.If(self.granted & secret.valid & (control.quota != 0)):", "with m.If(secret.valid & (control.quota != 0)):"),
    guard("begin without the secret", "with m.If(self.granted & secret.valid & (control.quota != 0)):", "with m.If(self.granted & (control.quota != 0)):"),
    guard("begin twice", "m.d.sync += [self.granted.eq(0), control.result.eq(ResultCode.MALFORMED)]", "m.d.sync += control.result.eq(ResultCode.MALFORMED)"),
    guard("begin never fails", "m.d.sync += [self.granted.eq(0), control.result.eq(ResultCode.MALFORMED)]", "m.d.sync += [self.granted.eq(0), control.result.eq(ResultCode.OK)]"),
    guard("begin opens nothing", "control.open.eq(1), control.start.eq(1)]", "control.start.eq(1)]"),
    guard("begin is not shown", "control.open.eq(1), control.start.eq(1)]", "control.open.eq(1)]"),
    guard("a failed begin keeps the quota", "                m.d.comb += end_lease.eq(~control.open)\n        with m.Elif", "                m.d.comb += end_lease.eq(0)\n        with m.Elif"),
    guard("a failed begin ends the lease", "                m.d.comb += end_lease.eq(~control.open)\n        with m.Elif", "                m.d.comb += end_lease.eq(1)\n        with m.Elif"),
    guard("rewind keeps the secret's count", "m.d.comb += [secret.rewind.eq(1), end_lease.eq(~control.open)]", "m.d.comb += [end_lease.eq(~control.open)]"),
    guard("rewind keeps the offer", "            m.d.sync += self.granted.eq(0)\n", ""),
    guard("rewind keeps the quota of an offer", "m.d.comb += [secret.rewind.eq(1), end_lease.eq(~control.open)]", "m.d.comb += [secret.rewind.eq(1)]"),
    guard("rewind ends the lease", "m.d.comb += [secret.rewind.eq(1), end_lease.eq(~control.open)]", "m.d.comb += [secret.rewind.eq(1), end_lease.eq(1)]"),
]  # fmt: skip

SECRETS = [
    guard("the secret is never cleared", "secret.clear.eq(self.reset & ~self.granted)", "secret.clear.eq(0)"),
    guard("the secret is cleared by close alone", "secret.clear.eq(self.reset & ~self.granted)", "secret.clear.eq(control.close)"),
    guard("the secret outlives a quota that is used up", "secret.clear.eq(self.reset & ~self.granted)", "secret.clear.eq(self.reset & ~self.granted & ~self.last_release)"),
    guard("the secret is stored before it is checked", "secret.store.eq(self.granted)", "secret.store.eq(1)"),
    guard("the secret changes under an open lease", "secret.store.eq(self.granted)", "secret.store.eq(self.granted | control.open)"),
    guard("the record is no port of a lease", "ports.record.eq(0)", "ports.record.eq(1)"),
    guard("the lease is that of the offer", "ports.lease.eq(self.control.lease)", "ports.lease.eq(self.control.offer.lease)"),
    secret("bytes in reverse", "Cat(stored, byte)[8:]", "Cat(byte, stored)[:-8]"),
    secret("seeds share their bits", "stored.word_select(index, 8 * SEED_BYTES)", "stored.word_select(0, 8 * SEED_BYTES)"),
]  # fmt: skip

BUGS = ROWS + DECISIONS + COMMANDS + SECRETS
FEW = {
    "the secret is never cleared",
    "steps are counted, not records",
    "OPEN with other record steps",
    "one release more",
    "any number",
    "close ends nothing",
    "begin without the secret",
    "rewind keeps the offer",
}
assert {bug.name for bug in BUGS} >= FEW


def scripts(chosen: Plan) -> list[list[Cycle]]:
    """Leases of every end and order, each aimed at a sentence of the contract; rows are offered throughout."""
    steps, size = chosen.spec.steps or 2, {"trivium": 10, "lfsr": 16 * len(chosen.spec.randomised)}[chosen.source]
    key = (KEY * 4)[:size]
    rows = [Cycle(i=(3 << 16) + n, inside=(n % 4) | 3 << 4, o_ready=n % 5 != 4) for n in range(36)]

    def lease(number: int, quota: int = 2, **changes: Any) -> list[Cycle]:
        offer = replace(GOOD, lease=number, nonce=number + 40, quota=quota, record_steps=steps)
        return opening(replace(offer, **changes), key)

    def command(*names: str, **offer: Any) -> Cycle:
        return Cycle(frozenset(names), replace(GOOD, **offer), i=5, inside=1)

    first, close = lease(3), command("close")
    bad_offers = [
        {"quota": 0},
        {"record_steps": 0},
        {"record_steps": 1},
        {"record_steps": steps + 1},
        {"lease": 1 << 39},
    ]
    offers = [[*first, *rows[:9], *lease(4, **changes), *rows[:6]] for changes in bad_offers]
    wrong = [
        (b"\1" + bytes(15)) * (size // 16),
        key[:-1],
        key + b"\1",
        bytes(size),
        key[: size - 16] + bytes(15) + b"\x80" if size > 15 else b"",
    ]
    bad_secrets = [[*first, *rows[:9], *opening(replace(GOOD, lease=4), one), *rows[:6]] for one in wrong]
    again, received = (
        first[: first.index(next(c for c in first if c.command == {"check"})) + 1],
        [Cycle(byte=b) for b in key],
    )
    unloaded = [replace(cycle, loaded=False) for cycle in lease(4)]
    return [
        [*first, *rows, close, *rows[:4]],
        [*first, *rows[:7], *lease(4), *rows],
        [*first, *rows[:9], close, *rows[:8], *lease(3), *lease(2), *rows[:4]],
        [*lease(3, 1), *rows, Cycle(), *rows[:5], *lease(4, 9), *rows[:20], close, *rows[:9]],
        [*first, *rows[:8], *unloaded, *rows[:4], *[replace(c, loaded=False) for c in lease(2)], *rows[:4]],
        [*first, *rows[:5], *[replace(c, loaded=False) for c in lease(4, 0)], *rows[:4]],
        *([*first, *rows[:taken], close, Cycle(i=1, inside=1), Cycle(), *rows[:4]] for taken in range(3, 9)),
        *([*first, *rows[:taken], *lease(4), *rows[:12]] for taken in range(3, 8)),
        [*first, *rows[:6], *received, *rows[:6]],
        [*again, close, *received, command("begin"), *rows[:4]],
        [*again, command("rewind"), *received, command("begin"), *rows[:4]],
        [*again, *received[1:], command("begin"), *rows[:4]],
        [*again, *received, command("begin"), command("begin"), *rows[:6]],
        [*again, *received, command("begin", "rewind"), *rows[:6]],
        [*again, command("begin"), *rows[:4], *received, command("begin"), *rows[:4]],
        [*received, command("begin"), *rows[:4], *first, *rows[:4], command("begin"), command("rewind"), *rows],
        [
            *again,
            Cycle(frozenset({"check"}), replace(GOOD, lease=9, record_steps=steps)),
            *received,
            command("begin"),
            *rows[:4],
        ],
        [*first[:-1], Cycle(frozenset({"begin", "check", "close"})), *rows[:4]],
        [*first, *rows[:3], Cycle(frozenset({"check", "close"}), replace(GOOD, lease=9)), *rows[:4]],
        [*first[: len(again)], *received, Cycle(frozenset({"check", "begin"}), replace(GOOD, lease=9)), *rows[:4]],
        *offers,
        *bad_secrets,
    ]


PLANS = {
    "spikes": plan(),
    "two seeds": plan(2, source="lfsr"),
    "no secret": plan(0, source="lfsr", inputs=3, outputs=4),
    "decisions": deciding(),
    "decisions, a seed": deciding(flippers=0, source="lfsr"),
}


def holds(load: Callable[[str], ModuleType]) -> bool:
    """Whether the guard, as imported now, is its twin's equal and keeps the laws in every script."""
    kind: type[Guard] = load("spikeveil.hdl.device.guard").Guard
    for chosen in PLANS.values():
        script = [standing(cycles) for cycles in scripts(chosen)]
        script += [standing(Hostile(np.random.default_rng(seed), chosen).script(250)) for seed in range(2)]
        if not chosen.lease_ports:
            script.append([Cycle(), *[Cycle(frozenset({"check"}))] * 2, Cycle()])  # one check behind another
        try:
            for cycles, shown in zip(script, drive(chosen, script, kind), strict=True):
                check_laws(chosen, cycles, shown)
            dishonest(chosen, 400, kind)
        except (AssertionError, RuntimeError):
            return False
    return True


@pytest.mark.parametrize("stated", BUGS, ids=lambda bug: bug.name)
def test_every_bug_has_its_place(stated: Bug) -> None:
    assert Planted(stated).file.read_text().count(stated.old) == 1


def test_the_guard_as_it_is_keeps_its_contract() -> None:
    with planted(None) as load:
        assert holds(load)


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_planted_bug_is_noticed(bug: Bug, soak: bool) -> None:
    if not soak and bug.name not in FEW:
        pytest.skip("the longer list belongs to the full count")
    with planted(bug) as load:
        assert not holds(load)
