"""The wire: the messages of docs/protocol.md as data, packed and unpacked. Twin of hdl/device/commands.py."""

import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import IntEnum, IntFlag
from functools import cache
from typing import Any

from spikeveil.pysim.model.lanes import LayerLanes

VERSION = 1
WRAP = 1 << 32  # positions count modulo this
MAX_BODY = 250  # bytes: with its CRC 254, the most that COBS codes with one byte more
FIXED_FORMAT, TAGGED_FORMAT = 0, 1
BITMAP = 255  # the count in a step of format 1 that says: a bitmap follows

KEY_BYTES = 10  # of a Trivium secret
SEED_BYTES = 16  # of an LFSR secret, for each flipper


class Kind(IntEnum):
    """The first byte of a body."""

    IDENTIFY = 0x01
    STATUS = 0x02
    LOAD = 0x03
    SEAL = 0x04
    OPEN = 0x05
    INPUT = 0x06
    TAKE = 0x07
    CLOSE = 0x08
    IDENTITY = 0x81
    STATE = 0x82
    OUTPUT = 0x83


class Result(IntEnum):
    """What became of a message."""

    OK = 0
    UNKNOWN = 1
    MALFORMED = 2
    STALE = 3
    LOCKED = 4
    UNLOADED = 5
    CLOSED = 6
    GAP = 7
    FULL = 8
    MISMATCH = 9


class Trait(IntFlag):
    """The flags of an identity."""

    LOADABLE = 1
    PRIVATE = 2
    LFSR = 4
    POTENTIALS = 8
    BITMAPS = 16


class State(IntFlag):
    """The flags of a status."""

    OPEN = 1
    LOADED = 2
    LATE = 4


#: fields of each kind, after kind and tag: name and struct code ("5s" holds 40 bits)
FIELDS: dict[Kind, tuple[tuple[str, str], ...]] = {
    Kind.IDENTIFY: (),
    Kind.STATUS: (),
    Kind.LOAD: (("position", "I"),),
    Kind.SEAL: (("length", "I"), ("crc", "I")),
    Kind.OPEN: (("lease", "5s"), ("session", "I"), ("quota", "I"), ("record_steps", "H"), ("format", "B")),
    Kind.INPUT: (("session", "I"), ("position", "I"), ("taken", "I")),
    Kind.TAKE: (("session", "I"), ("taken", "I"), ("again", "B")),
    Kind.CLOSE: (("session", "I"),),
    Kind.IDENTITY: (
        ("version", "H"),
        ("fingerprint", "32s"),
        ("structure", "32s"),
        ("flags", "B"),
        ("lanes", "B"),
        ("flippers", "B"),
        ("inputs", "I"),
        ("outputs", "I"),
        ("output_bits", "B"),
        ("window", "H"),
        ("outbox", "H"),
        ("clock", "I"),
        ("cadence", "I"),
        ("image", "I"),
    ),
    Kind.STATE: (
        ("result", "B"),
        ("flags", "B"),
        ("lease", "5s"),
        ("session", "I"),
        ("quota", "I"),
        ("input_position", "I"),
        ("input_room", "H"),
        ("output_position", "I"),
        ("taken", "I"),
        ("image_position", "I"),
        ("damaged", "H"),
    ),
    Kind.OUTPUT: (("session", "I"), ("position", "I"), ("input_position", "I"), ("input_room", "H")),
}

#: kinds that end with bytes of any number
OPEN_ENDED = frozenset({Kind.LOAD, Kind.OPEN, Kind.INPUT, Kind.IDENTITY, Kind.OUTPUT})


@cache
def layout(kind: Kind) -> struct.Struct:
    """The fixed part of a body of `kind`, kind and tag included."""
    return struct.Struct("<BB" + "".join(code for _, code in FIELDS[kind]))


def header_bytes(kind: Kind) -> int:
    """Bytes of the fixed part."""
    return layout(kind).size


def turned(key: bytes) -> bytes:
    """A Trivium key as printed to its secret in OPEN, and back: bytes in reverse, the bits of each in reverse."""
    return bytes(int(f"{byte:08b}"[::-1], 2) for byte in reversed(key))


def room(kind: Kind) -> int:
    """The most bytes that may follow the fixed part."""
    return MAX_BODY - header_bytes(kind) if kind in OPEN_ENDED else 0


@dataclass(frozen=True)
class Message:
    """One body taken apart: `values` by the names of `FIELDS`, and the bytes that follow them."""

    kind: Kind
    tag: int
    values: Mapping[str, Any] = field(default_factory=dict, repr=False)
    data: bytes = field(default=b"", repr=False)  # of an OPEN it is the secret

    def __getitem__(self, name: str) -> Any:
        return self.values[name]


