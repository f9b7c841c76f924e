"""The guard: command by command and cycle by cycle against its twin, and against laws that know no model."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Const, Module, ResetInserter, Signal
from amaranth.lib import wiring
from support.component import run

from spikeveil.hdl.device.guard import Guard
from spikeveil.hdl.device.secret import SECRET_PORTS, SecretRegister
from spikeveil.hdl.engine.plan import Plan
from spikeveil.pysim.device import guard as model
from spikeveil.pysim.device.guard import Offer
from spikeveil.pysim.device.messages import ResultCode, reverse_key
from spikeveil.pysim.model.decision import Decision, OneHotDecision, RandomisedDecision
from spikeveil.pysim.model.flipper import FlipSpec
from spikeveil.pysim.model.spec import LayerSpec, NetworkSpec

MOST = (1 << 32) - 1
GOOD = Offer(lease=7, nonce=0xDEAD_BEEF, quota=2, record_steps=2)
KEY = bytes(range(1, 11))


def plan(flippers: int = 1, *, inputs: int = 20, outputs: int = 5, readout: bool = False, **options: Any) -> Plan:
    """By default two rows in and three rows out a step."""
    flip = [FlipSpec(3, 7)] * flippers + [None] * (2 - flippers)
    hidden = LayerSpec(np.ones((4, inputs), int), threshold=3, flip=flip[0])
    shown = LayerSpec(
        np.ones((outputs, 4), int), threshold=None if readout else 3, flip=flip[1], state_bits=5, readout=readout
    )
    return Plan(NetworkSpec([hidden, shown]), **{"lanes": 2, "schedule": "fast", "unsafe": True, **options})


KARY = Decision(5, 3, 4)


def deciding(
    decision: RandomisedDecision = KARY, *, steps: int = 3, inputs: int = 20, flippers: int = 1, **options: Any
) -> Plan:
    """One decision a record, of one row; by default two rows in a step, and a flipper before the decision."""
    layers = plan(flippers, inputs=inputs).spec.layers
    return replace(plan(), spec=NetworkSpec(layers, decision=decision, steps=steps), **options)


@dataclass(frozen=True)
class Cycle:
    """The guard's inputs in one cycle."""

    command: frozenset[str] = frozenset()
    offer: Offer = GOOD
    byte: int | None = None
    loaded: bool = True
    i: int | None = None  # a row that is offered
    i_ready: bool = True
    inside: int | None = None
    o_ready: bool = True


@dataclass
class Twin:
    """The model in cycles: what the gateware's outputs must show, and what a clock edge does."""

    plan: Plan
    guard: model.Guard = field(init=False)
    result: ResultCode = ResultCode.OK
    start: bool = False
    inside: int = 0  # rows that the network has to give

    def __post_init__(self) -> None:
        plan = self.plan
        word_sources, rows = len(plan.spec.randomised), {"i_rows": plan.i_rows, "o_rows": plan.o_rows}
        self.guard = model.Guard(plan.source, word_sources, **rows, decision_steps=plan.spec.steps)

    def shows(self, cycle: Cycle) -> dict[str, Any]:
        """The outputs in a cycle, before its edge."""
        guard = self.guard
        admits, passes = guard.admits and not self.start, not guard.reset
        return {
            "open": guard.open,
            "lease": guard.lease,
            "nonce": guard.nonce,
            "quota": guard.quota,
            "result": self.result,
            "start": self.start,
            "reset": guard.reset,
            "network_i.valid": admits and cycle.i is not None,
            "i.ready": admits and cycle.i_ready,
            "o.valid": passes and cycle.inside is not None,
            "network_o.ready": passes and cycle.o_ready,
            **(self.secret() if guard.open else {}),
        }

    def secret(self) -> dict[str, int]:
        """The ports of an open lease that carry its secret."""
        secret, ports = self.guard.secret, self.plan.lease_ports
        if "key" in ports:
            return {"key": int.from_bytes(reverse_key(secret), "big"), "record": 0}
        seeds = [int.from_bytes(secret[at : at + 16], "little") % (1 << 127) for at in range(0, len(secret), 16)]
        return {"seeds": sum(seed << 127 * index for index, seed in enumerate(seeds))} if "seeds" in ports else {}

    def honest(self, cycle: Cycle) -> Cycle:
        """The cycle, in which the network only shows what it may have computed."""
        return cycle if self.inside else replace(cycle, inside=None)

    def edge(self, cycle: Cycle) -> tuple[tuple[bool, bool] | None, bool | None]:
        """Move rows, then execute the command: the markers of a row that entered, and of one that left."""
        shown, guard = self.shows(cycle), self.guard
        entered = guard.enter() if shown["network_i.valid"] and cycle.i_ready else None
        left = guard.leave() if shown["o.valid"] and cycle.o_ready else None
        complete = entered is not None and entered[self.plan.spec.decision is not None]
        self.inside += self.plan.o_rows * complete - (left is not None)
        self.start = rewound = False
        if "close" in cycle.command:
            guard.close()
        elif "check" in cycle.command:
            self.result = guard.check(cycle.offer, loaded=cycle.loaded)
            rewound = self.result is ResultCode.OK
        elif "begin" in cycle.command:
            self.result = guard.begin()
            self.start = self.result is ResultCode.OK
        elif "rewind" in cycle.command:
            guard.rewind()
            rewound = True
        if cycle.byte is not None and not rewound:
            guard.receive(bytes([cycle.byte]))
        self.inside = 0 if guard.reset else self.inside
        return entered, left


