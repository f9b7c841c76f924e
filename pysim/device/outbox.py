"""The output bytes that the host has not confirmed, and the positions in them. Twin of hdl/device/outbox.py."""

from spikeveil.pysim.device.wire import POSITION_MODULUS


class Outbox:
    """Output bytes of one lease, kept until they are confirmed.

    | attribute | meaning |
    |---|---|
    | `depth` | most bytes that may wait for their confirmation |
    | `confirmed` | bytes that the host has confirmed |
    | `sent` | position of the byte that is sent next |
    | `highest_sent` | the highest position that `sent` has reached |

    Positions count from the start of the lease and do not wrap; the wire has them modulo 2^32.
    """

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.confirmed = 0
        self.sent = 0
        self.highest_sent = 0
        self._bytes = bytearray()  # from position `confirmed` on

    @property
    def written(self) -> int:
        """Bytes written since the start of the lease."""
        return self.confirmed + len(self._bytes)

    @property
    def free(self) -> int:
        """Bytes that may be written now."""
        return self.depth - len(self._bytes)

    def write(self, piece: bytes) -> None:
        """Append at most `free` bytes."""
        self._bytes += piece

    def confirm(self, position: int) -> None:
        """Drop the bytes before `position` (modulo 2^32), unless it lies outside `confirmed` to `highest_sent`."""
        count = (position - self.confirmed) % POSITION_MODULUS
        if count <= self.highest_sent - self.confirmed:
            del self._bytes[:count]
            self.confirmed += count
            self.sent = max(self.sent, self.confirmed)

    def resend(self) -> None:
        """Send again from `confirmed` on."""
        self.sent = self.confirmed

    def send(self, size: int) -> bytes:
        """The next bytes, at most `size`; empty where none are left."""
        start = self.sent - self.confirmed
        piece = bytes(self._bytes[start : start + size])
        self.sent += len(piece)
        self.highest_sent = max(self.highest_sent, self.sent)
        return piece