def pack(kind: Kind, tag: int = 0, data: bytes = b"", **values: int | bytes) -> bytes:
    """The body of a message. ValueError where a value is missing, unknown or does not fit, or the body is too long."""
    names = [name for name, _ in FIELDS[kind]]
    if sorted(names) != sorted(values):
        raise ValueError(f"{kind.name} must have the fields {', '.join(names) or 'none'}, not {', '.join(values)}")
    if len(data) > room(kind):
        raise ValueError(f"{kind.name} must carry at most {room(kind)} bytes, not {len(data)}")
    try:
        return layout(kind).pack(kind, tag, *(_wire(code, values[name]) for name, code in FIELDS[kind])) + data
    except (struct.error, OverflowError):
        raise ValueError(f"{kind.name} has a tag or a field that does not fit its width") from None


def unpack(body: bytes) -> Message:
    """The message of a body. ValueError where the kind is unknown or the length is not one that it can have."""
    kind = Kind(body[0]) if body[:1] and body[0] in _KINDS else None
    if kind is None:
        raise ValueError(f"body must begin with a known kind, not {body[:1].hex() or 'nothing'}")
    size = header_bytes(kind)
    if not size <= len(body) <= size + room(kind):
        raise ValueError(f"{kind.name} must have {size} to {size + room(kind)} bytes, not {len(body)}")
    _, tag, *found = layout(kind).unpack_from(body)
    values = {name: _number(code, value) for (name, code), value in zip(FIELDS[kind], found, strict=True)}
    return Message(kind, tag, values, bytes(body[size:]))


_KINDS = frozenset(Kind)


def _wire(code: str, value: int | bytes) -> int | bytes:
    """A field as `struct` takes it; bytes of a wrong length must not be cut or padded in silence."""
    if code == "5s" and isinstance(value, int):
        return value.to_bytes(5, "little")
    if isinstance(value, bytes) and struct.calcsize(code) != len(value):
        raise OverflowError
    return value


def _number(code: str, value: int | bytes) -> int | bytes:
    return int.from_bytes(value, "little") if code == "5s" and isinstance(value, bytes) else value


@dataclass(frozen=True)
class Identity:
    """What a device says it is: the fields of IDENTITY, and `layers`, which stand behind them."""

    fingerprint: bytes
    structure: bytes
    flags: Trait
    lanes: int
    flippers: int
    inputs: int
    outputs: int
    output_bits: int
    window: int
    outbox: int
    clock: int
    cadence: int
    image: int
    layers: tuple[LayerLanes, ...]
    version: int = VERSION

    @classmethod
    def of(cls, message: Message) -> "Identity":
        """The identity that an IDENTITY carries. ValueError where its layers are none that a device can have."""
        pairs = zip(message.data[::2], message.data[1::2], strict=True)
        layers = tuple(LayerLanes(lanes, scan) for lanes, scan in pairs)
        return cls(**{**message.values, "flags": Trait(message["flags"]), "layers": layers})

    def pack(self, tag: int) -> bytes:
        """The IDENTITY that carries it."""
        fields = asdict(self) | {"flags": self.flags}
        del fields["layers"]
        return pack(
            Kind.IDENTITY, tag, bytes(count for each in self.layers for count in (each.lanes, each.scan)), **fields
        )

    @property
    def secret_bytes(self) -> int:
        """Bytes of the secret that an OPEN ends with."""
        return SEED_BYTES * self.flippers if Trait.LFSR in self.flags else KEY_BYTES

    @property
    def input_bytes(self) -> int:
        """Bytes of an input step in format 0."""
        return -(-self.inputs // 8)

    @property
    def output_bytes(self) -> int:
        """Bytes of an output step."""
        return -(-self.outputs * self.output_bits // 8)


@dataclass(frozen=True)
class Status:
    """Where a device stands: the fields of STATUS."""

    result: Result
    flags: State
    lease: int
    session: int
    quota: int
    input_position: int
    input_room: int
    output_position: int
    taken: int
    image_position: int
    damaged: int

    @classmethod
    def of(cls, message: Message) -> "Status":
        """The status that a STATUS carries."""
        values = {**message.values, "result": Result(message["result"]), "flags": State(message["flags"])}
        return cls(**values)

    def pack(self, tag: int) -> bytes:
        """The STATUS that carries it."""
        return pack(Kind.STATE, tag, **asdict(self))
