"""Messages over a port: silence, noise and time-outs."""

import random

import pytest
from support.driver_runs import IMPATIENT, SPEC
from support.twin_ports import DirectPort, FixedAnswer, spoiler

from spikeveil.host.device import frames
from spikeveil.host.device.driver import Device
from spikeveil.host.device.errors import (
    DeviceSilent,
)
from spikeveil.host.device.link import Link, Timing
from spikeveil.host.device.twin_board import TwinEndpoint
from spikeveil.host.privacy.ledger import Ledger
from spikeveil.pysim.device.messages import MessageKind, pack
from spikeveil.pysim.device.top import DeviceModel


@pytest.mark.parametrize(("answer", "received"), [(b"", "nothing"), (b"\x80\xf8\x11\0" * 9, "no valid frame")])
def test_silence_or_another_baud_rate(answer: bytes, received: str) -> None:
    endpoint = FixedAnswer(DeviceModel(SPEC))
    endpoint.answer = answer
    sentence = rf"^port direct sent {received} for 0.5 s: check that it is a spikeveil device with this baud rate$"
    with pytest.raises(DeviceSilent, match=sentence):
        Device.open(DirectPort(endpoint), timing=IMPATIENT)


@pytest.mark.parametrize(("answer", "attempts"), [(b"", 20), (b"\1" * 9 + b"\0", 241)])
def test_only_silence_makes_the_wait_longer(answer: bytes, attempts: int) -> None:
    """Every 0.25 s where a damaged frame comes; else 0.25, 0.5, 1, 2 and then a sixteenth of the silence apart."""
    endpoint = FixedAnswer(DeviceModel(SPEC))
    endpoint.answer = answer
    link = Link(DirectPort(endpoint), Timing(silence=60.0))
    link.open()
    before = link.sent
    with pytest.raises(DeviceSilent):
        link.ask(MessageKind.IDENTIFY)
    assert link.sent - before == attempts * len(frames.encode(pack(MessageKind.IDENTIFY, 1)))


def test_a_line_that_spoils_everything_ends(ledger: Ledger) -> None:
    port = DirectPort(TwinEndpoint(DeviceModel(SPEC)), spoiler(random.Random(1), 0.5))
    with pytest.raises(DeviceSilent):
        Device.open(port, timing=IMPATIENT)


def test_timing_out_of_range() -> None:
    with pytest.raises(ValueError, match=r"^timing silence must be over 0, not 0$"):
        Timing(silence=0)
