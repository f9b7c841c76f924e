"""The guard's model: what a lease lets in and out, and how one is opened. Twin of hdl/device/guard.py."""

from dataclasses import dataclass

from spikeveil.pysim.device.messages import Result
from spikeveil.pysim.model.trivium import KEY_BYTES

SEED_BYTES = 16  # a seed's 127 bits, and a top one that says nothing


def secret_bytes(source: str, flippers: int) -> int:
    """Bytes of the secret in an OPEN message, for a device whose source is `trivium` or `lfsr`."""
    return SEED_BYTES * flippers if source == "lfsr" else KEY_BYTES


@dataclass(frozen=True)
class Offer:
    """A lease as the host offers it."""

    lease: int
    session: int
    quota: int
    record_steps: int


class Guard:
    """One guard, command by command and row by row; the methods are the commands of `hdl.Guard`.

    `i_rows`, `o_rows`: rows of an input and of an output step; a model that counts whole steps has 1 of each.
    `lease`, `session`, `quota` and `open` may be read, and change as the gateware's outputs do, a cycle earlier.
    `open`: a lease is open; steps may still leave, so many as `quota` says.
    `secret` is what the network was opened with, b"" between leases.
    """

    def __init__(self, source: str, flippers: int, *, i_rows: int = 1, o_rows: int = 1) -> None:
        self.source, self.secret_bytes = source, secret_bytes(source, flippers)
        self.i_rows, self.o_rows = i_rows, o_rows
        self.lease = self.session = self.quota = 0
        self.open = False
        self.secret = b""
        self._heard = b""
        self._granted: Offer | None = None
        self._record_steps = self._to_enter = self._entered = self._row_out = 0

    def __repr__(self) -> str:
        return f"Guard(lease={self.lease}, quota={self.quota}, secret hidden)"

    @property
    def shut(self) -> bool:
        """Whether nothing may pass, not even the rest of a step: the network is held in reset."""
        return not self.open and self._row_out == 0

    def open_lease(self, offer: Offer, secret: bytes, *, loaded: bool = True) -> Result:
        """The whole of an OPEN message: every command that it takes. What is refused changes nothing."""
        self.rewind()
        self.hear(secret)
        result = self.ask(offer, loaded=loaded)
        if result is Result.OK:
            self.hear(secret)
            result = self.begin()
        return result

    def rewind(self) -> None:
        """Forget the secret's bytes heard so far, and a granted offer."""
        self._heard = b""
        self._refuse()

    def hear(self, secret: bytes) -> None:
        """Bytes of the secret."""
        self._heard += secret

    def ask(self, offer: Offer, *, loaded: bool = True) -> Result:
        """Judge an offer; one that is taken ends the lease before it."""
        if not (self._sound and offer.quota and offer.record_steps):
            return Result.MALFORMED
        if not loaded:
            return Result.UNLOADED
        if offer.lease <= self.lease:
            return Result.STALE
        self.lease, self.session, self.quota, self._row_out = offer.lease, offer.session, offer.quota, 0
        self.open = False
        self.secret, self._heard, self._granted = b"", b"", offer
        return Result.OK

    def begin(self) -> Result:
        """Open the lease of the offer that was taken, under the secret heard since."""
        offer, sound = self._granted, self._sound
        if offer is None or not sound:
            self._refuse()
            return Result.MALFORMED
        self.open, self.secret, self._granted = True, self._heard, None
        self._record_steps, self._to_enter, self._entered = offer.record_steps, offer.quota * self.i_rows, 0
        return Result.OK

    def close(self) -> None:
        """End the lease; what has begun to leave may still leave."""
        self.quota, self.open, self._granted = 0, False, None
        self._forget()

    @property
    def admits(self) -> bool:
        """Whether a row may enter."""
        return self.open and self._to_enter > 0

    def enter(self) -> tuple[bool, bool]:
        """A row enters: (whether it ends a step, whether it ends a record). RuntimeError where none may."""
        if not self.admits:
            raise RuntimeError("a row entered that the guard does not admit")
        self._to_enter -= 1
        self._entered += 1
        step_end = self._entered % self.i_rows == 0
        return step_end, step_end and self._entered // self.i_rows % self._record_steps == 0

    def leave(self) -> bool:
        """A row leaves: whether it ends a step. RuntimeError where none may."""
        if self.shut:
            raise RuntimeError("a row left through a gate that is shut")
        if self._row_out == 0:
            self.quota -= 1
            self.open = self.quota > 0
        self._row_out = (self._row_out + 1) % self.o_rows
        self._forget()
        return self._row_out == 0

    @property
    def _sound(self) -> bool:
        heard = self._heard
        seeds = [heard[start : start + SEED_BYTES] for start in range(0, len(heard), SEED_BYTES)]
        zero = self.source == "lfsr" and any(int.from_bytes(seed, "little") % (1 << 127) == 0 for seed in seeds)
        return len(heard) == self.secret_bytes and not zero

    def _refuse(self) -> None:
        """Drop a granted offer; an open lease goes on."""
        self._granted = None
        if not self.open:
            self.quota = 0

    def _forget(self) -> None:
        if self.shut:
            self.secret = b""
