"""One lease's bytes through the device: input sent ahead by credit, output put in order, go-back-N after any loss."""

from collections.abc import Callable

from spikeveil.host.device.errors import DeviceRefused, DeviceStuck, LeaseLost
from spikeveil.host.device.link import Link
from spikeveil.pysim.device.messages import WRAP, Identity, Kind, Message, Result, State, Status

FULL_PIECE = 224  # bytes of input at once: as many bytes of output, and a step more, still fit one frame
MAX_IDLE = 16
GIVE_UP = 4  # times that a closed lease may be asked for the rest of its output


def forward(known: int, wire: int) -> int:
    """The position that `wire` (modulo 2^32) stands for, not before `known`; `known` where it is an older one."""
    ahead = (wire - known) % WRAP
    return known + ahead if ahead < WRAP // 2 else known


class Stream:
    """Sends `data` under the session and gathers `due` bytes of output; `run` may be called again after a new line.

    `begin`, at most once and before the first `run`, spares it the question where the device stands.

    output: the bytes in order, from position 0. A lease that the device does not hold any more raises LeaseLost,
    with `output` as it came until then.
    """

    def __init__(self, link: Link, identity: Identity, session: int, data: bytes, due: int) -> None:
        self.link, self.identity, self.session, self.data, self.due = link, identity, session, data, due
        self.output = bytearray()
        self._piece = max(1, min(FULL_PIECE, identity.window // 3))  # one on its way, one waiting, one being answered
        self._accepted = self._next = 0  # input that the device has, and what is sent next
        self._limit = 0  # input that it may be sent
        self._confirmed = 0  # output that the device knows to be here
        self._lost = False  # something is missing: ask where the device stands
        self._moved = link.port.now()
        self._idle = 1  # how many times longer than an answer may take the next message may
        self._closed = 0
        self._known = False  # where the device stands, before anything was sent

    def begin(self, status: Status) -> None:
        """`status` is how the device opened the lease."""
        self._stand(status)
        self._known = True

    def run(self, progress: Callable[[], None] = lambda: None) -> bytes:
        """All the output. LineLost, LeaseLost, DeviceStuck, DeviceSilent, DeviceRefused."""
        self.link.listener = self._hear
        self._moved = self.link.port.now()
        if not self._known:
            self._recover()
        self._known = False
        while len(self.output) < self.due:
            self._send()
            self._acknowledge()
            self._listen()
            progress()
        return bytes(self.output)

    @property
    def accepted(self) -> int:
        """Input bytes that the device has taken."""
        return self._accepted

    def _send(self) -> None:
        """Whole pieces as far as the credit goes; a smaller one only at the end, or where the device may run dry."""
        while not self._lost and (size := min(self._piece, len(self.data) - self._next, self._limit - self._next)) > 0:
            last = self._next + size == len(self.data)
            if size < self._piece and not last and self._limit - self._next < self.identity.window // 2:
                return  # the device has enough to go on with
            self.link.send(
                Kind.INPUT,
                self.data[self._next : self._next + size],
                session=self.session,
                position=self._next % WRAP,
                taken=self._confirm(),
            )
            self._next += size

    def _acknowledge(self) -> None:
        """Confirm output where no piece of input went that would have done so, before the outbox is full."""
        if len(self.output) - self._confirmed >= max(1, self.identity.outbox // 2):
            self.link.send(Kind.TAKE, session=self.session, taken=self._confirm(), again=0)

    def _listen(self) -> None:
        """Take what arrives; find out where the device stands where something is missing or nothing came."""
        damaged = self.link.damaged
        messages = self.link.receive(self.link.pace.patience * self._idle)
        for message in messages:
            self._hear(message)
        if len(self.output) < self.due and (self._lost or not messages or self.link.damaged > damaged):
            self._idle = min(MAX_IDLE, 2 * self._idle)
            self._recover()

    def _hear(self, message: Message) -> None:
        """Whatever the device sends, in answer or not; what belongs to another session says nothing here."""
        if message.kind is Kind.OUTPUT and message["session"] == self.session:
            self._credit(message["input_position"], message["input_room"])
            self._gather(message["position"], message.data)
        elif message.kind is Kind.STATE and message["session"] == self.session:
            self._credit(message["input_position"], message["input_room"])
            self._lost |= message["result"] != Result.OK
        else:
            self._lost = True

    def _credit(self, position: int, room: int) -> None:
        accepted = min(forward(self._accepted, position), len(self.data))
        if accepted > self._accepted:
            self._accepted = accepted
            self._move()
        self._limit = max(self._limit, self._accepted + room)

    def _move(self) -> None:
        self._moved, self._idle = self.link.port.now(), 1

    def _gather(self, position: int, piece: bytes) -> None:
        """Add what is new of a piece; a piece beyond the next position shows that one is missing."""
        ahead = (position - len(self.output)) % WRAP
        if 0 < ahead < WRAP // 2:
            self._lost = True
        elif new := piece[-ahead % WRAP :]:
            self.output += new
            self._move()

    def _confirm(self) -> int:
        self._confirmed = len(self.output)
        return self._confirmed % WRAP

    def _recover(self) -> None:
        """Ask where the device stands, have the rest of the output sent again, and go back to what it has."""
        answer = self.link.ask(Kind.TAKE, session=self.session, taken=self._confirm(), again=1)
        if answer.kind is not Kind.STATE:
            raise DeviceRefused(f"the device answered a TAKE with {answer.kind.name}")
        status = Status.of(answer)
        self._check(status)
        self._stand(status)

    def _stand(self, status: Status) -> None:
        """Go back to what the device has."""
        self._accepted = forward(self._accepted, status.input_position)
        self._limit = self._accepted + status.input_room
        self._next, self._lost = self._accepted, False

    def _check(self, status: Status) -> None:
        """Whether the lease can still give what is due."""
        if status.result is Result.CLOSED or status.session != self.session:
            raise LeaseLost("the device does not hold the lease any more: it was without power, or another host came")
        if status.result is not Result.OK:
            raise DeviceRefused(f"the device answered a TAKE with {status.result.name}")
        if State.LATE in status.flags:
            raise DeviceStuck("a step missed its slot on the device, which lets nothing more out under this lease")
        self._closed = 0 if State.OPEN in status.flags or self._arriving(status) else self._closed + 1
        if self._closed > GIVE_UP:
            raise LeaseLost("the lease was closed before all its steps had left")
        pause = self.link.timing.stall + 64 * self.identity.cadence / max(1, self.identity.clock)
        if self.link.port.now() - self._moved > pause:
            raise DeviceStuck(f"the device answers, and nothing has moved for {pause:g} s")

    def _arriving(self, status: Status) -> bool:
        """Whether output that has left the gate is still to come."""
        return forward(len(self.output), status.output_position) > len(self.output)
