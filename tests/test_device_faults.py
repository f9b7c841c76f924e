"""Faults between driver and device, with a real ledger behind: nothing leaves twice, nothing unpaid, no hang."""

import json
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from random import Random

import numpy as np
import pytest
from audit import Audit
from mischief import FaultyPort, TwinPort

from spikeveil.host.device.driver import Device
from spikeveil.host.device.errors import DeviceError
from spikeveil.host.privacy.ledger import Ledger
from spikeveil.pysim import FlipSpec, LayerSpec, Leak, NetworkSpec
from spikeveil.pysim import top as twin

NURSERY = Path(__file__).with_name("device_nursery.py")
STEPS, RECORDS = 16, 20
MEANS = (100, 200, 500, 1000)  # bytes between two faults; a long frame has 256


def network() -> NetworkSpec:
    """One small private layer."""
    rng = np.random.default_rng(4)
    weights = rng.integers(-8, 8, (20, 24))
    return NetworkSpec([LayerSpec(weights, 9, Leak.shift(3), weight_bits=4, flip=FlipSpec.for_epsilon(1.0, 8))])


@dataclass
class Tally:
    """What happened in many runs."""

    runs: int = 0
    right: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    steps: int = 0

    def __str__(self) -> str:
        faults = ", ".join(f"{kind} {count}" for kind, count in sorted(self.faults.items()))
        return (
            f"{sum(self.faults.values())} faults ({faults}), {dict(self.events)} in {self.runs} runs: {self.right} "
            f"right, {dict(self.errors)} with one sentence; {self.steps} steps left, each paid for, no mask twice"
        )


def one_run(seed: int, folder: Path, tally: Tally) -> None:
    """Some records over a line of some badness; every check that does not need the whole campaign."""
    dice, spec = Random(seed), network()
    spikes = np.random.default_rng(seed).random((RECORDS, STEPS, spec.inputs)) < 0.3
    device = twin.Device(spec)
    path = folder / f"{seed}.ledger"
    audit, port = Audit(path), TwinPort(device)
    faulty = FaultyPort(
        port,
        dice,
        mean=dice.choice(MEANS),
        power_cycle=lambda: port.twin.send(None) and None,
        tap=audit.hear,
    )
    with Ledger(path, state_directory=folder / "state") as ledger:
        ledger.create_budget("data", "record", 10**9, Fraction(1, 2))
        try:
            with Device.open(faulty) as host:
                host.load(spec)
                faulty.lost_after = dice.choice((0, 12, 40))  # from here on, the run must go on where it was
                released = host.run(spikes, ledger=ledger, budget="data", lease_records=dice.choice((3, 5, RECORDS)))
            audit.check_rows(released.spikes, released.leases, released.places, device.identity)
            tally.right += 1
        except DeviceError as error:
            assert len(str(error)) > 10 and "\n" not in str(error)
            tally.errors[type(error).__name__] += 1
        tally.steps += audit.check(spec, device.identity, ledger)
    tally.runs += 1
    tally.faults += faulty.done
    tally.events += faulty.events


def test_bytes_go_wrong(tmp_path: Path, soak: bool, capsys: pytest.CaptureFixture[str]) -> None:
    tally, seed = Tally(), 0
    while sum(tally.faults.values()) < (10_000 if soak else 400) or tally.runs < (200 if soak else 10):
        one_run(seed, tmp_path, tally)
        seed += 1
    with capsys.disabled():
        print(f"\n{tally}")
    assert tally.right > tally.runs / 2


@pytest.mark.parametrize("device", ["twin", pytest.param("gateware", marks=pytest.mark.verilator)])
def test_sigkill_and_power_cycles(device: str, tmp_path: Path, soak: bool, capsys: pytest.CaptureFixture[str]) -> None:
    """The host is killed with SIGKILL and the device loses its power, in the middle of whatever they do."""
    moments = 200 if soak else 6
    command = [sys.executable, str(NURSERY), str(tmp_path), str(moments), "11", device]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    counts = json.loads(done.stdout)
    with capsys.disabled():
        print(f"\n{device}: {counts}")
    assert counts["killed"] and counts["power cycles"] and counts["steps"]
    assert counts["leases"] >= counts["opened"]
