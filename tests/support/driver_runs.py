"""The network, the records and the checks that the tests of the driver share."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from spikeveil.host.device.driver import Device
from spikeveil.host.device.keys import Secrets
from spikeveil.host.device.link import Timing
from spikeveil.host.device.record_run import RunProgress, RunResult
from spikeveil.host.device.twin_board import TwinBoard
from spikeveil.host.privacy.ledger import Ledger
from spikeveil.pysim import Decision, FlipSpec, LayerSpec, Network, NetworkSpec, OneHotDecision, TriviumSource

DICE = np.random.default_rng(3)
KEY = bytes.fromhex("d7098d7a5b8f27cdfb58")
STEPS = 6
RECORDS = 24
HIDDEN = LayerSpec(DICE.integers(-9, 20, (9, 40)), 30, flip=FlipSpec(60, 8), input_cap=3)
LAST = LayerSpec(DICE.integers(-9, 20, (11, 9)), 25, flip=FlipSpec(1, 3), spike_limit=20)
SPEC = NetworkSpec([HIDDEN, LAST])
READOUT = NetworkSpec([HIDDEN, LayerSpec(DICE.integers(-9, 20, (3, 9)), readout=True, state_bits=13)])
DECIDING = [HIDDEN, LayerSpec(DICE.integers(-9, 20, (10, 9)), 25)]
DECISIONS = NetworkSpec(DECIDING, decision=Decision(5, 12, 8), steps=STEPS)
ONE_HOT = NetworkSpec(DECIDING, decision=OneHotDecision(10, 60000, 9000, 16), steps=STEPS)
SPIKES = DICE.random((RECORDS, STEPS, 40)) < 0.1
QUICK = Timing(answer=0.05, minimum=0.01, silence=600.0, stall=600.0, reconnect=600.0)
IMPATIENT = replace(QUICK, silence=0.5)


def run(board: TwinBoard, ledger: Ledger, spec: NetworkSpec = SPEC, **options: Any) -> RunResult:
    with Device.open(str(board.path), timing=QUICK) as device:
        device.load(spec)
        options = {"secrets": Secrets(KEY, False, 2, "a test"), "lease_records": 10} | options
        return device.run(SPIKES, ledger=ledger, data_set="data", **options)


def check(result: RunResult, spec: NetworkSpec = SPEC, source: Any = None) -> None:
    """Every record is what the golden model releases under its lease and index."""
    network = Network(spec, source or TriviumSource(KEY))
    for index, (lease, first) in enumerate(zip(result.leases, result.lease_indices, strict=True)):
        golden = network.run(SPIKES[index : index + 1], lease=int(lease), first_record=int(first))
        left = (golden.decisions, golden.readout, golden.released)
        wanted = next(array for array in left if array is not None)
        assert result.released.dtype == (wanted.dtype if golden.readout is None else np.int32)
        np.testing.assert_array_equal(result.released[index : index + 1], wanted)
    assert (result.decisions is None) == (spec.decision is None)


def leases(ledger: Ledger) -> list[int]:
    """The releases of each lease that the ledger holds."""
    return [entry.content["session"]["releases"] for entry in ledger.history() if entry.kind == "lease"]


def at_steps(steps: int, action: Callable[[], object]) -> Callable[[RunProgress], None]:
    """Does `action` once, when a run has received so many steps."""
    done: list[bool] = []

    def show(progress: RunProgress) -> None:
        if progress.steps >= steps and not done:
            done.append(True)
            action()

    return show
