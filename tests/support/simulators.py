"""Simulators of components: from runs, each a component and its job, to responses."""

import hashlib
import json
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import Out
from amaranth.sim import Simulator
from support.jobs import Job, Playback, Response

from spikeveil.host.cosim import cocotb_program, verilator_build

Run = tuple[Any, Job]  # the component, and what to do with it


def simulate(component: Any, job: Job) -> Response:
    """One run in Amaranth's simulator."""
    playback = Playback(job)
    ports = {"__".join(map(str, path)): as_value(port) for path, _, port in component.signature.flatten(component)}

    async def bench(ctx: Any) -> None:
        for cycle in range(job.cycles):
            for name, value in playback.inputs(cycle).items():
                ctx.set(ports[name], value)
            playback.observe(cycle, {name: ctx.get(ports[name]) for name in playback.outputs})
            await ctx.tick()

    simulator = Simulator(component)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()
    return playback.finish()


def amaranth_sim(cases: dict[str, Any], run_of: Callable[[Any], Run]) -> dict[str, Response]:
    return {name: simulate(*run_of(case)) for name, case in cases.items()}


def verilator(cases: dict[str, Any], run_of: Callable[[Any], Run]) -> dict[str, Response]:
    """All runs in one program, which is kept in the cache of simulators."""
    runs = {name: run_of(case) for name, case in cases.items()}
    names = {name: f"run_{index}" for index, name in enumerate(runs)}  # what Verilog takes for a name
    top = SideBySide({names[name]: component for name, (component, _) in runs.items()})
    sources = cocotb_program.bench_sources(top)
    digest = hashlib.sha256("".join(sources.values()).encode()).hexdigest()
    built = verilator_build.build(cocotb_program.program((digest,), lambda: sources))
    with tempfile.TemporaryDirectory() as folder:
        jobs, responses = Path(folder, "jobs.json"), Path(folder, "responses.json")
        jobs.write_text(json.dumps({names[name]: asdict(job) for name, (_, job) in runs.items()}))
        plusargs = {"jobs": jobs, "responses": responses}
        cocotb_program.simulate(built, Path(folder), "support.job_bench", plusargs)
        content = json.loads(responses.read_text())
    return {
        name: {port: [(cycle, value) for cycle, value in line] for port, line in content[names[name]].items()}
        for name in runs
    }


class SideBySide(wiring.Component):
    """Components without a connection, each with its ports under its own name."""

    def __init__(self, components: dict[str, Any]) -> None:
        self._components = components
        super().__init__({name: Out(component.signature) for name, component in components.items()})

    def elaborate(self, platform: object) -> Module:
        m = Module()
        for name, component in self._components.items():
            m.submodules[name] = component
            wiring.connect(m, wiring.flipped(getattr(self, name)), component)
        return m


def as_value(port: Any) -> Any:
    return port.as_value() if hasattr(port, "as_value") else port


def backends(
    model: Callable[[Any], Any], run_of: Callable[[Any], Run], result_of: Callable[[Any, Response], Any], group: str
) -> list[Any]:
    """The parameters of a fixture: the golden model and both simulators, each a function from cases to results.

    `model`: the result of a case by the golden model. `run_of`: the run of a case. `result_of`: the result of a case
    out of the response to its run. `group`: tests of one group share a Verilator build, so one process runs them.
    """

    def golden(cases: dict[str, Any]) -> dict[str, Any]:
        return {name: model(case) for name, case in cases.items()}

    def simulated(simulator: Callable[..., dict[str, Response]]) -> Callable[..., dict[str, Any]]:
        def results(cases: dict[str, Any]) -> dict[str, Any]:
            responses = simulator(cases, run_of)
            return {name: result_of(case, responses[name]) for name, case in cases.items()}

        return results

    marks = [pytest.mark.verilator, pytest.mark.xdist_group(group)]
    return [
        pytest.param(golden, id="golden"),
        pytest.param(simulated(amaranth_sim), id="amaranth_sim"),
        pytest.param(simulated(verilator), id="verilator", marks=marks),
    ]
