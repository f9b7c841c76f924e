"""A hostile host: request sequences that follow the grammar or break it, generated from a seed."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

from spikeveil.host.device.frames import encode
from spikeveil.host.virtual.process import POWER_CYCLE
from spikeveil.pysim.device.identity import Identity
from spikeveil.pysim.device.messages import MessageKind, max_data, pack, unpack
from spikeveil.pysim.device.wire import BITMAP_COUNT, MAX_BODY, POSITION_MODULUS, SEED_BYTES, TAGGED_FORMAT
from spikeveil.pysim.model.source import LEASE_BITS, MAX_LEASE

MAX_COMMANDS = 10  # of a sequence
MAX_WORD = POSITION_MODULUS - 1
HISTORY = 32  # frames that may be sent again


@dataclass
class Belief:
    """The host's estimate of the device's state; it reads no answers, so the estimate may be wrong."""

    highest: int = 0
    nonce: int = 0
    position: int = 0  # of the input
    confirmed: int = 0
    image: int = 0
    quota: int = 0  # releases that may still leave


@dataclass
class HostileHost:
    """Generates chunks of bytes for a device with this identity; the same seed gives the same chunks.

    | argument | meaning |
    |---|---|
    | `image` | the bytes of an image that the device accepts; without one, random bytes are sent in its place |
    | `bursts` | some chunks hold several frames and a POLL; their effect depends on the speed of the device |
    """

    identity: Identity
    seed: int
    image: bytes = b""
    bursts: bool = False
    belief: Belief = field(default_factory=Belief)

    def __post_init__(self) -> None:
        self._dice = Random(self.seed)
        self._tag = 0
        self._earlier: list[bytes] = []

    def sequences(self, count: int) -> Iterator[list[bytes | None]]:
        """`count` sequences of chunks, each chunk to be sent when the device is idle. The last chunk of each is a POLL
        after a zero byte. Some begin with a power cycle; the first one begins at power-on.
        """
        for index in range(count):
            chunks: list[bytes | None] = []
            if index and self._dice.random() < 0.1:
                chunks.append(POWER_CYCLE)
                self.belief = Belief()
            if self.image and self._dice.random() < 0.5:
                chunks += self._loading()
            for _ in range(self._dice.randint(1, MAX_COMMANDS)):
                chunks.append(self._chunk())
                if self._dice.random() < 0.3:
                    chunks.append(self._poll())
            yield [*chunks, self._poll()]

    def _poll(self) -> bytes:
        return b"\0" + encode(pack(MessageKind.POLL, self._next_tag()))

    def _next_tag(self) -> int:
        self._tag = (self._tag + 1) % 256
        return self._tag

    def _chunk(self) -> bytes:
        """One or several frames, complete or not, or noise."""
        kind = self._dice.random()
        if kind < 0.72:
            return self._frame()
        if kind < 0.80 and self.bursts:
            return b"".join(self._frame() for _ in range(self._dice.randint(2, 6))) + self._poll()
        if kind < 0.86 and self._earlier:
            return self._dice.choice(self._earlier)
        if kind < 0.94:
            return self._damaged(encode(self._body()))
        return self._noise() + self._dice.choice((b"", b"\0", self._frame()))

    def _frame(self) -> bytes:
        """A complete frame; in one of six, the body is mutated."""
        body = self._body()
        if self._dice.random() < 0.16:
            body = self._mutated(body)
        self._believe(body)
        frame = encode(body)
        self._earlier = [*self._earlier[-HISTORY:], frame]
        return frame

    def _believe(self, body: bytes) -> None:
        """Update the estimate as if the device accepted every valid request."""
        belief = self.belief
        try:
            message = unpack(body)
        except ValueError:
            return
        if message.kind is MessageKind.OPEN:
            fixed = self.identity.record_steps
            steps_allowed = message["record_steps"] == fixed if fixed else message["record_steps"] > 0
            valid = message["quota"] and steps_allowed and message["format"] <= TAGGED_FORMAT
            if valid and len(message.data) == self.identity.secret_bytes and message["lease"] > belief.highest:
                self.belief = Belief(message["lease"], message["nonce"], image=belief.image, quota=message["quota"])
        elif message.kind is MessageKind.INPUT and (message["nonce"], message["position"]) == (
            belief.nonce,
            belief.position,
        ):
            belief.position += len(message.data)
            belief.quota -= len(message.data) // self.identity.input_bytes // (self.identity.record_steps or 1)
        elif message.kind is MessageKind.LOAD:
            belief.image = message["position"] + len(message.data)

    def _mutated(self, body: bytes) -> bytes:
        changed = bytearray(body)
        for _ in range(self._dice.randint(1, 3)):
            choice = self._dice.random()
            index = self._dice.choice((0, *range(2, len(changed))))  # the tag stays, to identify answers
            if choice < 0.5:
                changed[index] = self._dice.choice((0, 1, 0x7F, 0x80, 0xFF, self._dice.randrange(256)))
            elif choice < 0.75:
                del changed[max(2, index) :]
            else:
                changed += self._dice.randbytes(self._dice.choice((1, 2, 10, 100)))
        return bytes(changed[:MAX_BODY])

    def _damaged(self, frame: bytes) -> bytes:
        index = self._dice.randrange(len(frame))
        choice = self._dice.randrange(5)
        if choice == 0:
            return frame[:index]
        if choice == 1:
            return frame[:index] + frame[index + 1 :]
        if choice == 2:
            return frame[: index + 1] + frame[index:]
        flipped = bytes([frame[index] ^ 1 << self._dice.randrange(8)])
        return frame[:index] + (self._noise() if choice == 3 else flipped) + frame[index + 1 :]

    def _noise(self) -> bytes:
        return self._dice.randbytes(self._dice.choice((1, 2, 7, 40, 300)))

    def _body(self) -> bytes:
        if self.belief.quota <= 0 and self._dice.random() < 0.6:
            return self._open()
        makers = (self._open, self._input, self._take, self._close, self._load, self._seal, self._simple)
        weights = (24, 40, 10, 4, 4, 3, 8) if self.identity.image else (26, 44, 10, 4, 2, 1, 8)
        (maker,) = self._dice.choices(makers, weights)
        return maker()

    def _simple(self) -> bytes:
        return pack(self._dice.choice((MessageKind.IDENTIFY, MessageKind.POLL)), self._next_tag())

    def _open(self) -> bytes:
        dice, belief = self._dice, self.belief
        usual = dice.random() < 0.75
        lease = belief.highest + dice.choice((1, 1, 1, 2, 9)) if usual else self._odd_lease()
        nonce = dice.randrange(1 << 32) if self.bursts or dice.random() < 0.8 else belief.nonce
        quota = dice.choice((1, 2, 5, 20, 60, 200)) if dice.random() < 0.9 else dice.choice((0, 1 << 16, MAX_WORD))
        fixed = self.identity.record_steps
        usual_steps = (fixed,) * 30 + (fixed - 1, fixed + 1, 1) if fixed else (1, 2, 3, 5)
        steps = dice.choice(usual_steps) if dice.random() < 0.98 else dice.choice((0, 0, 255, 255, 65535))
        form = dice.choice((0, 1)) if dice.random() < 0.96 else dice.choice((2, 128, 255))
        secret = self._secret()
        fields = {"lease": min(lease, MAX_LEASE), "nonce": nonce, "quota": quota, "record_steps": steps}
        return pack(MessageKind.OPEN, self._next_tag(), secret, **fields, format=form)

    def _odd_lease(self) -> int:
        highest = self.belief.highest
        if self._dice.random() < 0.02:  # once accepted, few lease numbers remain until the next power cycle
            return self._dice.choice((MAX_LEASE, MAX_LEASE - 1, highest ^ 1 << self._dice.randrange(LEASE_BITS)))
        return self._dice.choice((0, 1, max(0, highest - 1), highest, highest, highest ^ 1)) & MAX_LEASE

    def _secret(self) -> bytes:
        size = self.identity.secret_bytes
        kind = self._dice.random()
        if kind < 0.90:
            return self._dice.randbytes(size)
        if kind < 0.94:
            return self._dice.randbytes(max(0, size + self._dice.choice((-size, -1, 1, 16))))
        seeds = bytearray(self._dice.randbytes(size))
        start = self._dice.randrange(0, size, SEED_BYTES)
        seeds[start : start + SEED_BYTES] = bytes(len(seeds[start : start + SEED_BYTES]))  # a seed of zeros ...
        if kind > 0.97:
            seeds[min(start + SEED_BYTES, size) - 1] = 0x80  # ... or of its ignored top bit alone
        return bytes(seeds)

    def _input(self) -> bytes:
        dice, belief = self._dice, self.belief
        step = self.identity.input_bytes
        size = dice.choice((0, 1, step, 2 * step, 5 * step, 9 * step, 200))
        data = dice.randbytes(min(size, max_data(MessageKind.INPUT)))
        if dice.random() < 0.3:
            data = b"".join(self._indices() for _ in range(dice.randint(1, 5)))[: max_data(MessageKind.INPUT)]
        position = belief.position
        if dice.random() < 0.15:
            position = dice.choice((0, max(0, position - 1), position + 1, MAX_WORD, dice.randrange(1 << 32)))
        fields = {"nonce": self._nonce(), "position": position & MAX_WORD, "confirmed": self._confirmed()}
        return pack(MessageKind.INPUT, self._next_tag(), data, **fields)

    def _indices(self) -> bytes:
        """A step of format 1, possibly with indices out of range; sometimes with a count where none is expected."""
        width = 1 if self.identity.inputs <= 255 else 2
        counted = not self.identity.indices or self._dice.random() < 0.1
        count = self._dice.choice((0, 1, 2, 5, BITMAP_COUNT)) if counted else self.identity.indices
        if counted and count == BITMAP_COUNT:
            return bytes([count]) + self._dice.randbytes(self.identity.input_bytes)
        indices = [self._dice.randrange(self.identity.inputs + 2) for _ in range(count)]
        if self._dice.random() < 0.8:
            indices.sort()
        return bytes([count] * counted) + b"".join(index.to_bytes(width, "little") for index in indices)

    def _nonce(self) -> int:
        if self._dice.random() < 0.92:
            return self.belief.nonce
        return self._dice.choice((0, self.belief.nonce ^ 1, self._dice.randrange(1 << 32)))

    def _confirmed(self) -> int:
        if self._dice.random() < 0.5:
            return self.belief.confirmed
        self.belief.confirmed += self._dice.choice((0, 1, self.identity.output_bytes, 7))
        odd = (0, MAX_WORD, self.belief.confirmed + 1000, self._dice.randrange(1 << 32))
        return (self.belief.confirmed if self._dice.random() < 0.8 else self._dice.choice(odd)) & MAX_WORD

    def _take(self) -> bytes:
        resend = self._dice.choice((0, 1, 1, 2, 255))
        return pack(MessageKind.TAKE, self._next_tag(), nonce=self._nonce(), confirmed=self._confirmed(), resend=resend)

    def _close(self) -> bytes:
        return pack(MessageKind.CLOSE, self._next_tag(), nonce=self._nonce())

    def _loading(self) -> list[bytes | None]:
        """The complete image, in valid requests; refused where a lease is open."""
        size = max_data(MessageKind.LOAD)
        chunks: list[bytes | None] = [encode(pack(MessageKind.CLOSE, self._next_tag(), nonce=self.belief.nonce))]
        for start in range(0, len(self.image), size):
            piece = self.image[start : start + size]
            chunks += [encode(pack(MessageKind.LOAD, self._next_tag(), piece, position=start))]
        return [*chunks, encode(self._seal(honest=True))]

    def _load(self) -> bytes:
        data = self._dice.randbytes(self._dice.choice((0, 1, 17, max_data(MessageKind.LOAD))))
        position = self._dice.choice((0, self.belief.image, self.belief.image + 1, len(self.image)))
        return pack(MessageKind.LOAD, self._next_tag(), data, position=position & MAX_WORD)

    def _seal(self, honest: bool = False) -> bytes:
        from zlib import crc32

        crc, length = crc32(self.image), len(self.image)
        if not honest and self._dice.random() < 0.7:
            crc, length = self._dice.choice(((crc ^ 1, length), (crc, length + 1), (0, 0), (0xFFFFFFFF, 0)))
        return pack(MessageKind.SEAL, self._next_tag(), length=length & MAX_WORD, crc=crc)
