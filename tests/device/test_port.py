"""Serial ports: missing, in use, lost, and their baud rates."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.driver_runs import QUICK, RECORDS, SPEC, SPIKES, STEPS, at_steps, run

from spikeveil.host.device.driver import Device
from spikeveil.host.device.errors import (
    PortBusy,
    PortLost,
)
from spikeveil.host.device.port import SerialPort
from spikeveil.host.device.results import Results
from spikeveil.host.privacy.ledger import Ledger


def test_no_port(tmp_path: Path) -> None:
    with pytest.raises(PortLost, match=r"^there is no port \S+/none$"):
        Device.open(str(tmp_path / "none"), timing=QUICK)


def test_busy_port(make_board: Any) -> None:
    board = make_board()
    with (
        Device.open(str(board.path), timing=QUICK),
        pytest.raises(PortBusy, match=r"^port \S+ is held by another program$"),
    ):
        Device.open(str(board.path), timing=QUICK)


def test_a_port_that_does_not_come_back(make_board: Any, ledger: Ledger) -> None:
    board = make_board(outbox=16)
    results = Results(SPEC, SPIKES)
    with (
        Device.open(str(board.path), timing=replace(QUICK, reconnect=0.3)) as device,
        pytest.raises(PortLost, match=r"^port \S+ vanished and did not come back within 0.3 s$"),
    ):
        device.load(SPEC)
        show = at_steps(70, board.unplug)
        device.run(SPIKES, ledger=ledger, data_set="data", lease_records=10, progress=show, results=results)
    assert 70 // STEPS <= results.received.sum() < RECORDS
    board.plug()
    received = results.received.copy()
    result = run(board, ledger, results=results)
    assert set(result.leases[received]).isdisjoint(result.leases[~received])


@pytest.mark.parametrize("baud", [0, 4_000_001])
def test_baud_rates_out_of_range(baud: int) -> None:
    with pytest.raises(ValueError, match=f"^baud rate must be 1 to 4000000, not {baud}$"):
        SerialPort("x", baud)
