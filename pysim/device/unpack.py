"""Input steps as bytes, in both formats of docs/protocol.md, and back. Twin of hdl/device/unpack.py."""

import numpy as np
from numpy.typing import NDArray

from spikeveil.pysim.device.wire import BITMAP_COUNT, FIXED_FORMAT, INDEX_BITS, TAGGED_FORMAT
from spikeveil.pysim.model import checks
from spikeveil.pysim.model.spec import NetworkSpec

MAX_EVENTS = BITMAP_COUNT - 1
MAX_INPUTS = (1 << INDEX_BITS) - 1  # the index of all ones names no input


def bitmap_bytes(inputs: int) -> int:
    """Bytes of a bitmap."""
    return -(-inputs // 8)


def index_bytes(inputs: int) -> int:
    """Bytes of an index in format 1."""
    return 1 if inputs <= 255 else INDEX_BITS // 8


class Unpacker:
    """A stream of input bytes, in pieces of any size, to steps.

    | argument | meaning |
    |---|---|
    | `inputs` | spikes of a step |
    | `input_format` | the format in OPEN: 0 for bitmaps, 1 for tagged steps; ValueError for any other |
    """

    def __init__(self, inputs: int, input_format: int) -> None:
        self.inputs = inputs
        self.tagged = checks.integer("input format", input_format, FIXED_FORMAT, TAGGED_FORMAT) == TAGGED_FORMAT
        self._buffer = bytearray()

    @property
    def buffered(self) -> int:
        """Bytes that wait; none where the first step is incomplete, since its bytes pass as they arrive."""
        return len(self._buffer) if self._step_bytes(0) else 0

    def complete_steps(self, limit: int) -> int:
        """Number of complete steps that wait, at most `limit`."""
        count = start = 0
        while count < limit and (size := self._step_bytes(start)):
            count, start = count + 1, start + size
        return count

    def take(self, piece: bytes, limit: int) -> NDArray[np.bool_]:
        """Append `piece` to the stream and remove at most `limit` complete steps from it: (steps, inputs)."""
        self._buffer += piece
        steps: list[NDArray[np.bool_]] = []
        start = 0
        while len(steps) < limit and (size := self._step_bytes(start)):
            steps.append(self._decode(bytes(self._buffer[start : start + size])))
            start += size
        del self._buffer[:start]
        return np.array(steps, np.bool_).reshape(-1, self.inputs)

    def _step_bytes(self, start: int) -> int:
        """Bytes of the step that begins at `start`; 0 where it is incomplete."""
        size = bitmap_bytes(self.inputs)
        if self.tagged:
            if start >= len(self._buffer):
                return 0
            count = self._buffer[start]
            size = 1 + (size if count == BITMAP_COUNT else count * index_bytes(self.inputs))
        return size if len(self._buffer) >= start + size else 0

    def _decode(self, step: bytes) -> NDArray[np.bool_]:
        if not self.tagged or step[0] == BITMAP_COUNT:
            bits = np.frombuffer(step[self.tagged :], np.uint8)
            return np.unpackbits(bits, count=self.inputs, bitorder="little").astype(np.bool_)
        spikes = np.zeros(self.inputs, np.bool_)
        indices = np.frombuffer(step[1:], f"<u{index_bytes(self.inputs)}")
        spikes[indices[indices < self.inputs]] = True
        return spikes


def bitmaps(steps: NDArray[np.bool_]) -> bytes:
    """Steps (steps, inputs) in format 0."""
    return np.packbits(steps, axis=1, bitorder="little").tobytes()


def padded(steps: NDArray[np.bool_], events: int) -> bytes:
    """Steps (steps, inputs) in format 1, each of `events` indices; unused ones have all bits set.

    ValueError where a step has more spikes, or where `events` is not 0 to 254.
    """
    width = index_bytes(steps.shape[1])
    max_spikes = int(steps.sum(axis=1).max(initial=0))
    checks.integer("events of a step", events, max_spikes, MAX_EVENTS)
    indices = np.full((len(steps), events), -1, np.int64)
    rank = np.cumsum(steps, axis=1) - 1
    row, column = np.nonzero(steps)
    indices[row, rank[row, column]] = column
    tagged = np.empty((len(steps), 1 + events * width), np.uint8)
    tagged[:, 0] = events
    tagged[:, 1:] = indices.astype(f"<u{width}").view(np.uint8).reshape(len(steps), -1)
    return tagged.tobytes()


def shortest(steps: NDArray[np.bool_]) -> bytes:
    """Steps (steps, inputs) in format 1, each as indices or as a bitmap, whichever is shorter: the length reveals
    the number of spikes.
    """
    inputs = steps.shape[1]
    limit = min(MAX_EVENTS, bitmap_bytes(inputs) // index_bytes(inputs)) if inputs <= MAX_INPUTS else -1
    parts = []
    for step in steps:
        count = int(step.sum())
        parts.append(padded(step[None], count) if count <= limit else bytes([BITMAP_COUNT]) + bitmaps(step[None]))
    return b"".join(parts)


def events(spec: NetworkSpec) -> int | None:
    """The number of indices in each step of format 1 on a private schedule; None where a bitmap is as short."""
    cap = spec.layers[0].input_cap
    if cap is None or cap > MAX_EVENTS or spec.inputs > MAX_INPUTS:
        return None
    return cap if 1 + cap * index_bytes(spec.inputs) < bitmap_bytes(spec.inputs) else None
