"""Transcripts: chunks of bytes sent to a device, the bytes that it returned, and those of the device's model."""

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
    """The model behind a line: a chunk in, the bytes that answer it out."""

    def __init__(self, device: DeviceModel) -> None:
        self.endpoint = TwinEndpoint(device)

    def send(self, chunk: Chunk) -> bytes:
        """The answer; empty for a power cycle."""
        if chunk is not None:
            return self.endpoint.feed(chunk)
        self.endpoint.power_cycle()
        return b""


@contextmanager
def started(command: list[str], **options: Any) -> Iterator["subprocess.Popen[str]"]:
    """A process that is killed at the end of the block, so that a failing test does not wait for it."""
    with subprocess.Popen(command, **options) as process:
        try:
            yield process
        finally:
            process.kill()


@dataclass
class Answers:
    """The messages that answer one chunk, in their order."""

    order: list[Message] = field(default_factory=list)
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
        released: dict[tuple[int, int], int] = {}
        for output in self.outputs:
            for index, byte in enumerate(output.data, output["position"]):
                key = (output["nonce"], index % POSITION_MODULUS)
                assert released.setdefault(key, byte) == byte, f"two values at one output position: {key}"
        return released


def parse_answers(answer: bytes) -> Answers:
    """Decode what a device sent; every byte must belong to a complete frame of a kind that devices send."""
    receiver, answers = Receiver(), Answers()
    assert answer == b"" or answer.endswith(b"\0"), "the device stopped within a frame"
    for body in receiver.feed(answer):
        message = unpack(body)
        answers.order.append(message)
        if message.kind is MessageKind.STATUS:
            answers.statuses.append((message.tag, Status.from_message(message)))
        elif message.kind is MessageKind.IDENTITY:
            answers.identities.append(message)
        else:
            assert message.kind is MessageKind.OUTPUT, f"no device sends {message.kind.name}"
            answers.outputs.append(message)
    assert receiver.damaged == 0, "the device sent a damaged frame"
    return answers


@dataclass
class Sent:
    """A chunk as the device receives it: the bodies whose frames end in it."""

    bodies: list[bytes]

    @property
    def messages(self) -> list[Message]:
        """The requests among them that are well formed."""
        messages = []
        for body in self.bodies:
            with suppress(ValueError):
                messages.append(unpack(body))
        return [message for message in messages if message.kind < MessageKind.IDENTITY]


def frames_of(chunks: Iterable[Chunk]) -> Iterator[Sent]:
    """The complete frames that end in each chunk."""
    receiver = Receiver()
    for chunk in chunks:
        if chunk is None:
            receiver = Receiver()
        yield Sent(receiver.feed(chunk or b""))


def comparable(answers: Answers, identity: Identity) -> list[tuple[int, Status]]:
    """The statuses, with the input room set to 0 where the amount of input that a device buffers is unspecified: no
    lease is open, or the outbox is full.
    """
    statuses = []
    for tag, status in answers.statuses:
        waits = status.output_position - status.confirmed == identity.outbox
        unspecified = waits or StatusFlag.OPEN not in status.flags
        statuses.append((tag, replace(status, input_room=0) if unspecified else status))
    return statuses


def compare(chunks: list[Chunk], answers: list[bytes], device: DeviceModel) -> int:
    """Compare what a device answered to each chunk, sent when the device was idle, with its model; bytes released.

    Results and output bytes must be equal, and every field of the answer to a POLL that was sent alone. The answer to
    an accepted INPUT may be omitted where output replaces it.
    """
    twin, count = TwinLine(device), 0
    for number, (chunk, sent, answer) in enumerate(zip(chunks, frames_of(chunks), answers, strict=True)):
        expected, found = parse_answers(twin.send(chunk)), parse_answers(answer)
        optional = {body[1] for body in sent.bodies if body[0] == MessageKind.INPUT}
        where = f"chunk {number}, {[body.hex() for body in sent.bodies]}"
        for side in (expected, found):
            side.statuses = [
                (tag, status)
                for tag, status in side.statuses
                if tag not in optional or status.result is not ResultCode.OK
            ]
        last = slice(-1, None) if len(sent.bodies) > 1 else slice(None)  # an answer may be replaced by the next
        results, model_results = found.results[last], expected.results[last]
        assert results == model_results, f"{where}: {results}, the model {model_results}"
        assert found.released == expected.released, f"{where}: {found.outputs}, the model {expected.outputs}"
        replaced = len(sent.bodies) > 1 and sent.bodies[-1][0] != MessageKind.IDENTIFY and not found.identities
        assert replaced or found.identities == expected.identities, where
        if [body[0] for body in sent.bodies] == [MessageKind.POLL]:
            state, model_state = (comparable(side, device.identity) for side in (found, expected))
            assert state == model_state, f"{where}: {state}, the model {model_state}"
        count += len(found.released)
    return count
