"""Devices that lie: the model, whose answers are changed, swapped, withheld or buried under valid frames."""

from collections.abc import Callable
from random import Random
from typing import Any

from support.twin_ports import DirectPort

from spikeveil.host.device import frames
from spikeveil.host.device.twin_board import TwinEndpoint
from spikeveil.pysim.device.messages import FIELDS, OPEN_ENDED, Message, MessageKind, max_data, pack, unpack
from spikeveil.pysim.device.top import DeviceModel

ANSWERS = (MessageKind.IDENTITY, MessageKind.STATUS, MessageKind.OUTPUT)
HABITS = ("change", "constant", "swap", "withhold", "flood", "junk", "extend", "repeat", "identity")


def random_field(dice: Random, bits: int, value: Any) -> Any:
    """Another value of a field: an extreme, a neighbour or any."""
    if isinstance(value, bytes):
        return dice.randbytes(len(value))
    top = (1 << bits) - 1
    return dice.choice((0, 1, top, top // 2 + 1, max(0, value - 1), min(top, value + 1), dice.randrange(top + 1)))


def random_message(dice: Random, kind: MessageKind, tag: int) -> bytes:
    """A valid body of a kind, with any fields and data."""
    blank = {name: bytes(bits // 8) if bits > 40 else 0 for name, bits in FIELDS[kind]}
    values = {name: random_field(dice, bits, blank[name]) for name, bits in FIELDS[kind]}
    if kind is MessageKind.IDENTITY:
        values["version"] = unpack(pack(kind, tag, **blank)).values["version"] or 1
    data = dice.randbytes(dice.randrange(max_data(kind) + 1)) if kind in OPEN_ENDED else b""
    return pack(kind, tag, data, **values)


class Liar(TwinEndpoint):
    """The model behind the habits of a liar, each with its own seeded choices.

    | habit | what it does to an answer |
    |---|---|
    | `change` | one field has another value |
    | `constant` | one field has the same wrong value in every STATUS |
    | `swap` | the answer is of another kind |
    | `withhold` | no answer |
    | `flood` | no answer, and valid frames without end |
    | `junk` | bytes that are no message, in a valid frame |
    | `extend` | output that no input caused |
    | `repeat` | the answer many times |
    | `identity` | one field of IDENTITY has another value, always the same |
    """

    def __init__(self, device: DeviceModel, dice: Random) -> None:
        super().__init__(device)
        self.dice = dice
        self.habits = dice.sample(HABITS, dice.randint(1, 3))
        self.chance = dice.choice((0.02, 0.2, 1.0))
        self.flooding = False
        self._fixed: dict[MessageKind, tuple[str, Any]] = {}
        self.limit = dice.randrange(12)  # answers that are honest first

    def feed(self, piece: bytes) -> bytes:
        """The answers to a piece, as the liar gives them."""
        sent = bytearray()
        for body in self._frames.feed(piece):
            for answer in self.device.receive(body):
                for lie in self._lies(answer):
                    sent += frames.encode(lie)
        return bytes(sent)

    def more(self) -> bytes:
        """A frame of the flood; nothing where there is none."""
        if not self.flooding:
            return b""
        kind = self.dice.choice((MessageKind.STATUS, MessageKind.OUTPUT, MessageKind.OUTPUT))
        return frames.encode(random_message(self.dice, kind, tag=0)) * 20

    def _lies(self, answer: bytes) -> list[bytes]:
        message = unpack(answer)
        if "identity" in self.habits and message.kind is MessageKind.IDENTITY:
            return [self._with_fixed(message)]
        self.limit -= 1
        if self.limit > 0 or self.dice.random() >= self.chance:
            return [answer]
        lies: dict[str, Callable[[Message, bytes], list[bytes]]] = {
            "change": lambda message, answer: [self._changed(message)],
            "constant": lambda message, answer: [self._with_fixed(message)],
            "swap": lambda message, answer: [random_message(self.dice, self.dice.choice(ANSWERS), message.tag)],
            "withhold": lambda message, answer: [],
            "flood": self._flood,
            "junk": lambda message, answer: [self.dice.randbytes(self.dice.randint(2, 250))],
            "extend": lambda message, answer: [answer, *self._output(message)],
            "repeat": lambda message, answer: [answer] * self.dice.randint(2, 50),
        }
        habit = self.dice.choice([habit for habit in self.habits if habit in lies] or ["repeat"])
        return lies[habit](message, answer)

    def _changed(self, message: Message) -> bytes:
        name, bits = self.dice.choice(FIELDS[message.kind] or (("", 0),))
        values = dict(message.values) | ({name: random_field(self.dice, bits, message.values[name])} if name else {})
        return pack(message.kind, message.tag, message.data, **values)

    def _with_fixed(self, message: Message) -> bytes:
        """The message with one field at a value that is drawn once."""
        if message.kind not in self._fixed:
            name, bits = self.dice.choice([field for field in FIELDS[message.kind] if field[0] != "version"])
            self._fixed[message.kind] = name, random_field(self.dice, bits, message.values[name])
        name, value = self._fixed[message.kind]
        return pack(message.kind, message.tag, message.data, **(dict(message.values) | {name: value}))

    def _flood(self, message: Message, answer: bytes) -> list[bytes]:
        self.flooding = True
        return []

    def _output(self, message: Message) -> list[bytes]:
        values = message.values
        if message.kind is not MessageKind.OUTPUT:
            return []
        size, start = max_data(MessageKind.OUTPUT), values["position"] + len(message.data)
        fields = {name: values[name] for name in ("nonce", "input_position", "input_room")}
        return [
            pack(MessageKind.OUTPUT, message.tag, bytes(size), position=(start + size * piece) % (1 << 32), **fields)
            for piece in range(50)
        ]


class LyingPort(DirectPort):
    """A port to a liar, whose clock also advances while it floods."""

    def read(self, timeout: float) -> bytes:
        """What has arrived, or more of the flood."""
        if not self.received and isinstance(self.endpoint, Liar):
            self.received = self.endpoint.more()
        return super().read(timeout)
