"""Frames on the line (docs/protocol.md): COBS around a body and its CRC-32, with 0x00 after each."""

import zlib

from cobs import cobs

from spikeveil.pysim.device.messages import MAX_BODY

END = b"\0"
MIN_BODY = 2
CRC_BYTES = 4
MAX_FRAME = MAX_BODY + CRC_BYTES + 1  # bytes before the 0x00


def encode(body: bytes) -> bytes:
    """The frame of a body, its 0x00 included. ValueError where the body has not 2 to 250 bytes."""
    if not MIN_BODY <= len(body) <= MAX_BODY:
        raise ValueError(f"body must have {MIN_BODY} to {MAX_BODY} bytes, not {len(body)}")
    coded: bytes = cobs.encode(body + zlib.crc32(body).to_bytes(CRC_BYTES, "little"))
    return coded + END


def decode(frame: bytes) -> bytes | None:
    """The body of a frame without its 0x00, None where it is damaged."""
    if len(frame) > MAX_FRAME:
        return None
    try:
        content: bytes = cobs.decode(frame)
    except cobs.DecodeError:
        return None
    body, crc = content[:-CRC_BYTES], content[-CRC_BYTES:]
    whole = MIN_BODY <= len(body) <= MAX_BODY and int.from_bytes(crc, "little") == zlib.crc32(body)
    return body if whole else None


class Receiver:
    """Bytes in pieces of any size to bodies; `damaged` counts the frames that were dropped.

    Of what is longer than any frame only the beginning is held, so noise without a 0x00 needs no memory.
    """

    def __init__(self) -> None:
        self.damaged = 0
        self._held = bytearray()

    def feed(self, piece: bytes) -> list[bytes]:
        """The bodies of the frames that end in `piece`, in order."""
        *ended, rest = piece.split(END)
        bodies = []
        for part in ended:
            self._hold(part)
            if self._held:
                bodies.append(decode(bytes(self._held)))
            self._held.clear()
        self._hold(rest)
        self.damaged += bodies.count(None)
        return [body for body in bodies if body is not None]

    def _hold(self, part: bytes) -> None:
        self._held += part[: MAX_FRAME + 1 - len(self._held)]
