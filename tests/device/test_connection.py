"""The connection to a device: its identity, and the image that it holds."""

from typing import Any

import pytest
from support.driver_runs import HIDDEN, LAST, QUICK, READOUT, RECORDS, at_steps, check, leases, run
from support.twin_ports import DirectPort, FixedAnswer

from spikeveil.host.device import frames
from spikeveil.host.device.driver import Device
from spikeveil.host.device.errors import (
    WrongDevice,
)
from spikeveil.host.device.twin_board import TwinEndpoint
from spikeveil.host.privacy.ledger import Ledger
from spikeveil.pysim import LayerSpec, NetworkSpec
from spikeveil.pysim.device.messages import MessageKind
from spikeveil.pysim.device.top import DeviceModel
from spikeveil.pysim.device.wire import PROTOCOL_VERSION


def test_an_image_of_another_network_of_the_same_structure(make_board: Any, ledger: Ledger) -> None:
    other = NetworkSpec([LayerSpec(-HIDDEN.weights + 1, 20, flip=HIDDEN.flip, input_cap=3), LAST])
    check(run(make_board(loadable=True), ledger, other), other)
    with pytest.raises(WrongDevice, match=r"^the device must have the network's structure, \w{16}\.\.\., not \w{16}"):
        run(make_board(loadable=True), ledger, READOUT)


def test_an_image_is_loaded_over_a_dead_hosts_lease(make_board: Any, ledger: Ledger) -> None:
    board = make_board(loadable=True, outbox=3)  # a step and a half

    class KilledError(Exception):
        pass

    def die() -> None:
        raise KilledError

    with pytest.raises(KilledError):
        run(board, ledger, progress=at_steps(4, die))
    assert board.endpoint.device.status().quota > 0
    check(run(board, ledger))


def test_an_image_is_loaded_anew_where_another_may_be_there(make_board: Any, ledger: Ledger) -> None:
    board = make_board(loadable=True)
    other = NetworkSpec([LayerSpec(-HIDDEN.weights + 1, 20, flip=HIDDEN.flip, input_cap=3), LAST])

    def another_host() -> None:
        board.unplug()
        with Device.open(DirectPort(board.endpoint), timing=QUICK) as intruder:
            intruder.load(other)  # closes the lease that is open
        board.plug()

    result = run(board, ledger, progress=at_steps(20, another_host))
    check(result)
    assert sum(leases(ledger)) >= RECORDS  # more where the lease was still open


@pytest.mark.parametrize("version", [1, PROTOCOL_VERSION + 1])
def test_another_version_of_the_protocol(make_board: Any, version: int) -> None:
    """Whatever follows the version, which stays where it is; version 1 had 98 bytes for a network of one layer."""
    board = make_board()
    board.endpoint = FixedAnswer(board.endpoint.device)
    board.endpoint.answer = frames.encode(bytes([MessageKind.IDENTITY, 1, version, 0, *range(94)]))
    sentence = (
        rf"^the device at \S+ has version {version} of the protocol, not 2: build its bitstream with this spikeveil, "
        "or use the spikeveil that it was built with$"
    )
    with pytest.raises(WrongDevice, match=sentence):
        Device.open(str(board.path), timing=QUICK)


def test_another_fingerprint(make_board: Any, ledger: Ledger) -> None:
    with pytest.raises(WrongDevice, match=r"^the device must have the network's fingerprint, \w{16}\.\.\., not \w{16}"):
        run(make_board(READOUT), ledger)
    assert leases(ledger) == []


def test_another_device_after_an_unplug(make_board: Any, ledger: Ledger) -> None:
    board = make_board(outbox=16)

    def swap() -> None:
        board.unplug()
        board.endpoint = TwinEndpoint(DeviceModel(READOUT))
        board.plug()

    with pytest.raises(WrongDevice, match=r"^the device at \S+ is not the one that was connected before$"):
        run(board, ledger, progress=at_steps(40, swap))
