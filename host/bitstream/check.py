"""Records through a simulated device by its own protocol: what it released, for comparison with the golden model."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from spikeveil.host.bitstream.errors import BuildError
from spikeveil.host.device.frames import Receiver, encode
from spikeveil.host.virtual.build import BoardSpec
from spikeveil.host.virtual.process import play
from spikeveil.pysim.link import FIXED_FORMAT, Kind, Result, pack, room, turned, unpack
from spikeveil.pysim.pack import unpack as unpack_steps
from spikeveil.pysim.unpack import bitmaps

SESSION = 0x5EED


def released(board: BoardSpec, spikes: NDArray[np.bool_], key: bytes, lease: int = 1) -> NDArray[np.bool_]:
    """What `board`, a Trivium device with baked weights, releases of records (records, steps, inputs) under one lease.

    `key`: ten bytes as the eSTREAM vectors print them. BuildError where the device refuses something or falls silent.
    """
    records, steps, _ = spikes.shape
    sent = bitmaps(spikes.reshape(records * steps, -1))
    chunks = [encode(pack(Kind.IDENTIFY, 1)), encode(_open(records * steps, steps, key, lease)), *_pieces(sent)]
    answers, _ = play(board, [b"\0" + chunks[0], *chunks[1:]])
    outputs = board.plan.spec.outputs
    output = _collect(answers)
    wanted = records * steps * -(-outputs // 8)
    if len(output) != wanted:
        raise BuildError(f"the simulated device released {len(output)} bytes instead of {wanted}")
    return unpack_steps(output, outputs, 1).reshape(records, steps, outputs).astype(np.bool_)


def _open(quota: int, steps: int, key: bytes, lease: int) -> bytes:
    fields = {"lease": lease, "session": SESSION, "quota": quota, "record_steps": steps, "format": FIXED_FORMAT}
    return pack(Kind.OPEN, 2, turned(key), **fields)


def _pieces(sent: bytes) -> Iterator[bytes]:
    """INPUT frames; none confirms any output: what is released must fit the outbox."""
    size = room(Kind.INPUT)
    for at in range(0, len(sent), size):
        yield encode(pack(Kind.INPUT, 3, sent[at : at + size], session=SESSION, position=at, taken=0))


def _collect(answers: list[bytes]) -> bytes:
    """The output bytes of all OUTPUT messages, in their places."""
    receiver, output = Receiver(), bytearray()
    for body in receiver.feed(b"".join(answers)):
        message = unpack(body)
        if message.kind is Kind.STATE and message["result"] != Result.OK:
            raise BuildError(f"the simulated device refused a message: {Result(message['result']).name}")
        if message.kind is Kind.OUTPUT:
            end = message["position"] + len(message.data)
            output[message["position"] : end] = message.data
    if receiver.damaged:
        raise BuildError(f"the simulated device sent {receiver.damaged} damaged frames")
    return bytes(output)
