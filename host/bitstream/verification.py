"""Runs records through a simulated device by its protocol and compares what it releases with the golden model."""

import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeveil.hdl.engine.source import SourceKind
from spikeveil.host.bitstream.build import Build
from spikeveil.host.bitstream.errors import BuildError
from spikeveil.host.bitstream.simulation_levels import STAGES, Level, simulated_board
from spikeveil.host.bitstream.stages import Listener, Stage
from spikeveil.host.cosim.compare import SpikeDifference, first_difference
from spikeveil.host.device.frames import Receiver, encode
from spikeveil.host.virtual.build import BoardSpec, build_program
from spikeveil.host.virtual.process import play
from spikeveil.pysim import Network
from spikeveil.pysim.device.identity import release_fields
from spikeveil.pysim.device.messages import MessageKind, ResultCode, max_data, pack, reverse_key, unpack
from spikeveil.pysim.device.pack import release_bytes
from spikeveil.pysim.device.pack import unpack as unpack_releases
from spikeveil.pysim.device.unpack import bitmap_bytes, bitmaps
from spikeveil.pysim.device.wire import FIXED_FORMAT, SEED_BYTES
from spikeveil.pysim.model import image
from spikeveil.pysim.model.source import LfsrSource, TriviumSource, WordSource

NONCE = 0x5EED
#: tags of the requests, which their answers repeat: one for each kind, since answers come in order
IDENTIFY_TAG, LOAD_TAG, OPEN_TAG, INPUT_TAG = range(1, 5)
OUTBOX = 256  # the smallest output buffer of a device, in bytes
SIMULATION_STAGES = 2  # after those of a level: compile the simulator, run the records


@dataclass(frozen=True)
class Secret:
    """The secret of a lease: a Trivium key (10 bytes in the eSTREAM order), or an LFSR seed for each word source."""

    key: bytes = b""
    seeds: tuple[int, ...] = ()

    @property
    def source(self) -> SourceKind:
        """The word source that the secret is for."""
        return "trivium" if self.key else "lfsr"

    def words(self) -> WordSource:
        """The word source of the golden model."""
        return TriviumSource(self.key) if self.key else LfsrSource(self.seeds)

    def message(self) -> bytes:
        """The secret as it is sent in OPEN."""
        if self.key:
            return reverse_key(self.key)
        return b"".join(seed.to_bytes(SEED_BYTES, "little") for seed in self.seeds)


@dataclass(frozen=True)
class VerificationResult:
    """Result of a comparison with the golden model.

    | field | meaning |
    |---|---|
    | `compared` | number of spikes compared; of class numbers, or bits of one-hot words, where decisions are released |
    | `difference` | the first difference, None where there is none |
    | `cycles`, `seconds` | clock cycles simulated, and the simulator's time for them |
    | `released` | what the design released, in the shape that `Network.run` gives it |
    """

    compared: int
    difference: SpikeDifference | None
    cycles: int
    seconds: float
    released: NDArray[Any] | None = field(default=None, compare=False, repr=False)

    @property
    def different(self) -> int:
        """Number of those that differ."""
        return 0 if self.difference is None else self.difference.count


def verify(
    build: Build, level: Level, seed: int, spikes: NDArray[np.bool_], secret: Secret, listener: Listener
) -> VerificationResult:
    """Build a design up to a level, compile its simulator, and `compare`; each is a numbered stage."""
    first, total = STAGES[level] + 1, STAGES[level] + SIMULATION_STAGES
    board = simulated_board(build, level, seed, listener, total=total)
    listener.begin(first, total, "compile the simulator")
    start = time.monotonic()
    program = build_program(board)
    listener.end(Stage("simulator", program.parent, time.monotonic() - start, cached=False))
    listener.begin(total, total, f"simulate {len(spikes)} records")
    start = time.monotonic()
    result = compare(board, spikes, secret)
    listener.end(Stage("records", program.parent, time.monotonic() - start, cached=False))
    return result


def compare(board: BoardSpec, spikes: NDArray[np.bool_], secret: Secret, lease: int = 1) -> VerificationResult:
    """Run records (records, steps, inputs) on a board and in the golden model. BuildError as in `run_records`."""
    result = Network(board.plan.spec, secret.words()).run(spikes, lease=lease)
    expected = result.released if result.decisions is None else result.decisions.reshape(len(spikes), 1, -1)
    if expected is None:
        raise BuildError("the network ends in potentials: only spikes and decisions can be compared here")
    actual, cycles, seconds = _run(board, spikes, secret, lease)
    released = actual if result.decisions is None else actual.reshape(result.decisions.shape)
    return VerificationResult(expected.size, first_difference(expected, actual), cycles, seconds, released)


