"""The guard: opens leases, admits steps and passes releases within the quota. Twin of hdl/device/guard.py."""

from dataclasses import dataclass

from spikeveil.pysim.device.messages import ResultCode
from spikeveil.pysim.device.wire import SEED_BYTES
from spikeveil.pysim.model.lfsr import PERIOD
from spikeveil.pysim.model.source import FIRST_SIMULATED_LEASE
from spikeveil.pysim.model.trivium import KEY_BYTES


def secret_bytes(source: str, word_sources: int) -> int:
    """Bytes of the secret in an OPEN, for `word_sources` word sources of the kind `source`: `trivium` or `lfsr`."""
    return SEED_BYTES * word_sources if source == "lfsr" else KEY_BYTES


@dataclass(frozen=True)
class Offer:
    """A lease as offered in an OPEN request: its number, the host's nonce, its quota and the steps of a record."""

    lease: int
    nonce: int
    quota: int
    record_steps: int


class Guard:
    """Model of the guard at the level of commands and rows.

    | argument | meaning |
    |---|---|
    | `source`, `word_sources` | kind and number of word sources of the network, which give the length of the secret |
    | `i_rows`, `o_rows` | rows of an input step and of a release; both 1 to count whole steps and releases |
    | `decision_steps` | in a network with a decision, the steps of a record; None: each step is a release |

    A release is the unit of the quota: an output step, or the decision about a record.

    | attribute | meaning |
    |---|---|
    | `open` | a lease is open and releases may still leave |
    | `lease`, `nonce` | highest lease number accepted since power-on, and its nonce |
    | `quota` | releases that may still leave |
    | `secret` | the secret of the open lease; empty between leases |

    The methods are the commands of `hdl.device.guard.Guard`. The attributes have the values that
    the gateware's outputs have one cycle later.
    """

    def __init__(
        self, source: str, word_sources: int, *, i_rows: int = 1, o_rows: int = 1, decision_steps: int | None = None
    ) -> None:
        self.source = source
        self.secret_bytes = secret_bytes(source, word_sources)
        self.i_rows = i_rows
        self.o_rows = o_rows
        self.decision_steps = decision_steps
        self.lease = self.nonce = self.quota = 0
        self.open = False
        self.secret = b""
        self._received = b""
        self._granted: Offer | None = None
        self._record_steps = 0
        self._rows_to_enter = 0
        self._rows_in = 0
        self._row_out = 0

    def __repr__(self) -> str:
        return f"Guard(lease={self.lease}, quota={self.quota}, secret hidden)"

    @property
    def reset(self) -> bool:
        """Whether the network is held in reset: no lease is open and no release is leaving."""
        return not self.open and self._row_out == 0

    def open_lease(self, offer: Offer, secret: bytes, *, loaded: bool = True) -> ResultCode:
        """Execute the commands of an OPEN request. A refused offer does not change an open lease."""
        self.rewind()
        self.receive(secret)
        result = self.check(offer, loaded=loaded)
        if result is ResultCode.OK:
            self.receive(secret)
            result = self.begin()
        return result

    def rewind(self) -> None:
        """Discard the secret received so far, and a granted offer."""
        self._received = b""
        self._refuse()

    def receive(self, secret: bytes) -> None:
        """Receive bytes of the secret."""
        self._received += secret

    def check(self, offer: Offer, *, loaded: bool = True) -> ResultCode:
        """Check an offer. A granted offer ends the previous lease."""
        if not (self._secret_valid and self._in_range(offer)):
            return ResultCode.MALFORMED
        if not loaded:
            return ResultCode.UNLOADED
        if offer.lease <= self.lease:
            return ResultCode.STALE
        self.lease, self.nonce, self.quota, self._row_out = offer.lease, offer.nonce, offer.quota, 0
        self.open = False
        self.secret, self._received, self._granted = b"", b"", offer
        return ResultCode.OK

    def begin(self) -> ResultCode:
        """Open the lease of the granted offer with the secret received since `check`."""
        offer = self._granted
        if offer is None or not self._secret_valid:
            self._refuse()
            return ResultCode.MALFORMED
        self.open, self.secret, self._granted = True, self._received, None
        self._record_steps, self._rows_in = offer.record_steps, 0
        self._rows_to_enter = offer.quota * self.i_rows * (self.decision_steps or 1)
        return ResultCode.OK

    def close(self) -> None:
        """End the lease; a release that has begun to leave may be completed."""
        self.quota, self.open, self._granted = 0, False, None
        self._clear_secret()

    @property
    def admits(self) -> bool:
        """Whether a row may enter."""
        return self.open and self._rows_to_enter > 0

    def enter(self) -> tuple[bool, bool]:
        """Admit a row; returns whether it ends a step and whether it ends a record. RuntimeError if none may enter."""
        if not self.admits:
            raise RuntimeError("a row entered that the guard does not admit")
        self._rows_to_enter -= 1
        self._rows_in += 1
        step_end = self._rows_in % self.i_rows == 0
        return step_end, step_end and self._rows_in // self.i_rows % self._record_steps == 0

    def leave(self) -> bool:
        """Pass a row out; returns whether it ends a release. RuntimeError if none may leave."""
        if self.reset:
            raise RuntimeError("a row left while the network is in reset")
        if self._row_out == 0:
            self.quota -= 1
            self.open = self.quota > 0
        self._row_out = (self._row_out + 1) % self.o_rows
        self._clear_secret()
        return self._row_out == 0

    @property
    def _secret_valid(self) -> bool:
        """Whether the secret has the right length, and no LFSR seed is zero."""
        secret = self._received
        seeds = [secret[start : start + SEED_BYTES] for start in range(0, len(secret), SEED_BYTES)]
        zero_seed = self.source == "lfsr" and any(int.from_bytes(seed, "little") & PERIOD == 0 for seed in seeds)
        return len(secret) == self.secret_bytes and not zero_seed

    def _in_range(self, offer: Offer) -> bool:
        """Whether the numbers of an offer are valid; with a decision, record steps must match the specification."""
        steps_allowed = offer.record_steps == self.decision_steps if self.decision_steps else offer.record_steps > 0
        return steps_allowed and offer.quota > 0 and offer.lease < FIRST_SIMULATED_LEASE

    def _refuse(self) -> None:
        """Discard a granted offer; an open lease continues."""
        self._granted = None
        if not self.open:
            self.quota = 0

    def _clear_secret(self) -> None:
        """Clear the secret if the network is in reset."""
        if self.reset:
            self.secret = b""
