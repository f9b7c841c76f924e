"""Transfers one lease's input and output: credit-based flow control, go-back-N retransmission."""

from collections.abc import Callable

from spikeveil.host.device.answers import read_status, slot_seconds
from spikeveil.host.device.errors import DeviceRefused, DeviceStuck, LeaseLost
from spikeveil.host.device.link import Link
from spikeveil.pysim.device.identity import Identity
from spikeveil.pysim.device.messages import Message, MessageKind, ResultCode, StatusFlag
from spikeveil.pysim.device.status import Status
from spikeveil.pysim.device.wire import POSITION_MODULUS

MAX_PIECE = 224  # input bytes in one message; the output that they cause, plus one step, fits one frame
MAX_WAIT_FACTOR = 16
SLOTS_IN_FLIGHT = 64  # steps that a device may compute before the first one leaves
MAX_CLOSED_ANSWERS = 4  # times that a closed lease may be asked for the rest of its output


def unwrap(reference: int, wrapped: int) -> int:
    """The position not before `reference` that equals `wrapped` modulo 2^32; `reference` where `wrapped` is older."""
    distance = (wrapped - reference) % POSITION_MODULUS
    return reference + distance if distance < POSITION_MODULUS // 2 else reference


class LeaseTransfer:
    """Sends `data` under an open lease and collects `output_size` bytes of output.

    | argument | meaning |
    |---|---|
    | `link` | the link; its `listener` is replaced by `run` |
    | `identity` | the device's identity |
    | `nonce` | the random number that the lease was opened with |
    | `data` | all input steps, encoded |
    | `output_size` | bytes of output that the lease will produce |

    `output` holds the bytes received so far, in order, at most `output_size`. `run` may be called again after a
    reconnection. Before the first `run`, call `begin` with the status that answered OPEN; without it `run` requests the
    status. All calls together end within `Timing.transfer_limit`, counted from construction: DeviceStuck.
    """

    def __init__(self, link: Link, identity: Identity, nonce: int, data: bytes, output_size: int) -> None:
        self.link, self.identity, self.nonce = link, identity, nonce
        self.data, self.output_size = data, output_size
        steps = output_size // max(1, identity.output_bytes) * max(1, identity.record_steps)
        pauses = (steps + SLOTS_IN_FLIGHT) * slot_seconds(identity)
        self._deadline = link.port.now() + link.timing.transfer_limit(len(data) + output_size, pauses)
        self.output = bytearray()
        self._piece = max(1, min(MAX_PIECE, identity.window // 3))  # one in transit, one buffered, one being answered
        self._accepted = 0  # input bytes that the device has accepted
        self._next = 0  # position of the next input byte to send
        self._limit = 0  # input position up to which the device has room
        self._confirmed = 0  # output bytes confirmed to the device
        self._resync_needed = False  # something was lost
        self._last_progress = link.port.now()
        self._wait_factor = 1  # how many answer time-outs to wait for the next message
        self._closed_answers = 0
        self._synchronised = False  # whether `begin` was called and nothing was sent since

    def begin(self, status: Status) -> None:
        """Start from `status`, the device's answer to OPEN."""
        self._go_back(status)
        self._synchronised = True

    def run(self, progress: Callable[[], None] = lambda: None) -> bytes:
        """All the output; `progress` is called after every exchange.

        Raises PortLost, LeaseLost (the device no longer holds the lease), DeviceStuck, DeviceSilent, DeviceRefused.
        """
        self.link.listener = self._receive
        self._last_progress = self.link.port.now()
        if not self._synchronised:
            self._resynchronise()
        self._synchronised = False
        while len(self.output) < self.output_size:
            self._send()
            self._acknowledge()
            self._wait()
            progress()
        return bytes(self.output)

    @property
    def accepted(self) -> int:
        """Input bytes that the device has accepted."""
        return self._accepted

    def _send(self) -> None:
        """Send input as far as the credit goes; a partial piece only at the end or where the buffer runs dry."""
        while not self._resync_needed:
            remaining, credit = len(self.data) - self._next, self._limit - self._next
            size = min(self._piece, remaining, credit)
            partial = size < self._piece and size < remaining
            if size <= 0 or (partial and credit < self.identity.window // 2):
                return
            self.link.send(
                MessageKind.INPUT,
                self.data[self._next : self._next + size],
                nonce=self.nonce,
                position=self._next % POSITION_MODULUS,
                confirmed=self._confirm(),
            )
            self._next += size

    def _acknowledge(self) -> None:
        """Confirm output before the outbox is full, where no piece of input has done so."""
        if len(self.output) - self._confirmed >= max(1, self.identity.outbox // 2):
            self.link.send(MessageKind.TAKE, nonce=self.nonce, confirmed=self._confirm(), resend=0)

    def _wait(self) -> None:
        """Receive messages; resynchronise where something was lost or nothing arrived."""
        damaged = self.link.damaged
        messages = self.link.receive(self.link.timeout.seconds * self._wait_factor)
        for message in messages:
            self._receive(message)
        self._require_progress()
        if len(self.output) < self.output_size and (self._resync_needed or not messages or self.link.damaged > damaged):
            self._wait_factor = min(MAX_WAIT_FACTOR, 2 * self._wait_factor)
            self._resynchronise()

    def _receive(self, message: Message) -> None:
        """Process a message; one with another nonce or kind shows that something was lost."""
        if message.kind is MessageKind.OUTPUT and message["nonce"] == self.nonce:
            self._update_credit(message["input_position"], message["input_room"])
            self._collect(message["position"], message.data)
        elif message.kind is MessageKind.STATUS and message["nonce"] == self.nonce:
            self._update_credit(message["input_position"], message["input_room"])
            self._resync_needed |= message["result"] != ResultCode.OK
        else:
            self._resync_needed = True

    def _update_credit(self, position: int, free_bytes: int) -> None:
        accepted = min(unwrap(self._accepted, position), len(self.data))
        if accepted > self._accepted:
            self._accepted = accepted
            self._note_progress()
        self._limit = max(self._limit, self._accepted + free_bytes)

    def _note_progress(self) -> None:
        self._last_progress, self._wait_factor = self.link.port.now(), 1

    def _collect(self, position: int, piece: bytes) -> None:
        """Append the new bytes of a piece; a gap before it shows that one was lost."""
        distance = (position - len(self.output)) % POSITION_MODULUS
        if 0 < distance < POSITION_MODULUS // 2:
            self._resync_needed = True
        elif new := piece[-distance % POSITION_MODULUS :][: self.output_size - len(self.output)]:
            self.output += new
            self._note_progress()

    def _confirm(self) -> int:
        """The output position to send as confirmed, modulo 2^32."""
        self._confirmed = len(self.output)
        return self._confirmed % POSITION_MODULUS

    def _resynchronise(self) -> None:
        """Request the status and the rest of the output, and go back to the device's input position."""
        answer = self.link.ask(MessageKind.TAKE, nonce=self.nonce, confirmed=self._confirm(), resend=1)
        status = read_status(self.link.port.name, answer)
        self._check(status)
        self._go_back(status)

    def _go_back(self, status: Status) -> None:
        """Continue sending at the device's input position."""
        self._accepted = min(unwrap(self._accepted, status.input_position), len(self.data))
        self._limit = self._accepted + status.input_room
        self._next = self._accepted
        self._resync_needed = False

    def _check(self, status: Status) -> None:
        """Raise where the lease cannot produce the rest of its output, or makes no progress."""
        if status.result is ResultCode.CLOSED or status.nonce != self.nonce:
            raise LeaseLost("the device does not hold the lease any more: it lost power, or another host used it")
        if status.result is not ResultCode.OK:
            raise DeviceRefused(f"the device answered a TAKE with {status.result.name}")
        if StatusFlag.LATE in status.flags:
            raise DeviceStuck("a step missed its slot on the device, which releases nothing more under this lease")
        producing = StatusFlag.OPEN in status.flags or self._output_pending(status)
        self._closed_answers = 0 if producing else self._closed_answers + 1
        if self._closed_answers > MAX_CLOSED_ANSWERS:
            raise LeaseLost("the lease was closed before all its steps had left")
        self._require_progress()

    def _require_progress(self) -> None:
        """DeviceStuck where nothing was transferred for too long, or all of it takes too long."""
        slots = SLOTS_IN_FLIGHT + self.identity.record_steps  # under a decision, only a whole record releases anything
        now, limit = self.link.port.now(), self.link.timing.stall + slots * slot_seconds(self.identity)
        if now - self._last_progress > limit:
            raise DeviceStuck(f"the device answers, but nothing was transferred for {limit:g} s")
        if now > self._deadline:
            raise DeviceStuck(
                f"the device transferred {self._accepted + len(self.output)} of {len(self.data) + self.output_size} "
                f"bytes, and must transfer at least {self.link.timing.rate:g} a second"
            )

    def _output_pending(self, status: Status) -> bool:
        """Whether output that has left the guard was not received yet."""
        return unwrap(len(self.output), status.output_position) > len(self.output)
