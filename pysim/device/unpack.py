"""Input steps as bytes, in the two formats of docs/protocol.md, and back. Twin of hdl/device/unpack.py."""

import numpy as np
from numpy.typing import NDArray

from spikeveil.pysim.device.messages import BITMAP, FIXED_FORMAT, TAGGED_FORMAT
from spikeveil.pysim.model import checks
from spikeveil.pysim.model.spec import NetworkSpec

MAX_EVENTS = BITMAP - 1


def bitmap_bytes(inputs: int) -> int:
    """Bytes of a step's bitmap."""
    return -(-inputs // 8)


def index_bytes(inputs: int) -> int:
    """Bytes of an index in format 1."""
    return 1 if inputs <= 255 else 2


class Unpacker:
    """A stream of input bytes to steps, in pieces of any size; `format` as in OPEN."""

    def __init__(self, inputs: int, format: int) -> None:
        self.inputs, self.tagged = inputs, checks.integer("input format", format, FIXED_FORMAT, TAGGED_FORMAT) == 1
        self._held = bytearray()

    @property
    def held(self) -> int:
        """Bytes that wait: none where the first step is not whole, for its bytes pass as they come."""
        return len(self._held) if self._step() else 0

    def steps(self, most: int) -> int:
        """How many whole steps wait, counted up to `most`."""
        count = at = 0
        while count < most and (size := self._step(at)):
            count, at = count + 1, at + size
        return count

    def take(self, piece: bytes, most: int) -> NDArray[np.bool_]:
        """Add `piece` to the stream and take whole steps off it, `most` at the most: (steps, inputs)."""
        self._held += piece
        steps: list[NDArray[np.bool_]] = []
        at = 0
        while len(steps) < most and (size := self._step(at)):
            steps.append(self._decode(bytes(self._held[at : at + size])))
            at += size
        del self._held[:at]
        return np.array(steps, np.bool_).reshape(-1, self.inputs)

    def _step(self, at: int = 0) -> int:
        """Bytes of the step that begins at `at`, 0 where it is not whole."""
        size = bitmap_bytes(self.inputs)
        if self.tagged:
            if at >= len(self._held):
                return 0
            size = 1 + (size if self._held[at] == BITMAP else self._held[at] * index_bytes(self.inputs))
        return size if len(self._held) >= at + size else 0

    def _decode(self, step: bytes) -> NDArray[np.bool_]:
        if not self.tagged or step[0] == BITMAP:
            bits = np.frombuffer(step[self.tagged :], np.uint8)
            return np.unpackbits(bits, count=self.inputs, bitorder="little").astype(np.bool_)
        found, indices = np.zeros(self.inputs, np.bool_), np.frombuffer(step[1:], f"<u{index_bytes(self.inputs)}")
        found[indices[indices < self.inputs]] = True
        return found


def bitmaps(steps: NDArray[np.bool_]) -> bytes:
    """Steps (steps, inputs) in format 0."""
    return np.packbits(steps, axis=1, bitorder="little").tobytes()


def padded(steps: NDArray[np.bool_], events: int) -> bytes:
    """Steps (steps, inputs) in format 1 as `events` indices each, filled up with indices of all ones.

    ValueError where a step has more spikes, or where `events` cannot be a count.
    """
    width = index_bytes(steps.shape[1])
    most = int(steps.sum(axis=1).max(initial=0))
    checks.integer("events of a step", events, most, MAX_EVENTS)
    indices = np.full((len(steps), events), -1, np.int64)
    rank = np.cumsum(steps, axis=1) - 1
    row, column = np.nonzero(steps)
    indices[row, rank[row, column]] = column
    tagged = np.empty((len(steps), 1 + events * width), np.uint8)
    tagged[:, 0] = events
    tagged[:, 1:] = indices.astype(f"<u{width}").view(np.uint8).reshape(len(steps), -1)
    return tagged.tobytes()


def shortest(steps: NDArray[np.bool_]) -> bytes:
    """Steps (steps, inputs) in format 1, each as indices or as a bitmap, whichever is shorter: so length tells."""
    inputs = steps.shape[1]
    width, size = index_bytes(inputs), bitmap_bytes(inputs)
    most = min(MAX_EVENTS, size // width)
    parts = []
    for step in steps:
        count = int(step.sum())
        parts.append(padded(step[None], count) if count <= most and inputs < 1 << 16 else b"\xff" + bitmaps(step[None]))
    return b"".join(parts)


def events(spec: NetworkSpec) -> int | None:
    """The indices that a private step of format 1 has; None where a bitmap is as short."""
    cap = spec.layers[0].input_cap
    if cap is None or cap > MAX_EVENTS or spec.inputs >= 1 << 16:
        return None
    return cap if 1 + cap * index_bytes(spec.inputs) < bitmap_bytes(spec.inputs) else None