class Resettable(wiring.Component):
    """A guard whose power may be taken away."""

    power_on: Signal

    def __init__(self, plan: Plan, kind: type[Guard] = Guard) -> None:
        self.guard = kind(plan)
        super().__init__({"power_on": wiring.In(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.guard = ResetInserter(self.power_on)(self.guard)
        return m


Shown = dict[str, int]


def drive(plan: Plan, scripts: Iterable[Iterable[Cycle]], kind: type[Guard] = Guard) -> list[list[Shown]]:
    """Play scripts, each from power-on; every output is held to the twin in every cycle, and returned."""
    dut: Any = Resettable(plan, kind)
    guard = dut.guard
    seen: list[list[Shown]] = []

    async def bench(ctx: Any) -> None:
        for script in scripts:
            ctx.set(dut.power_on, 1)
            await ctx.tick()
            ctx.set(dut.power_on, 0)
            twin = Twin(plan)
            seen.append([])
            for cycle in script:
                cycle = twin.honest(cycle)
                apply(ctx, guard, cycle)
                shown = sample(ctx, guard, plan)
                expected = twin.shows(cycle)
                assert {name: shown[name] for name in expected} == expected, (len(seen[-1]), cycle)
                entered, left = twin.edge(cycle)
                if entered is not None:
                    assert shown["network_i.payload"] == cycle.i % (1 << 16) | entered[0] << 16 | entered[1] << 17
                if left is not None:
                    assert shown["o.step_end"] == left
                seen[-1].append(shown)
                await ctx.tick()

    run(dut, bench)
    return seen


def apply(ctx: Any, guard: Any, cycle: Cycle) -> None:
    for name in ("close", "check", "begin", "rewind"):
        ctx.set(getattr(guard.control, name), name in cycle.command)
    for name in ("lease", "nonce", "quota", "record_steps"):
        ctx.set(guard.control.offer[name], getattr(cycle.offer, name))
    ctx.set(guard.control.secret.valid, cycle.byte is not None)
    ctx.set(guard.control.secret.payload, cycle.byte or 0)
    ctx.set(guard.control.loaded, cycle.loaded)
    for port, value in ((guard.i, cycle.i), (guard.network_o, cycle.inside)):
        ctx.set(port.valid, value is not None)
        ctx.set(port.payload.as_value(), value or 0)
    ctx.set(guard.network_i.ready, cycle.i_ready)
    ctx.set(guard.o.ready, cycle.o_ready)


def sample(ctx: Any, guard: Any, plan: Plan) -> Shown:
    shown = {name: int(ctx.get(getattr(guard.control, name))) for name in ("open", "lease", "nonce", "quota", "start")}
    shown |= {name: int(ctx.get(getattr(guard, name))) for name in ("reset", *plan.lease_ports)}
    return shown | {
        "result": int(ctx.get(guard.control.result)),
        "network_i.valid": ctx.get(guard.network_i.valid),
        "network_i.payload": ctx.get(guard.network_i.payload.as_value()),
        "i.ready": ctx.get(guard.i.ready),
        "o.valid": ctx.get(guard.o.valid),
        "o.bits": ctx.get(guard.o.payload.bits),
        "o.step_end": ctx.get(guard.o.payload.step_end),
        "o.payload": ctx.get(guard.o.payload.as_value()),
        "network_o.ready": ctx.get(guard.network_o.ready),
    }


def opening(offer: Offer, secret: bytes, *, loaded: bool = True) -> list[Cycle]:
    """Everything that an OPEN message does."""
    bytes_in = [Cycle(offer=offer, byte=byte) for byte in secret]
    check = Cycle(frozenset({"check"}), offer, loaded=loaded)
    return [Cycle(frozenset({"rewind"})), *bytes_in, check, *bytes_in, Cycle(frozenset({"begin"}))]


def standing(script: Iterable[Cycle]) -> list[Cycle]:
    """The script in which every offer is stable for a cycle before its check."""
    cycles: list[Cycle] = []
    for cycle in script:
        before = cycles[-1] if cycles else Cycle()
        if "check" in cycle.command and ("check" in before.command or before.offer != cycle.offer):
            cycles.append(replace(cycle, command=frozenset(), byte=None))
        cycles.append(cycle)
    return cycles


def test_an_ask_behind_another_is_refused() -> None:
    """The number that is offered is compared a cycle ahead, with what was the highest then."""
    bare = plan(0, source="lfsr", inputs=3, outputs=4)
    check = Cycle(frozenset({"check"}))
    dut: Any = Guard(bare)
    seen = []

    async def bench(ctx: Any) -> None:
        for cycle in [Cycle(), check, check, Cycle(offer=replace(GOOD, lease=9)), replace(check, offer=GOOD), Cycle()]:
            apply(ctx, dut, cycle)
            await ctx.tick()
            seen.append((ResultCode(ctx.get(dut.control.result)), ctx.get(dut.control.lease)))

    run(dut, bench)
    assert seen[1:3] == [(ResultCode.OK, 7), (ResultCode.STALE, 7)]
    assert seen[4] == (ResultCode.OK, 9)  # the offer of the cycle before counts: 9, not 7


def test_a_lease_from_end_to_end() -> None:
    """Numbers by hand: quota 2, records of 2 steps, 2 rows in and 3 rows out a step, each as early as it may."""
    rows = [Cycle(i=10 + n, inside=(n % 4) | 3 << 2) for n in range(12)]
    (shown,) = drive(plan(), [[*opening(GOOD, KEY), *rows]])
    lease = shown[len(shown) - len(rows) :]
    assert [row["start"] for row in lease] == [1] + [0] * 11
    assert [row["quota"] for row in lease] == [2, 2, 2, 2, 1, 1, 1, 0, 0, 0, 0, 0]
    assert [row["open"] for row in lease] == [1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0]
    assert [row["o.valid"] for row in lease] == [0, 0, 0, 1, 1, 1, 1, 1, 1, 0, 0, 0]
    assert [row["reset"] for row in lease] == [0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1]
    assert [row["o.bits"] for row in lease] == [0, 0, 0, 3, 0, 1, 2, 3, 0, 0, 0, 0]
    assert [row["o.step_end"] for row in lease] == [0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0]
    entered = [row["network_i.payload"] for row in lease if row["network_i.valid"] and row["i.ready"]]
    assert entered == [11, 12 | 1 << 16, 13, 14 | 3 << 16]
    assert {row["lease"] for row in lease} == {7}
    assert {row["nonce"] for row in lease} == {0xDEAD_BEEF}


def test_a_lease_of_decisions_from_end_to_end() -> None:
    """By hand: quota 2, records of 3 steps, 2 rows a step: 12 rows enter, and two decisions of one row leave."""
    offer = replace(GOOD, record_steps=3)
    rows = [Cycle(i=10 + n, inside=3 if n in (7, 14) else None) for n in range(17)]
    (shown,) = drive(deciding(), [[*opening(offer, KEY), *rows]])
    lease = shown[len(shown) - len(rows) :]
    entered = [row["network_i.payload"] >> 16 for row in lease if row["network_i.valid"] and row["i.ready"]]
    assert entered == [0, 1, 0, 1, 0, 3] * 2  # 12 rows: two records, and no step of a third
    assert [row["quota"] for row in lease] == [2] * 8 + [1] * 7 + [0] * 2
    assert [n for n, row in enumerate(lease) if row["o.valid"]] == [7, 14]
    assert [row["open"] for row in lease] == [1] * 15 + [0] * 2
    assert [row["o.step_end"] for row in lease if row["o.valid"]] == [1, 1]


def test_a_record_begins_only_where_its_decision_may_leave() -> None:
    """Quota 1: a record enters whole, and the next one does not begin while the decision waits."""
    rows = [Cycle(i=1) for _ in range(20)]
    (shown,) = drive(deciding(), [[*opening(replace(GOOD, quota=1, record_steps=3), KEY), *rows]])
    assert sum(row["network_i.valid"] and row["i.ready"] for row in shown) == 6


@pytest.mark.parametrize(
    ("steps", "result"),
    [(0, "MALFORMED"), (1, "MALFORMED"), (2, "MALFORMED"), (3, "OK"), (4, "MALFORMED"), (3 + 256, "MALFORMED")],
)
def test_a_decision_is_about_a_record_of_the_specified_steps(steps: int, result: str) -> None:
    """Otherwise one record could be cut into several decisions."""
    (shown,) = drive(deciding(), [[*opening(replace(GOOD, record_steps=steps), KEY), Cycle()]])
    assert shown[-1]["result"] == ResultCode[result]
    assert shown[-1]["open"] == (result == "OK")
    assert model.Guard("trivium", 2, decision_steps=3).open_lease(replace(GOOD, record_steps=steps), KEY).name == result


def test_records_are_counted_by_the_guard_whatever_the_markers_say() -> None:
    offer = replace(GOOD, quota=5, record_steps=2)
    rows = [Cycle(i=3 << 16) for _ in range(14)]
    (shown,) = drive(plan(), [[*opening(offer, KEY), *rows]])
    entered = [row["network_i.payload"] >> 16 for row in shown if row["network_i.valid"] and row["i.ready"]]
    assert entered == [0, 1, 0, 3, 0, 1, 0, 3, 0, 1]


def test_a_key_reaches_the_network_as_its_bytes_are_printed() -> None:
    """OPEN's byte i is byte 9 - i of the printed key, its bits reversed: 0x80 first prints as ... 01."""
    secret = bytes([0x80, 0x40, 0, 0, 0, 0, 0, 0, 0, 0x01])
    (shown,) = drive(plan(), [[*opening(GOOD, secret), Cycle()]])
    assert shown[-1]["key"] == 0x80_00_00_00_00_00_00_00_02_01
    assert shown[-1]["record"] == 0
    assert [row["key"] for row in shown[:12]] == [0] * 12  # the first pass is only checked


def test_seeds_are_side_by_side_and_none_may_be_zero() -> None:
    lfsr = plan(2, source="lfsr")
    one, top, two = (1).to_bytes(16, "little"), (1 << 127).to_bytes(16, "little"), (2 << 120).to_bytes(16, "little")
    scripts = [[*opening(GOOD, secret), Cycle()] for secret in (one + two, one + top, top + one, two + bytes(16))]
    shown = [script[-1] for script in drive(lfsr, scripts)]
    assert [row["open"] for row in shown] == [1, 0, 0, 0]
    assert shown[0]["seeds"] == 1 | (2 << 120) << 127
    assert [row["result"] for row in shown] == [
        ResultCode.OK,
        ResultCode.MALFORMED,
        ResultCode.MALFORMED,
        ResultCode.MALFORMED,
    ]
    assert [row["lease"] for row in shown] == [7, 0, 0, 0]


@pytest.mark.parametrize(
    ("offer", "secret", "loaded", "result"),
    [
        (replace(GOOD, quota=0), KEY, True, ResultCode.MALFORMED),
        (replace(GOOD, record_steps=0), KEY, False, ResultCode.MALFORMED),
        (replace(GOOD, lease=1 << 39), KEY, True, ResultCode.MALFORMED),
        (replace(GOOD, lease=9), KEY[:9], True, ResultCode.MALFORMED),
        (replace(GOOD, lease=9), KEY + b"\0", True, ResultCode.MALFORMED),
        (replace(GOOD, lease=5), KEY, False, ResultCode.UNLOADED),
        (replace(GOOD, lease=6), KEY, True, ResultCode.STALE),
        (replace(GOOD, lease=0), KEY, True, ResultCode.STALE),
        (replace(GOOD, lease=7), KEY, True, ResultCode.OK),
    ],
)
def test_a_refused_offer_changes_nothing(offer: Offer, secret: bytes, loaded: bool, result: ResultCode) -> None:
    """Lease 6 is open and goes on, or ends in the cycle of the judgement."""
    first = opening(replace(GOOD, lease=6, nonce=1, quota=9), KEY)
    second = opening(offer, secret, loaded=loaded)
    judged = len(first) + len(secret) + 2
    (shown,) = drive(plan(), [[*first, *second, Cycle()]])
    assert shown[judged]["result"] == result
    kept = {"lease": 6, "nonce": 1, "quota": 9, "open": 1, "reset": 0, "key": shown[len(first)]["key"]}
    if result is ResultCode.OK:
        kept = {"lease": 7, "nonce": 0xDEAD_BEEF, "quota": 2, "open": 0, "reset": 1}
    assert {name: shown[judged][name] for name in kept} == kept


def ends_of_a_lease() -> list[list[Cycle]]:
    """A lease that is opened, then closed by the host; closed before it begins; ended by its quota."""
    close, begun = Cycle(frozenset({"close"})), opening(GOOD, KEY)
    short = opening(replace(GOOD, quota=1), KEY)
    leaving = [Cycle(i=1, i_ready=True), *[Cycle(inside=3, o_ready=True)] * 40]
    return [[*begun, close, Cycle(), Cycle()], [*begun[:-1], close, Cycle(), Cycle()], [*short, *leaving, Cycle()]]


def kept_secrets(shown: list[list[Shown]]) -> list[int]:
    """The key two cycles or more after the lease has ended, while the network is in reset."""
    return [script[-1]["key"] for script in shown if script[-1]["reset"] and script[-2]["reset"]]


def test_the_secret_is_zero_while_the_network_is_in_reset() -> None:
    shown = drive(plan(), ends_of_a_lease())
    assert any(row["key"] for row in shown[0])
    assert kept_secrets(shown)[:2] == [0, 0]


def test_a_secret_that_is_never_cleared_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    class Kept(SecretRegister):
        def elaborate(self, platform: object) -> Module:
            self.clear = Const(0)  # type: ignore[assignment]
            return super().elaborate(platform)

    monkeypatch.setattr("spikeveil.hdl.device.guard.SecretRegister", Kept)
    assert any(kept_secrets(drive(plan(), ends_of_a_lease())))


def test_what_begins_must_have_been_asked_for_with_the_whole_secret() -> None:
    begin, check, rewind = (Cycle(frozenset({name})) for name in ("begin", "check", "rewind"))
    received = [Cycle(byte=byte) for byte in KEY]
    scripts = [
        [rewind, *received, begin],  # not checked
        [rewind, *received, check, begin],  # the secret only once
        [rewind, *received, check, *received[1:], begin],
        [rewind, *received, check, *received, received[0], begin],
        [rewind, *received, check, rewind, *received, begin],
        [rewind, *received, check, *received, Cycle(frozenset({"close"})), begin],
        [rewind, *received, check, *received, begin, begin],  # it opens once
    ]
    shown = drive(plan(), [[*script, Cycle(), Cycle()] for script in scripts])
    assert [script[-2]["result"] for script in shown] == [ResultCode.MALFORMED] * 7
    assert [script[-1]["open"] for script in shown] == [0, 0, 0, 0, 0, 0, 1]


def test_every_short_order_of_commands(soak: bool) -> None:
    """All sequences of three words (five) from power-on, each with rows offered on both sides throughout."""
    bare = plan(0, source="lfsr", inputs=3, outputs=4)  # no secret: an order of commands is only commands
    words = [Cycle(frozenset({name}), i=1, inside=3) for name in ("close", "begin", "rewind")]
    words += [Cycle(frozenset({"check"}), replace(GOOD, lease=lease, quota=1), i=1, inside=3) for lease in (1, 2)]
    words += [
        Cycle(i=1, inside=3),
        Cycle(frozenset({"check", "begin"}), replace(GOOD, lease=3, quota=1), i=1, inside=3),
    ]
    scripts = [
        standing([*script, Cycle(i=1, inside=3), Cycle(i=1, inside=3)])
        for script in product(words, repeat=5 if soak else 3)
    ]
    for script, shown in zip(scripts, drive(bare, scripts), strict=True):
        check_laws(bare, script, shown)


def dishonest(chosen: Plan, cycles: int, kind: type[Guard] = Guard) -> list[Shown]:
    """The outputs of a guard whose network offers a row in every cycle; they keep every law."""
    dut: Any = kind(chosen)
    script = [replace(cycle, inside=1) for cycle in Hostile(np.random.default_rng(6), chosen).script(cycles)]
    shown: list[Shown] = []

    async def bench(ctx: Any) -> None:
        for cycle in script:
            apply(ctx, dut, cycle)
            shown.append(sample(ctx, dut, chosen))
            await ctx.tick()

    run(dut, bench)
    check_laws(chosen, script, shown, honest=False)
    return shown


@pytest.mark.parametrize("chosen", [plan(), deciding()], ids=["spikes", "decisions"])
def test_a_network_that_makes_up_rows_gets_none_through(chosen: Plan) -> None:
    """It releases no more than was leased, and only complete steps."""
    assert sum(row["start"] for row in dishonest(chosen, 1500)) > 5


@dataclass
class Hostile:
    """Random cycles, leaning towards those that make a lease."""

    rng: np.random.Generator
    plan: Plan
    lease: int = 0

    def script(self, cycles: int) -> Iterator[Cycle]:
        pending: list[Cycle] = []
        size = model.secret_bytes(self.plan.source, len(self.plan.spec.randomised))
        while cycles > 0:
            if not pending and self.rng.random() < 0.2:
                secret = self.rng.bytes(size + int(self.rng.choice([0, 0, 0, 0, -1, 1])) if size else 0)
                secret = bytes(len(secret)) if self.rng.random() < 0.1 else secret
                pending = opening(self.offer(), secret, loaded=self.rng.random() < 0.9)
            cycle = pending.pop(0) if pending and self.rng.random() < 0.99 else self.noise()
            yield replace(cycle, **self.rows())
            cycles -= 1

    def offer(self) -> Offer:
        self.lease += int(self.rng.choice([-1, 0, 1, 1, 1, 1, 1, 5]))
        return Offer(
            lease=max(0, self.lease),
            nonce=int(self.rng.integers(0, MOST, endpoint=True)),
            quota=int(self.rng.choice([0, 1, 2, 3, 7, 30, 30, MOST, MOST])),
            record_steps=int(self.rng.choice([0, 1, 2, 3, 3, 3, 65535, 65535, *[self.plan.spec.steps or 3] * 30])),
        )

    def noise(self) -> Cycle:
        names = ("close", "check", "begin", "rewind")
        command = frozenset(name for name in names if self.rng.random() < 0.02)
        return Cycle(command, self.offer() if "check" in command else GOOD)

    def rows(self) -> dict[str, Any]:
        i, inside = (int(value) for value in self.rng.integers(0, 1 << 16, 2))
        offers, takes = self.rng.random(2) < 0.7, self.rng.random(2) < 0.8
        return {
            "i": i if offers[0] else None,
            "inside": inside % 16 if offers[1] else None,
            "i_ready": bool(takes[0]),
            "o_ready": bool(takes[1]),
        }


PLANS = {
    "trivium, 2 rows in, 3 out": plan(),
    "one row in and out": plan(inputs=3, outputs=2),
    "two seeds": plan(2, source="lfsr"),
    "no secret": plan(0, source="lfsr"),
    "potentials": plan(readout=True),
    "decisions": deciding(),
    "decisions about one step": deciding(steps=1, inputs=3),
    "one-hot decisions, a seed": deciding(OneHotDecision(5, 9, 1, 4), flippers=0, source="lfsr"),
}


@pytest.mark.parametrize("chosen", PLANS.values(), ids=PLANS.keys())
def test_random_commands_against_the_twin(chosen: Plan, soak: bool) -> None:
    """Every output in every cycle; then the laws. Each lease ends in one of its ways: spent, closed, followed."""
    rng = np.random.default_rng(4)
    scripts = [standing(Hostile(rng, chosen).script(600)) for _ in range(200 if soak else 4)]
    ends = {"spent": 0, "ended": 0, "leases": 0}
    for script, shown in zip(scripts, drive(chosen, scripts), strict=True):
        check_laws(chosen, script, shown, ends)
    assert min(ends.values()) >= 2, ends


def in_offers(script: list[Cycle], shown: list[Shown]) -> Iterator[bool]:
    """For each cycle, whether in it or in the one before an offer stood granted: the secret may be stored."""
    granted = False
    yield False
    for cycle, after in zip(script, shown[1:], strict=False):
        before, granted = granted, granted and not cycle.command & {"close", "begin", "rewind"}
        if cycle.command & {"close", "check"} == {"check"}:
            granted = before or after["result"] == ResultCode.OK
        yield granted or before


def check_laws(
    plan: Plan, script: list[Cycle], shown: list[Shown], ends: dict[str, int] | None = None, *, honest: bool = True
) -> None:
    """Rules that hold from power-on, independent of the model."""
    granted, left, entered, before, steps = 0, 0, 0, shown[0], plan.spec.steps or 1
    assert shown[0]["reset"]
    for cycle, now, in_offer in zip(script, shown, in_offers(script, shown), strict=True):
        if now["start"]:
            assert before["reset"]
            assert not now["i.ready"]
            if ends is not None and granted:
                ends["leases"] += 1
                ends["spent" if left == granted * plan.o_rows else "ended"] += 1
            granted, left, entered = now["quota"], 0, 0
        elif now["open"]:
            assert now["quota"] <= before["quota"]
        assert now["lease"] >= before["lease"]
        left += now["o.valid"] and cycle.o_ready
        entered += now["network_i.valid"] and cycle.i_ready
        assert left <= granted * plan.o_rows
        assert entered <= granted * plan.i_rows * steps or not honest
        assert now["o.valid"] or now["o.payload"] == 0
        if now["reset"]:
            assert not any(now[name] for name in ("o.valid", "network_o.ready", "network_i.valid", "i.ready", "open"))
        elif not now["start"]:
            assert all(now[name] == before[name] for name in plan.lease_ports)
        if now["reset"] and before["reset"] and not in_offer:
            assert not any(now[name] for name in plan.lease_ports if name in SECRET_PORTS), "a secret is kept"
        before = now
