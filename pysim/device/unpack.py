"""Input steps as bytes, in both formats of docs/protocol.md, and back. Twin of hdl/device/unpack.py."""

import numpy as np
from numpy.typing import NDArray

from spikeveil.pysim.device.wire import BITMAP_COUNT, FIXED_FORMAT, INDEX_BITS, TAGGED_FORMAT
from spikeveil.pysim.model import checks
from spikeveil.pysim.model.spec import NetworkSpec

MAX_COUNT = BITMAP_COUNT - 1  # indices of a step with a count
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
    | `input_format` | the format in OPEN: 0 for bitmaps, 1 for indices; ValueError for any other |
    | `indices` | indices of every step in format 1, without a count; 0: a count precedes them |
    """

    def __init__(self, inputs: int, input_format: int, indices: int = 0) -> None:
        self.inputs, self.indices = inputs, indices
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
        if self.tagged and self.indices:
            size = self.indices * index_bytes(self.inputs)
        elif self.tagged:
            if start >= len(self._buffer):
                return 0
            count = self._buffer[start]
            size = 1 + (size if count == BITMAP_COUNT else count * index_bytes(self.inputs))
        return size if len(self._buffer) >= start + size else 0

    def _decode(self, step: bytes) -> NDArray[np.bool_]:
        counted = self.tagged and not self.indices
        if not self.tagged or (counted and step[0] == BITMAP_COUNT):
            bits = np.frombuffer(step[counted:], np.uint8)
            return np.unpackbits(bits, count=self.inputs, bitorder="little").astype(np.bool_)
        spikes = np.zeros(self.inputs, np.bool_)
        indices = np.frombuffer(step[counted:], f"<u{index_bytes(self.inputs)}")
        spikes[indices[indices < self.inputs]] = True
        return spikes


def bitmaps(steps: NDArray[np.bool_]) -> bytes:
    """Steps (steps, inputs) in format 0."""
    return np.packbits(steps, axis=1, bitorder="little").tobytes()


def padded(steps: NDArray[np.bool_], count: int) -> bytes:
    """Steps (steps, inputs) in format 1 of the private schedule: `count` indices each, unused ones with all bits set.

    ValueError where a step has more spikes.
    """
    max_spikes = int(steps.sum(axis=1).max(initial=0))
    checks.integer("indices of a step", count, max_spikes, MAX_INPUTS)
    indices = np.full((len(steps), count), -1, np.int64)
    rank = np.cumsum(steps, axis=1) - 1
    row, column = np.nonzero(steps)
    indices[row, rank[row, column]] = column
    return indices.astype(f"<u{index_bytes(steps.shape[1])}").tobytes()


def counted(step: NDArray[np.bool_]) -> bytes:
    """One step (inputs,) in format 1 of the fast schedule: the number of its indices, at most 254, and the indices."""
    count = checks.integer("indices of a step", int(step.sum()), 0, MAX_COUNT)
    return bytes([count]) + padded(step[None], count)


def shortest(steps: NDArray[np.bool_]) -> bytes:
    """Steps (steps, inputs) in format 1 of the fast schedule, each as counted indices or as a bitmap, whichever is
    shorter: the length reveals the number of spikes.
    """
    inputs = steps.shape[1]
    limit = min(MAX_COUNT, bitmap_bytes(inputs) // index_bytes(inputs)) if inputs <= MAX_INPUTS else -1
    parts = [counted(step) if step.sum() <= limit else bytes([BITMAP_COUNT]) + bitmaps(step[None]) for step in steps]
    return b"".join(parts)


def fixed_indices(spec: NetworkSpec) -> int:
    """The indices of every step in format 1 on the private schedule: the first layer's input cap; 0 without one, or
    where an index does not name every input.
    """
    return spec.layers[0].input_cap or 0 if spec.inputs <= MAX_INPUTS else 0


def takes_indices(spec: NetworkSpec, *, tagged: bool, private: bool) -> bool:
    """Whether a device that is built with a decoder (`tagged`) accepts format 1: on the private schedule only where
    the first layer has an input cap, since the steps of a lease must have one length.
    """
    return tagged and (fixed_indices(spec) > 0 or not private)


def indices_are_shorter(spec: NetworkSpec) -> bool:
    """Whether a step of format 1 on the private schedule exists and is shorter than a bitmap."""
    return 0 < fixed_indices(spec) * index_bytes(spec.inputs) < bitmap_bytes(spec.inputs)
