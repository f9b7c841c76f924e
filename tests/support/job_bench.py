"""The cocotb test behind `simulators.verilator`: runs inside the simulator and plays all jobs at once."""

import json
from pathlib import Path
from typing import Any

import cocotb
from cocotb.triggers import ReadOnly, Timer
from support.jobs import Job, Playback, Stalls

PERIOD_NS = 2  # of the bench's clock, which rises in the middle of it


class Ports:
    """The ports of one job's component on the bench, where their names begin with the job's."""

    def __init__(self, dut: Any, job: str) -> None:
        self._dut, self._job = dut, job
        self._values: dict[str, int] = {}
        self._handles: dict[str, Any] = {}

    def set(self, values: dict[str, int]) -> None:
        """Set the ports whose values changed: each write costs time."""
        for port, value in values.items():
            if self._values.get(port) != value:
                self._handle(port).value = self._values[port] = value

    def get(self, port: str) -> int:
        return int(self._handle(port).value)

    def _handle(self, port: str) -> Any:
        if port not in self._handles:
            self._handles[port] = getattr(self._dut, f"{self._job}__{port}")
        return self._handles[port]


@cocotb.test()
async def run(dut: Any) -> None:
    """The jobs of the file `+jobs`; their responses go to the file `+responses`."""
    jobs = json.loads(Path(str(cocotb.plusargs["jobs"])).read_text())
    for job in jobs.values():
        job["stalls"] = Stalls(**job["stalls"])
    playing = {name: (Playback(Job(**job)), Ports(dut, name)) for name, job in jobs.items()}
    for cycle in range(max(job["cycles"] for job in jobs.values())):
        active = [(play, ports) for play, ports in playing.values() if cycle < play.job.cycles]
        for play, ports in active:
            ports.set(play.inputs(cycle))
        await ReadOnly()
        for play, ports in active:
            play.observe(cycle, {port: ports.get(port) for port in play.outputs})
        await Timer(PERIOD_NS, "ns")
    responses = {name: play.finish() for name, (play, _) in playing.items()}
    Path(str(cocotb.plusargs["responses"])).write_text(json.dumps(responses))
