"""The cocotb test behind `test_exported_verilog`: runs inside the simulator and plays openings of leases one by one."""

import json
from pathlib import Path
from typing import Any

import cocotb
from cocotb.triggers import ReadOnly, Timer

PERIOD_NS = 2  # of the bench's clock, which rises in the middle of it


class Core:
    """The ports of the exported core on the bench: one call of `cycle` is one clock cycle."""

    def __init__(self, dut: Any) -> None:
        self._dut = dut

    async def cycle(self, *watch: str, **values: int) -> list[int]:
        """Set `values`, and read the ports `watch` before the clock rises."""
        for port, value in values.items():
            getattr(self._dut, port).value = value
        await ReadOnly()
        found = [int(getattr(self._dut, port).value) for port in watch]
        await Timer(PERIOD_NS, "ns")
        return found

    async def pulse(self, port: str) -> None:
        await self.cycle(**{port: 1})
        (result,) = await self.cycle("control__result", **{port: 0})
        self.results.append(result)

    async def open(self, opening: dict[str, Any]) -> list[int]:
        """Offer the lease as the command decoder does; the results of `check` and `begin`."""
        self.results: list[int] = []
        await self.cycle(control__offer=opening["offer"], control__loaded=1)
        await self.pulse("control__rewind")
        for command in ("control__check", "control__begin"):
            for byte in opening["secret"]:
                await self.cycle(control__secret__valid=1, control__secret__payload=byte)
            await self.cycle(control__secret__valid=0)
            await self.pulse(command)
        return self.results[1:]

    async def play(self, rows: list[int], cycles: int) -> tuple[int, list[int]]:
        """Offer `rows` and take what leaves: how many were taken, and the payloads."""
        taken, payloads = 0, []
        for _ in range(cycles):
            offered = rows[taken] if taken < len(rows) else 0
            watch = ("i__ready", "o__valid", "o__payload")
            values = {"i__valid": int(taken < len(rows)), "i__payload": offered, "o__ready": 1}
            ready, valid, payload = await self.cycle(*watch, **values)
            taken += ready and taken < len(rows)
            payloads += [payload] * valid
        await self.cycle(i__valid=0, o__ready=0)
        return taken, payloads


@cocotb.test()
async def run(dut: Any) -> None:
    """The openings of the file `+jobs`; what happened goes to the file `+responses`."""
    core, found = Core(dut), []
    for opening in json.loads(Path(str(cocotb.plusargs["jobs"])).read_text()):
        results = await core.open(opening)
        taken, payloads = await core.play(opening["rows"], opening["cycles"])
        found.append({"results": results, "taken": taken, "payloads": payloads})
    Path(str(cocotb.plusargs["responses"])).write_text(json.dumps(found))
