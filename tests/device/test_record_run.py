"""Runs of many leases: unplugged devices, lost leases, killed hosts."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from support.driver_runs import (
    KEY,
    QUICK,
    RECORDS,
    SPEC,
    SPIKES,
    STEPS,
    at_steps,
    check,
    leases,
    run,
)
from support.paths import TESTS
from support.twin_ports import DirectPort

from spikeveil.host.device import frames
from spikeveil.host.device.driver import Device
from spikeveil.host.device.errors import (
    DeviceRefused,
    DeviceStuck,
    PortLost,
)
from spikeveil.host.device.keys import Secrets
from spikeveil.host.device.results import Results
from spikeveil.host.device.twin_board import TwinEndpoint
from spikeveil.host.privacy.ledger import Ledger, LedgerRolledBack
from spikeveil.pysim.device.identity import ModelPlan, identity
from spikeveil.pysim.device.messages import MessageKind, pack, reverse_key
from spikeveil.pysim.device.top import DeviceModel


def test_a_lease_takes_two_questions_before_its_input(ledger: Ledger) -> None:
    """Round trips are what a short lease costs on a slow line."""
    sent: list[MessageKind] = []

    class Noted(DirectPort):
        def write(self, data: bytes) -> None:
            sent.extend(MessageKind(body[0]) for body in frames.Receiver().feed(data))
            super().write(data)

    with Device.open(Noted(TwinEndpoint(DeviceModel(SPEC))), timing=QUICK) as device:
        device.load(SPEC)
        sent.clear()
        device.run(SPIKES, ledger=ledger, data_set="data", lease_records=RECORDS)
    assert sent[: sent.index(MessageKind.INPUT)] == [MessageKind.POLL, MessageKind.OPEN]


def test_an_unplugged_device_goes_on_under_its_lease(make_board: Any, ledger: Ledger) -> None:
    board = make_board(outbox=16)

    def unplug() -> None:
        board.unplug()
        threading.Timer(0.2, board.plug).start()

    result = run(board, ledger, lease_records=RECORDS, progress=at_steps(40, unplug))
    check(result)
    assert leases(ledger) == [RECORDS]
    assert result.claim.releases == 1


@pytest.mark.parametrize("loadable", [False, True])
def test_a_device_without_power_needs_a_new_lease(make_board: Any, ledger: Ledger, loadable: bool) -> None:
    board = make_board(outbox=16, loadable=loadable)
    result = run(board, ledger, lease_records=RECORDS, progress=at_steps(40, board.power_cycle))
    check(result)
    first, second = leases(ledger)
    received = int((result.leases == 1).sum())
    assert first == RECORDS and second == RECORDS - received
    assert 40 // STEPS <= received < RECORDS
    assert result.claim.releases == 2  # the rest may have left twice


def test_a_device_that_loses_everything_again_and_again_ends_in_one_sentence(make_board: Any, ledger: Ledger) -> None:
    board = make_board(outbox=4)
    with pytest.raises(DeviceStuck, match=r"^6 leases in a row were lost and no record received"):
        run(board, ledger, progress=lambda progress: board.power_cycle())
    assert leases(ledger) == [10, 5, 2, 1, 1, 1]


def test_a_line_that_is_lost_again_and_again_ends_in_one_sentence(ledger: Ledger) -> None:
    class Loose(DirectPort):
        """Holds for the few messages of a greeting."""

        def open(self) -> DirectPort:
            self.left = 8
            return self

        def write(self, data: bytes) -> None:
            self.left -= 1
            if self.left < 0:
                raise PortLost("the plug is loose")
            super().write(data)

    class Firm(Loose):
        def open(self) -> DirectPort:
            self.left = 3
            return self

    endpoint = TwinEndpoint(DeviceModel(SPEC, identity(ModelPlan(SPEC, loadable=True))))
    with Device.open(Loose(endpoint), timing=QUICK) as device:
        device.load(SPEC)
        device.link.port = Firm(endpoint)
        with pytest.raises(
            DeviceStuck, match=r"^the port direct was lost 200 times without a byte of output in between$"
        ):
            device.run(SPIKES, ledger=ledger, data_set="data")


def test_a_device_that_has_seen_later_leases(make_board: Any, ledger: Ledger) -> None:
    board = make_board()
    values = {"lease": 50, "nonce": 1, "quota": 9, "record_steps": 1, "format": 0}
    board.endpoint.device.receive(pack(MessageKind.OPEN, 1, reverse_key(KEY), **values))
    with pytest.raises(LedgerRolledBack, match="the device has seen lease 50 and ledger"):
        run(board, ledger)
    assert leases(ledger) == []


def test_a_device_that_refuses_the_lease(make_board: Any, ledger: Ledger) -> None:
    board = make_board()

    class Short(Secrets):
        def encode(self, secret: bytes) -> bytes:
            return secret[1:]

    with pytest.raises(DeviceRefused, match=r"^the device refused lease 1: MALFORMED$"):
        run(board, ledger, secrets=Short(KEY, False, 2, "a test"))


PROGRAM = """
import sys, numpy as np
from pathlib import Path
from support.driver_runs import KEY, QUICK, SPEC, SPIKES
from spikeveil.host.device import Device, Results, Secrets
from spikeveil.host.privacy import Ledger
folder = Path(sys.argv[1])
with Ledger(folder / "my.ledger", state_directory=folder / "state") as ledger:
    with Device.open(str(folder / "port"), timing=QUICK) as device:
        device.load(SPEC)
        def show(progress):
            if progress.lease == 3:
                print("in the third lease", flush=True)
                sys.stdin.read()
        device.run(SPIKES, ledger=ledger, data_set="data", lease_records=3, secrets=Secrets(KEY, False, 2, "a test"),
                   results=Results(SPEC, SPIKES, folder / "partial"), progress=show)
"""


def test_a_killed_host_goes_on_with_the_records_that_it_lacks(make_board: Any, ledger: Ledger, tmp_path: Path) -> None:
    board = make_board(outbox=16)
    environment = os.environ | {"PYTHONPATH": str(TESTS)}
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True) as host:
        assert host.stdout is not None and host.stdout.readline() == "in the third lease\n"
        host.send_signal(signal.SIGKILL)
    before = Results(SPEC, SPIKES, tmp_path / "partial")
    assert (int(before.received.sum()), leases(ledger)) == (6, [3, 3, 3])
    result = run(board, ledger, results=before)
    check(result)
    assert leases(ledger) == [3, 3, 3, 10, 8]
    assert result.claim.releases == 2  # the third lease's records may have left twice
    assert (tmp_path / "partial").stat().st_mode & 0o077 == 0
