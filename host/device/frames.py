"""Frames of docs/protocol.md: COBS of a body and its CRC-32, terminated by 0x00. Twin of hdl/device/frames.py."""

import zlib

from cobs import cobs

from spikeveil.pysim.device.wire import CRC_BYTES, MAX_BODY, MIN_BODY

END = b"\0"
MAX_FRAME = MAX_BODY + CRC_BYTES + 1  # bytes before the 0x00


def encode(body: bytes) -> bytes:
    """The frame of a body, its 0x00 included. ValueError where the body does not have 2 to 250 bytes."""
    if not MIN_BODY <= len(body) <= MAX_BODY:
        raise ValueError(f"body must have {MIN_BODY} to {MAX_BODY} bytes, not {len(body)}")
    coded: bytes = cobs.encode(body + zlib.crc32(body).to_bytes(CRC_BYTES, "little"))
    return coded + END


def decode(frame: bytes) -> bytes | None:
    """The body of a frame (given without its 0x00); None where the frame is damaged."""
    if len(frame) > MAX_FRAME:
        return None
    try:
        content: bytes = cobs.decode(frame)
    except cobs.DecodeError:
        return None
    body, crc = content[:-CRC_BYTES], content[-CRC_BYTES:]
    valid = MIN_BODY <= len(body) <= MAX_BODY and int.from_bytes(crc, "little") == zlib.crc32(body)
    return body if valid else None


class Receiver:
    """Decodes a byte stream that arrives in pieces of any size; `damaged` counts the frames that were dropped.

    At most one frame's length is buffered, so noise without a 0x00 uses no memory.
    """

    def __init__(self) -> None:
        self.damaged = 0
        self._partial = bytearray()

    def feed(self, piece: bytes) -> list[bytes]:
        """The bodies of the frames that end in `piece`, in order."""
        *complete, remainder = piece.split(END)
        bodies = []
        for part in complete:
            self._append(part)
            if self._partial:
                bodies.append(decode(bytes(self._partial)))
            self._partial.clear()
        self._append(remainder)
        self.damaged += bodies.count(None)
        return [body for body in bodies if body is not None]

    def _append(self, part: bytes) -> None:
        self._partial += part[: MAX_FRAME + 1 - len(self._partial)]
