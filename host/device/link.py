"""Messages over a port: tags, answers, adaptive time-outs, and reopening."""

from collections.abc import Callable
from dataclasses import dataclass

from spikeveil.host.device import frames
from spikeveil.host.device.errors import DeviceSilent, DeviceStuck, PortLost, WrongDevice
from spikeveil.host.device.port import OpenPort, Port
from spikeveil.pysim.device.messages import Message, MessageKind, pack, unpack
from spikeveil.pysim.device.wire import PROTOCOL_VERSION

Listener = Callable[[Message], None]


@dataclass(frozen=True)
class Timing:
    """Time-outs in seconds.

    | field | limit on |
    |---|---|
    | `answer` | the first answer, before a round trip has been measured |
    | `minimum` | the least wait for a later answer (otherwise four round trips) |
    | `silence` | no valid frame arrives: DeviceSilent |
    | `question` | frames arrive, but no answer to a question: DeviceStuck; never below `silence` |
    | `stall` | the device answers but its run makes no progress: DeviceStuck |
    | `reconnect` | a port that vanished does not come back: PortLost |

    `rate` is the lowest mean rate of a transfer in bytes a second: `transfer_limit` follows from it.
    """

    answer: float = 0.25
    minimum: float = 0.03
    silence: float = 4.0
    question: float = 16.0
    stall: float = 30.0
    reconnect: float = 30.0
    rate: float = 20.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value > 0:
                raise ValueError(f"timing {name} must be over 0, not {value!r}")

    @property
    def question_limit(self) -> float:
        """Seconds after which a question is given up, whatever else arrives; the last attempt may add `silence`."""
        return max(self.question, self.silence)

    def transfer_limit(self, size: int, pauses: float = 0.0) -> float:
        """Seconds for `size` bytes in either direction, `pauses` of the device in between and one lost port."""
        return self.stall + self.reconnect + 2 * self.question_limit + pauses + size / self.rate


class AnswerTimeout:
    """Time-out for an answer: four smoothed round trips, doubled after every answer that did not arrive."""

    def __init__(self, timing: Timing) -> None:
        self._timing = timing
        self._round_trip = 0.0
        self._backoff = 1

    @property
    def seconds(self) -> float:
        """Seconds to wait for the next answer."""
        usual = max(4 * self._round_trip, self._timing.minimum) if self._round_trip else self._timing.answer
        return min(usual * self._backoff, max(usual, self._timing.silence / 16))

    def record_answer(self, seconds: float) -> None:
        """Record the round trip of an answer."""
        previous = self._round_trip
        self._round_trip = 0.8 * previous + 0.2 * max(seconds, 1e-6) if previous else seconds
        self._backoff = 1

    def record_miss(self) -> None:
        """Record that no answer arrived in time."""
        self._backoff = min(64, 2 * self._backoff)


