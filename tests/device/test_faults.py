"""Faults between driver and device, with a real ledger behind: nothing leaves twice, nothing unpaid, no hang."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from random import Random

import numpy as np
import pytest
from support.audit import Audit
from support.device_crashes import board_spec, network
from support.exchanges import PATIENT
from support.faulty_port import FaultyPort, TwinPort
from support.paths import SUPPORT, TESTS

from spikeveil.host.device.driver import Device
from spikeveil.host.device.errors import DeviceError
from spikeveil.host.device.port import Port, SerialPort
from spikeveil.host.privacy.ledger import Ledger
from spikeveil.host.virtual.process import VirtualBoard
from spikeveil.pysim.device.identity import Identity, identity
from spikeveil.pysim.device.top import DeviceModel

pytestmark = pytest.mark.xdist_group("faults")  # its simulator is built once

CRASHES = SUPPORT / "device_crashes.py"
STEPS, RECORDS = 16, 20
MEANS = (100, 200, 500, 1000)  # bytes between two faults; a long frame has 256
MAX_EXTENSION = 20  # times as many runs as asked for, until one has ended right: a third of them have a line that stays


@dataclass
class Tally:
    """What happened in many runs."""

    runs: int = 0
    right: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    steps: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(**{name: value + getattr(other, name) for name, value in vars(self).items()})

    def __str__(self) -> str:
        faults = ", ".join(f"{kind} {count}" for kind, count in sorted(self.faults.items()))
        return (
            f"{sum(self.faults.values())} faults ({faults}), {dict(self.events)} in {self.runs} runs: {self.right} "
            f"right, {dict(self.errors)} with one sentence; {self.steps} steps left, each paid for, no mask twice"
        )


def one_run(
    seed: int, port: Port, power_cycle: Callable[[], None], identity: Identity, folder: Path, *, steady: bool = False
) -> Tally:
    """Some records over a line of some badness, none if `steady`, with every check.

    A line that vanishes too often may end a run with one sentence. One that stays, however bad, must not: the driver
    waits as long as the machine needs, so that no run over it ends for want of time.
    """
    dice, spec, tally = Random(seed), network(), Tally(runs=1)
    spikes = np.random.default_rng(seed).random((RECORDS, STEPS, spec.inputs)) < 0.3
    path = folder / f"{seed}.ledger"
    audit = Audit(path)
    faulty = FaultyPort(port, dice, mean=0 if steady else dice.choice(MEANS), power_cycle=power_cycle, tap=audit.record)
    with Ledger(path, state_directory=folder / "state") as ledger:
        ledger.create_budget("data", "record", 10**9, Fraction(1, 2))
        try:
            with Device.open(faulty, timing=PATIENT) as host:
                host.load(spec)
                if not steady:
                    faulty.lost_after = dice.choice((0, 12, 40))  # from here on, the run must go on where it was
                result = host.run(spikes, ledger=ledger, data_set="data", lease_records=dice.choice((3, 5, RECORDS)))
            audit.check_rows(result.released, result.leases, result.lease_indices, identity)
            tally.right += 1
        except DeviceError as error:
            assert faulty.lost_after, f"a line that never vanished ended a run: {error}"
            assert len(str(error)) > 10 and "\n" not in str(error)
            tally.errors[type(error).__name__] += 1
        tally.steps = audit.check(spec, identity, ledger)
    tally.faults, tally.events = faulty.fault_counts, faulty.events
    return tally


def at_the_twin(seed: int, folder: Path) -> Tally:
    """A run with the twin and its own clock."""
    device = DeviceModel(network())
    port = TwinPort(device)
    return one_run(seed, port, port.power_cycle, device.identity, folder)


def campaign(run: Callable[[int], Tally], faults: int, runs: int) -> Tally:
    """So many faults, in so many runs at least, and one of them right: how many are is the line's luck."""
    total, seed = Tally(), 0
    while sum(total.faults.values()) < faults or total.runs < runs or not total.right:
        assert total.runs < MAX_EXTENSION * runs or total.right, f"no run in so many ended right: {total}"
        total += run(seed)
        seed += 1
    return total


def test_bytes_go_wrong(tmp_path: Path, soak: bool, capsys: pytest.CaptureFixture[str]) -> None:
    total = campaign(lambda seed: at_the_twin(seed, tmp_path), *((10_000, 200) if soak else (400, 10)))
    with capsys.disabled():
        print(f"\ntwin: {total}")


@pytest.mark.verilator
def test_bytes_go_wrong_at_the_gateware(tmp_path: Path, soak: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """The same with the virtual board, in the time that it takes."""
    spec = board_spec()
    device = identity(spec.plan, clock_hz=spec.clock)
    with VirtualBoard(spec) as board:

        def run(seed: int, steady: bool = False) -> Tally:
            board.power_cycle()  # each run has a ledger of its own, and the board serves one at a time
            return one_run(seed, SerialPort(board.port), board.power_cycle, device, tmp_path, steady=steady)

        total = campaign(run, *((1000, 20) if soak else (30, 2)))
        assert run(1_000_000, steady=True).right
    with capsys.disabled():
        print(f"\ngateware: {total}")


@pytest.mark.parametrize("device", ["twin", pytest.param("gateware", marks=pytest.mark.verilator)])
def test_sigkill_and_power_cycles(device: str, tmp_path: Path, soak: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """The host is killed with SIGKILL and the device loses its power, in the middle of whatever they do."""
    moments = 200 if soak else 6
    command = [sys.executable, str(CRASHES), str(tmp_path), str(moments), "11", device]
    environment = os.environ | {"PYTHONPATH": str(TESTS)}
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    counts = json.loads(done.stdout)
    with capsys.disabled():
        print(f"\n{device}: {counts}")
    assert counts["killed"] and counts["power cycles"] and counts["steps"]
    assert counts["leases"] >= counts["opened"]
