"""Transcripts: chunks of bytes sent to a device and the bytes that came back, and the same from the device's twin."""

import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

from spikeveil.host.device.frames import Receiver
from spikeveil.host.device.link import Timing
from spikeveil.host.device.twin_board import TwinEndpoint
from spikeveil.pysim.device.identity import Identity
from spikeveil.pysim.device.messages import Message, MessageKind, ResultCode, StatusFlag, unpack
from spikeveil.pysim.device.status import Status
from spikeveil.pysim.device.top import DeviceModel
from spikeveil.pysim.device.wire import POSITION_MODULUS

PATIENT = Timing(silence=60.0, stall=600.0, reconnect=600.0)  # no run ends because others use the machine
Chunk = bytes | None  # None: the device is switched off and on


class TwinLine:
    """The twin behind a line: a chunk in, the bytes that answer it out."""

    def __init__(self, device: DeviceModel) -> None:
        self.endpoint = TwinEndpoint(device)

    def send(self, chunk: Chunk) -> bytes:
        """The answer; none to a power cycle."""
        if chunk is not None:
            return self.endpoint.feed(chunk)
        self.endpoint.power_cycle()
        return b""


@contextmanager
def started(command: list[str], **options: Any) -> Iterator["subprocess.Popen[str]"]:
    """A process that does not outlive the block: a test that fails must not wait for it."""
    with subprocess.Popen(command, **options) as process:
        try:
            yield process
        finally:
            process.kill()


@dataclass
class Heard:
    """What one chunk was answered with, in the order in which it came."""

    order: list[Message] = field(default_factory=list)  # all of it
    statuses: list[tuple[int, Status]] = field(default_factory=list)  # with their tags
    identities: list[Message] = field(default_factory=list)
    outputs: list[Message] = field(default_factory=list)

    @property
    def results(self) -> list[tuple[int, ResultCode]]:
        """Tag and result of each answer."""
        return [(tag, status.result) for tag, status in self.statuses]

    @property
    def released(self) -> dict[tuple[int, int], int]:
        """(session, position) -> byte."""
        found: dict[tuple[int, int], int] = {}
        for output in self.outputs:
            for at, byte in enumerate(output.data, output["position"]):
                place = (output["nonce"], at % POSITION_MODULUS)
                assert found.setdefault(place, byte) == byte, f"one place of the output had two values: {place}"
        return found


def hear(answer: bytes) -> Heard:
    """Take apart what a device sent; every byte of it must belong to a whole frame that a device sends."""
    receiver, heard = Receiver(), Heard()
    assert answer == b"" or answer.endswith(b"\0"), "the device stopped within a frame"
    for body in receiver.feed(answer):
        message = unpack(body)
        heard.order.append(message)
        if message.kind is MessageKind.STATUS:
            heard.statuses.append((message.tag, Status.from_message(message)))
        elif message.kind is MessageKind.IDENTITY:
            heard.identities.append(message)
        else:
            assert message.kind is MessageKind.OUTPUT, f"no device sends {message.kind.name}"
            heard.outputs.append(message)
    assert receiver.damaged == 0, "the device sent a damaged frame"
    return heard


@dataclass
class Sent:
    """A chunk as the device sees it: the bodies whose frames end in it."""

    bodies: list[bytes]

    @property
    def messages(self) -> list[Message]:
        """Those that are well formed and a host's."""
        found = []
        for body in self.bodies:
            with suppress(ValueError):
                found.append(unpack(body))
        return [message for message in found if message.kind < MessageKind.IDENTITY]


def frames_of(chunks: Iterable[Chunk]) -> Iterator[Sent]:
    """The whole frames that end in each chunk."""
    receiver = Receiver()
    for chunk in chunks:
        if chunk is None:
            receiver = Receiver()
        yield Sent(receiver.feed(chunk or b""))


def comparable(heard: Heard, identity: Identity) -> list[tuple[int, Status]]:
    """The statuses, without the room where the device is free in how much input it holds: what belongs to no step that
    may leave, and what waits because the outbox is full.
    """
    found = []
    for tag, status in heard.statuses:
        waits = status.output_position - status.confirmed == identity.outbox
        free = waits or StatusFlag.OPEN not in status.flags
        found.append((tag, replace(status, input_room=0) if free else status))
    return found


def compare(chunks: list[Chunk], answers: list[bytes], device: DeviceModel) -> int:
    """Hold what a device answered, chunk by chunk and each in peace, to its twin; the number of bytes it released.

    Results, output bytes and, where only a STATUS was asked for, every field must be equal. The answer to a taken
    INPUT may be left out where output says the same.
    """
    twin, count = TwinLine(device), 0
    for number, (chunk, sent, answer) in enumerate(zip(chunks, frames_of(chunks), answers, strict=True)):
        expected, found = hear(twin.send(chunk)), hear(answer)
        soft = {body[1] for body in sent.bodies if body[0] == MessageKind.INPUT}
        where = f"chunk {number}, {[body.hex() for body in sent.bodies]}"
        for heard in (expected, found):
            heard.statuses = [
                pair for pair in heard.statuses if pair[0] not in soft or pair[1].result is not ResultCode.OK
            ]
        last = slice(-1, None) if len(sent.bodies) > 1 else slice(None)  # an answer gives way to the next
        ours, twins = found.results[last], expected.results[last]
        assert ours == twins, f"{where}: {ours}, the twin {twins}"
        assert found.released == expected.released, f"{where}: {found.outputs}, the twin {expected.outputs}"
        gave_way = len(sent.bodies) > 1 and sent.bodies[-1][0] != MessageKind.IDENTIFY and not found.identities
        assert gave_way or found.identities == expected.identities, where
        if [body[0] for body in sent.bodies] == [MessageKind.POLL]:
            state, twin_state = (comparable(heard, device.identity) for heard in (found, expected))
            assert state == twin_state, f"{where}: {state}, the twin {twin_state}"
        count += len(found.released)
    return count