class Link:
    """Messages over a port. `ask` returns answers; every other message goes to `listener`.

    `sent` and `received` count bytes. Any method may raise PortLost; call `reopen` after that.
    """

    def __init__(self, port: Port, timing: Timing) -> None:
        self.port, self.timing, self.timeout = port, timing, AnswerTimeout(timing)
        self.listener: Listener = lambda message: None
        self.sent = 0
        self.received = 0
        self._tag = 0
        self._open_port: OpenPort | None = None
        self._frames = frames.Receiver()
        self._last_frame = port.now()  # when the last valid frame arrived
        self._noise = False  # whether other bytes have arrived since

    @property
    def damaged(self) -> int:
        """Damaged frames received since the port was opened."""
        return self._frames.damaged

    def open(self) -> None:
        """Open the port. PortLost, PortBusy."""
        self.close()
        self._open_port = self.port.open()
        self._frames = frames.Receiver()
        self._last_frame, self._noise = self.port.now(), False
        self._write(frames.END)

    def reopen(self, deadline: float) -> None:
        """Open the port once it is back. PortLost where it is not at the port's time `deadline`."""
        pause = 0.05
        while True:
            try:
                return self.open()
            except PortLost:
                if self.port.now() >= deadline:
                    limit = f"within {self.timing.reconnect:g} s"
                    raise PortLost(f"port {self.port.name} vanished and did not come back {limit}") from None
            self.port.wait(pause)
            pause = min(2 * pause, 1.0)

    def close(self) -> None:
        """Close the port, if it is open."""
        if self._open_port is not None:
            self._open_port.close()
            self._open_port = None

    def send(self, kind: MessageKind, data: bytes = b"", **values: int | bytes) -> int:
        """Send a message; its tag (1 to 255, one more than the last)."""
        self._tag = self._tag % 255 + 1
        self._write(frames.encode(pack(kind, self._tag, data, **values)))
        return self._tag

    def receive(self, timeout: float) -> list[Message]:
        """The messages that arrive next; none after `timeout` seconds."""
        port, deadline = self._require_open(), self.port.now() + timeout
        while True:
            piece = port.read(max(0.0, deadline - self.port.now()))
            self.received += len(piece)
            self._noise |= bool(piece)
            bodies = self._frames.feed(piece)
            if bodies:
                self._last_frame, self._noise = self.port.now(), False
            messages = [message for body in bodies if (message := self._parse(body)) is not None]
            if messages or self.port.now() >= deadline:
                return messages

    def ask(self, kind: MessageKind, data: bytes = b"", **values: int | bytes) -> Message:
        """Send a message until it is answered.

        DeviceSilent where no valid frame arrives for `Timing.silence`; DeviceStuck where no answer does for
        `Timing.question_limit`.
        """
        attempts: dict[int, float] = {}
        start = self._last_frame = self.port.now()
        while True:
            answer = self._attempt(attempts, kind, data, values)
            if answer is not None:
                return answer
            self.check_silence()
            if self.port.now() - start > self.timing.question_limit:
                limit = f"within {self.timing.question_limit:g} s"
                raise DeviceStuck(f"the device at {self.port.name} sends frames, and no answer to {kind.name} {limit}")

    def ask_once(self, kind: MessageKind, data: bytes = b"", **values: int | bytes) -> Message | None:
        """Send a message once; its answer, None where it does not arrive in time."""
        return self._attempt({}, kind, data, values)

    def _attempt(
        self, attempts: dict[int, float], kind: MessageKind, data: bytes, values: dict[str, int | bytes]
    ) -> Message | None:
        """Send a message again; the answer to it or to an earlier one in `attempts` (tag -> time sent).

        Every message that arrives restarts the wait, since a busy line delays answers. A damaged frame does not
        lengthen the next wait: the line is noisy, not slow.
        """
        start, damaged = self.port.now(), self.damaged
        attempts[self.send(kind, data, **values)] = start
        deadline = start + self.timeout.seconds
        while (remaining := deadline - self.port.now()) > 0:
            messages = self.receive(remaining)
            answers = [
                message for message in messages if message.kind is not MessageKind.OUTPUT and message.tag in attempts
            ]
            for message in messages:
                if message not in answers:
                    self.listener(message)
            if answers:
                self.timeout.record_answer(self.port.now() - attempts[answers[0].tag])
                return answers[0]
            if messages:
                deadline = min(self.port.now() + self.timeout.seconds, start + self.timing.silence)
        if self.damaged == damaged:
            self.timeout.record_miss()
        return None

    def check_silence(self) -> None:
        """DeviceSilent where no valid frame arrived for `Timing.silence`."""
        if self.port.now() - self._last_frame > self.timing.silence:
            received = "no valid frame" if self._noise else "nothing"
            raise DeviceSilent(
                f"port {self.port.name} sent {received} for {self.timing.silence:g} s: check that it is a spikeveil "
                "device with this baud rate"
            )

    def _require_open(self) -> OpenPort:
        if self._open_port is None:
            raise PortLost(f"port {self.port.name} is not open")
        return self._open_port

    def _write(self, data: bytes) -> None:
        self._require_open().write(data)
        self.sent += len(data)

    def _parse(self, body: bytes) -> Message | None:
        """The message in a body, None where devices send no such body. WrongDevice for another protocol version."""
        version = int.from_bytes(body[2:4], "little")
        if body[0] == MessageKind.IDENTITY and version != PROTOCOL_VERSION:
            raise WrongDevice(
                f"the device at {self.port.name} has version {version} of the protocol, not {PROTOCOL_VERSION}: build "
                "its bitstream with this spikeveil, or use the spikeveil that it was built with"
            )
        try:
            message = unpack(body)
        except ValueError:
            return None
        return message if message.kind >= MessageKind.IDENTITY else None
