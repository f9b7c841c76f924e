"""The file that `spikeveil verilog` writes, in Verilator: its guard keeps a lease from being opened twice."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.backends import input_rows
from support.commands import invoke

from spikeveil.hdl.device.lease_control import Offer
from spikeveil.hdl.engine.plan import Plan
from spikeveil.host.cosim import cocotb_program, verilator_build
from spikeveil.pysim import FlipSpec, LayerSpec, Network, NetworkSpec, TriviumSource
from spikeveil.pysim.device.messages import ResultCode, reverse_key

KEY = bytes.fromhex("8f3a0b5c7d219e4466f0")
DICE = np.random.default_rng(3)
SPEC = NetworkSpec([LayerSpec(DICE.integers(-20, 40, (6, 3)), 30, flip=FlipSpec(1, 2))])
PLAN = Plan(SPEC, lanes=4)
SPIKES = DICE.random((2, 3, 4, 3)) < 0.5  # two inputs of three records of four steps


def opening(lease: int, spikes: NDArray[np.bool_]) -> dict[str, Any]:
    """What a host sends to open `lease` for `spikes`, and its rows."""
    records, steps, _ = spikes.shape
    offer = Offer().const({"lease": lease, "nonce": 77, "quota": records * steps, "record_steps": steps})
    cycles = (records * steps + PLAN.slots + 4) * PLAN.cadence
    rows = input_rows(PLAN, spikes)
    return {"offer": offer.as_bits(), "secret": list(reverse_key(KEY)), "rows": rows, "cycles": cycles}


def released(payloads: list[int]) -> NDArray[np.bool_]:
    """The spikes (records, steps, neurons) in the rows that left."""
    bits = [[value >> lane & 1 for lane in range(PLAN.o_lanes)] for value in payloads]
    return np.array(bits, bool).reshape(3, 4, -1)[..., : SPEC.layers[-1].neurons]


def play(folder: Path, openings: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Export the network, build the file in Verilator, and play the openings one after the other."""
    SPEC.save(folder / "small.snn")
    exported = folder / "small.v"
    arguments = ["verilog", str(folder / "small.snn"), "-o", str(exported), "--lanes", "4", "--top", "top", "--json"]
    report = json.loads(invoke(*arguments).stdout)
    ports = [(port["name"], port["bits"], port["direction"] == "in") for port in report["ports"]]
    sources = {"bench.v": cocotb_program.wrapper(ports), "top.v": exported.read_text()}
    built = verilator_build.build(cocotb_program.program((report["sha256"],), lambda: sources))
    jobs, responses = folder / "jobs.json", folder / "responses.json"
    jobs.write_text(json.dumps(openings))
    cocotb_program.simulate(built, folder, "support.exported_bench", {"jobs": jobs, "responses": responses})
    return list(json.loads(responses.read_text()))


@pytest.mark.verilator
def test_a_lease_of_the_exported_core_opens_once(tmp_path: Path) -> None:
    """Opened again under the same key and lease, with another input, nothing enters and nothing leaves: without that,
    the XOR of the two outputs would be the XOR of the raw spikes. The next lease has other flips.
    """
    first, again, after = play(tmp_path, [opening(5, SPIKES[0]), opening(5, SPIKES[1]), opening(6, SPIKES[1])])
    model = Network(SPEC, TriviumSource(KEY))
    assert first["results"] == [ResultCode.OK, ResultCode.OK]
    np.testing.assert_array_equal(released(first["payloads"]), model.run(SPIKES[0], lease=5).released)
    assert again == {"results": [ResultCode.STALE, ResultCode.MALFORMED], "taken": 0, "payloads": []}
    assert after["results"] == [ResultCode.OK, ResultCode.OK]
    np.testing.assert_array_equal(released(after["payloads"]), model.run(SPIKES[1], lease=6).released)
