"""Records through a simulated device by its own protocol: what it released, beside the golden model's."""

import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikeveil.hdl.engine.source import SourceKind
from spikeveil.host.bitstream.errors import BuildError
from spikeveil.host.bitstream.flow import Build, Listener, Step
from spikeveil.host.bitstream.simulation_levels import STEPS, Level, board_at
from spikeveil.host.cosim.compare import SpikeDifference, first_difference
from spikeveil.host.device.frames import Receiver, encode
from spikeveil.host.virtual.build import BoardSpec, build
from spikeveil.host.virtual.process import play
from spikeveil.pysim import Network
from spikeveil.pysim.device.messages import FIXED_FORMAT, SEED_BYTES, Kind, Result, pack, room, turned, unpack
from spikeveil.pysim.device.pack import unpack as unpack_steps
from spikeveil.pysim.device.unpack import bitmap_bytes, bitmaps
from spikeveil.pysim.model import image
from spikeveil.pysim.model.source import LfsrSource, TriviumSource, WordSource

SESSION = 0x5EED
OUTBOX = 256  # bytes that every device's output buffer holds
LAST_STEPS = 2  # after those of a level: the simulator, the records


@dataclass(frozen=True)
class Secret:
    """What opens a lease: a Trivium key of ten bytes as the eSTREAM vectors print it, or a seed for each flipper."""

    key: bytes = b""
    seeds: tuple[int, ...] = ()

    @property
    def source(self) -> SourceKind:
        """The word source that it is for."""
        return "trivium" if self.key else "lfsr"

    def words(self) -> WordSource:
        """The source as the golden model takes it."""
        return TriviumSource(self.key) if self.key else LfsrSource(self.seeds)

    def message(self) -> bytes:
        """The secret of an OPEN message."""
        return turned(self.key) if self.key else b"".join(seed.to_bytes(SEED_BYTES, "little") for seed in self.seeds)


@dataclass(frozen=True)
class Outcome:
    """What a comparison came to: spikes compared, the first difference if there is one, and what it took.

    `cycles`: clock cycles simulated, in `seconds` of the simulator's own time.
    """

    compared: int
    difference: SpikeDifference | None
    cycles: int
    seconds: float

    @property
    def different(self) -> int:
        """How many spikes differ."""
        return 0 if self.difference is None else self.difference.count


def verify(
    made: Build, level: Level, seed: int, spikes: NDArray[np.bool_], secret: Secret, listener: Listener
) -> Outcome:
    """Build a design down to a level, with a simulator of it, and `compare`, all as numbered steps."""
    first, total = STEPS[level] + 1, STEPS[level] + LAST_STEPS
    board = board_at(made, level, seed, listener, total=total)
    listener.begin(first, total, "compile the simulator")
    start = time.monotonic()
    program = build(board)
    listener.end(Step("simulator", program.parent, time.monotonic() - start, kept=False))
    listener.begin(total, total, f"simulate {len(spikes)} records")
    start = time.monotonic()
    outcome = compare(board, spikes, secret)
    listener.end(Step("records", program.parent, time.monotonic() - start, kept=False))
    return outcome


def compare(board: BoardSpec, spikes: NDArray[np.bool_], secret: Secret, lease: int = 1) -> Outcome:
    """Run records (records, steps, inputs) on a board and in the golden model. BuildError as `released` raises it."""
    wanted = Network(board.plan.spec, secret.words()).run(spikes, lease=lease).released
    if wanted is None:
        raise BuildError("the network ends in potentials: only released spikes can be compared here")
    found, cycles, seconds = _run(board, spikes, secret, lease)
    return Outcome(wanted.size, first_difference(wanted, found), cycles, seconds)


def released(board: BoardSpec, spikes: NDArray[np.bool_], secret: Secret, lease: int = 1) -> NDArray[np.bool_]:
    """What a board releases of records (records, steps, inputs) under one lease: (records, steps, neurons).

    A loadable board is given its network first. BuildError where the device refuses something or falls silent.
    """
    return _run(board, spikes, secret, lease)[0]


def _run(
    board: BoardSpec, spikes: NDArray[np.bool_], secret: Secret, lease: int
) -> tuple[NDArray[np.bool_], int, float]:
    records, steps, _ = spikes.shape
    outputs = board.plan.spec.outputs
    start = encode(pack(Kind.IDENTIFY, 1)) + _image(board) + encode(_open(records * steps, steps, secret, lease))
    answers, figures = play(board, [b"\0" + start, *_pieces(board, spikes)])
    output, wanted = _collect(answers), records * steps * -(-outputs // 8)
    if len(output) != wanted:
        raise BuildError(f"the simulated device released {len(output)} bytes instead of {wanted}")
    rows = unpack_steps(output, outputs, 1).reshape(records, steps, outputs).astype(np.bool_)
    return rows, figures.cycles, figures.seconds


def _image(board: BoardSpec) -> bytes:
    """The frames that load a network's numbers; none where they are built in."""
    if not board.plan.loadable:
        return b""
    content, size = image.to_bytes(board.plan.spec, board.plan.layer_lanes), room(Kind.LOAD)
    frames = [pack(Kind.LOAD, 2, content[at : at + size], position=at) for at in range(0, len(content), size)]
    frames.append(pack(Kind.SEAL, 2, length=len(content), crc=zlib.crc32(content)))
    return b"".join(map(encode, frames))


def _open(quota: int, steps: int, secret: Secret, lease: int) -> bytes:
    fields = {"lease": lease, "session": SESSION, "quota": quota, "record_steps": steps, "format": FIXED_FORMAT}
    return pack(Kind.OPEN, 3, secret.message(), **fields)


def _pieces(board: BoardSpec, spikes: NDArray[np.bool_]) -> Iterator[bytes]:
    """INPUT frames, each sent once nothing moves any more: what the steps before it released has come then, and is
    confirmed, so that the output buffer never fills."""
    records, steps, inputs = spikes.shape
    sent, step = bitmaps(spikes.reshape(records * steps, -1)), bitmap_bytes(inputs)
    output = -(-board.plan.spec.outputs // 8)
    size = min(room(Kind.INPUT), max(1, OUTBOX // output) * step)
    for at in range(0, len(sent), size):
        taken = at // step * output
        yield encode(pack(Kind.INPUT, 4, sent[at : at + size], session=SESSION, position=at, taken=taken))


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
