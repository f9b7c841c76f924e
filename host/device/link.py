"""Messages over a port: tags, answers, time-outs that follow the line's pace, and opening the port anew."""

from collections.abc import Callable
from dataclasses import dataclass

from spikeveil.host.device import frames
from spikeveil.host.device.errors import DeviceOther, DeviceSilent, LineLost
from spikeveil.host.device.line import Line, Port
from spikeveil.pysim.device.messages import VERSION, Kind, Message, pack, unpack

Listener = Callable[[Message], None]


@dataclass(frozen=True)
class Timing:
    """Seconds that the host waits.

    answer: for the first answer, before the line's pace is known; then a few round trips, at least `least`.
    silence: without a single whole frame, before the device counts as silent. stall: without any progress of a run
    although the device answers. reconnect: for a port that vanished to come back.
    """

    answer: float = 0.25
    least: float = 0.03
    silence: float = 4.0
    stall: float = 30.0
    reconnect: float = 30.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value > 0:
                raise ValueError(f"timing {name} must be over 0 seconds, not {value!r}")


class Pace:
    """How long an answer may take: four smoothed round trips, twice as long after each that was missed."""

    def __init__(self, timing: Timing) -> None:
        self._timing, self._round, self._backoff = timing, 0.0, 1

    @property
    def patience(self) -> float:
        """Seconds to wait for the next answer."""
        usual = max(4 * self._round, self._timing.least) if self._round else self._timing.answer
        return min(usual * self._backoff, max(usual, self._timing.silence / 16))

    def answered(self, seconds: float) -> None:
        """An answer took so long."""
        self._round = seconds if not self._round else 0.8 * self._round + 0.2 * max(seconds, 1e-6)
        self._backoff = 1

    def missed(self) -> None:
        """No answer came in time."""
        self._backoff = min(64, 2 * self._backoff)


class Link:
    """A port with frames on it. `ask` gives answers; every other message goes to `listener`.

    `sent` and `received` count the bytes on the line. LineLost is raised by whatever meets it; then `reopen`.
    """

    def __init__(self, port: Port, timing: Timing) -> None:
        self.port, self.timing, self.pace = port, timing, Pace(timing)
        self.listener: Listener = lambda message: None
        self.sent = self.received = 0
        self._tag = 0
        self._line: Line | None = None
        self._frames = frames.Receiver()
        self._heard, self._noise = port.now(), False  # when a whole frame came; whether other bytes have come since

    @property
    def damaged(self) -> int:
        """Frames that came damaged since the port was opened."""
        return self._frames.damaged

    def open(self) -> None:
        """Open the port. LineLost, LineBusy."""
        self.close()
        self._line = self.port.open()
        self._frames = frames.Receiver()
        self._heard, self._noise = self.port.now(), False
        self._write(frames.END)

    def reopen(self, until: float) -> None:
        """Open the port as soon as it is back. LineLost where it is not at the port's time `until`."""
        pause = 0.05
        while True:
            try:
                return self.open()
            except LineLost:
                if self.port.now() >= until:
                    limit = f"within {self.timing.reconnect:g} s"
                    raise LineLost(f"port {self.port.name} vanished and did not come back for good {limit}") from None
            self.port.wait(pause)
            pause = min(2 * pause, 1.0)

    def close(self) -> None:
        """Close the port, if it is open."""
        if self._line is not None:
            self._line.close()
            self._line = None

    def send(self, kind: Kind, data: bytes = b"", **values: int | bytes) -> int:
        """Send a message; its tag (1 to 255, the one after the last)."""
        self._tag = self._tag % 255 + 1
        self._write(frames.encode(pack(kind, self._tag, data, **values)))
        return self._tag

    def receive(self, timeout: float) -> list[Message]:
        """The messages that arrive next; none after `timeout` seconds."""
        line, until = self._open_line(), self.port.now() + timeout
        while True:
            piece = line.read(max(0.0, until - self.port.now()))
            self.received += len(piece)
            self._noise |= bool(piece)
            bodies = self._frames.feed(piece)
            if bodies:
                self._heard, self._noise = self.port.now(), False
            messages = [message for body in bodies if (message := self._understand(body)) is not None]
            if messages or self.port.now() >= until:
                return messages

    def ask(self, kind: Kind, data: bytes = b"", **values: int | bytes) -> Message:
        """Send a message until it is answered; DeviceSilent when nothing intelligible comes for too long."""
        attempts: dict[int, float] = {}
        self._heard = self.port.now()
        while True:
            answer = self._attempt(attempts, kind, data, values)
            if answer is not None:
                return answer
            self.check_silence()

    def ask_once(self, kind: Kind, data: bytes = b"", **values: int | bytes) -> Message | None:
        """Send a message and wait for its answer, None where it does not come in time."""
        return self._attempt({}, kind, data, values)

    def _attempt(
        self, attempts: dict[int, float], kind: Kind, data: bytes, values: dict[str, int | bytes]
    ) -> Message | None:
        """Send a message once more; the answer to this or an earlier one of `attempts`, tag and time of each.

        The wait begins anew with each message that comes: a busy line is slow and not dead. Where a damaged frame came
        the line is bad and not slow, and the next wait is no longer than this one.
        """
        begun, damaged = self.port.now(), self.damaged
        attempts[self.send(kind, data, **values)] = begun
        until = begun + self.pace.patience
        while (left := until - self.port.now()) > 0:
            messages = self.receive(left)
            answers = [one for one in messages if one.kind is not Kind.OUTPUT and one.tag in attempts]
            for message in messages:
                if message not in answers:
                    self.listener(message)
            if answers:
                self.pace.answered(self.port.now() - attempts[answers[0].tag])
                return answers[0]
            if messages:
                until = min(self.port.now() + self.pace.patience, begun + self.timing.silence)
        if self.damaged == damaged:
            self.pace.missed()
        return None

    def check_silence(self) -> None:
        """DeviceSilent where no whole frame came for too long."""
        if self.port.now() - self._heard > self.timing.silence:
            came = "bytes and no whole frame" if self._noise else "nothing"
            raise DeviceSilent(
                f"port {self.port.name} gave {came} for {self.timing.silence:g} s: is it a spikeveil device, and the "
                "baud rate the one that it was built for?"
            )

    def _open_line(self) -> Line:
        if self._line is None:
            raise LineLost(f"port {self.port.name} is not open")
        return self._line

    def _write(self, data: bytes) -> None:
        self._open_line().write(data)
        self.sent += len(data)

    def _understand(self, body: bytes) -> Message | None:
        """The message, None where no device sends such a body. DeviceOther where a device of another version does."""
        version = int.from_bytes(body[2:4], "little")
        if body[0] == Kind.IDENTITY and version != VERSION:
            raise DeviceOther(
                f"the device at {self.port.name} speaks version {version} of the protocol, and this spikeveil "
                f"version {VERSION}"
            )
        try:
            message = unpack(body)
        except ValueError:
            return None
        return message if message.kind >= Kind.IDENTITY else None