def run_records(board: BoardSpec, spikes: NDArray[np.bool_], secret: Secret, lease: int = 1) -> NDArray[Any]:
    """Run records (records, steps, inputs) on a board under one lease; the released spikes (records, steps, neurons).

    Under a decision: class numbers (records, 1, 1), or one-hot words (records, 1, classes). A loadable board is loaded
    first. BuildError where the device refuses a message or output is missing.
    """
    return _run(board, spikes, secret, lease)[0]


def _run(board: BoardSpec, spikes: NDArray[np.bool_], secret: Secret, lease: int) -> tuple[NDArray[Any], int, float]:
    records, steps, _ = spikes.shape
    releases, outputs, output_bits, output_bytes = _release_sizes(board, steps)
    opening = _open(records * releases, steps, secret, lease)
    start = encode(pack(MessageKind.IDENTIFY, IDENTIFY_TAG)) + _image(board) + encode(opening)
    answers, figures = play(board, [b"\0" + start, *_pieces(board, spikes)])
    output, expected = _collect(answers), records * releases * output_bytes
    if len(output) != expected:
        raise BuildError(f"the simulated device released {len(output)} bytes instead of {expected}")
    released = unpack_releases(output, outputs, output_bits).reshape(records, releases, outputs)
    return released, figures.cycles, figures.seconds


def _release_sizes(board: BoardSpec, steps: int) -> tuple[int, int, int, int]:
    """Releases of a record; the numbers of a release, the bits of each, and the bytes of them all."""
    fields = release_fields(board.plan.spec)
    outputs, bits = fields["outputs"], fields["output_bits"]
    return 1 if fields["record_steps"] else steps, outputs, bits, release_bytes(outputs, bits)


def _image(board: BoardSpec) -> bytes:
    """The frames that load the image; none where the weights are baked in."""
    if not board.plan.loadable:
        return b""
    content, size = image.to_bytes(board.plan.spec, board.plan.layer_lanes), max_data(MessageKind.LOAD)
    frames = [
        pack(MessageKind.LOAD, LOAD_TAG, content[start : start + size], position=start)
        for start in range(0, len(content), size)
    ]
    frames.append(pack(MessageKind.SEAL, LOAD_TAG, length=len(content), crc=zlib.crc32(content)))
    return b"".join(map(encode, frames))


def _open(quota: int, steps: int, secret: Secret, lease: int) -> bytes:
    fields = {"lease": lease, "nonce": NONCE, "quota": quota, "record_steps": steps, "format": FIXED_FORMAT}
    return pack(MessageKind.OPEN, OPEN_TAG, secret.message(), **fields)


def _pieces(board: BoardSpec, spikes: NDArray[np.bool_]) -> Iterator[bytes]:
    """INPUT frames, each sent when the device is idle. Each confirms all output so far, so the buffer never fills."""
    records, steps, inputs = spikes.shape
    data, step_bytes = bitmaps(spikes.reshape(records * steps, -1)), bitmap_bytes(inputs)
    releases, _, _, output_bytes = _release_sizes(board, steps)
    size = min(max_data(MessageKind.INPUT), max(1, OUTBOX // output_bytes) * step_bytes)
    for start in range(0, len(data), size):
        confirmed = start // step_bytes * releases // steps * output_bytes
        fields = {"nonce": NONCE, "position": start, "confirmed": confirmed}
        yield encode(pack(MessageKind.INPUT, INPUT_TAG, data[start : start + size], **fields))


def _collect(answers: list[bytes]) -> bytes:
    """The output bytes of all OUTPUT messages, by position."""
    receiver, output = Receiver(), bytearray()
    for body in receiver.feed(b"".join(answers)):
        message = unpack(body)
        if message.kind is MessageKind.STATUS and message["result"] != ResultCode.OK:
            raise BuildError(f"the simulated device refused a message: {ResultCode(message['result']).name}")
        if message.kind is MessageKind.OUTPUT:
            end = message["position"] + len(message.data)
            output[message["position"] : end] = message.data
    if receiver.damaged:
        raise BuildError(f"the simulated device sent {receiver.damaged} damaged frames")
    return bytes(output)
