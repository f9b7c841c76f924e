"""Messages of the device protocol: kinds, layouts, packing.

Twin of hdl/device/commands.py and hdl/device/request_header.py, which decode requests, and of hdl/device/replies.py,
which encodes answers.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag
from functools import cache
from typing import Any

from spikeveil.pysim.device import wire
from spikeveil.pysim.model.source import LEASE_BITS


class MessageKind(IntEnum):
    """The first byte of a body: requests below 0x80, answers above."""

    IDENTIFY = 0x01
    POLL = 0x02
    LOAD = 0x03
    SEAL = 0x04
    OPEN = 0x05
    INPUT = 0x06
    TAKE = 0x07
    CLOSE = 0x08
    IDENTITY = 0x81
    STATUS = 0x82
    OUTPUT = 0x83


class ResultCode(IntEnum):
    """Result of a request, in the STATUS that answers it."""

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
    """Flags of an IDENTITY."""

    LOADABLE = 1
    PRIVATE = 2
    LFSR = 4
    BITMAPS = 8


class Release(IntEnum):
    """What leaves a device, as IDENTITY states it."""

    SPIKES = 0
    POTENTIALS = 1
    KARY = 2
    ONE_HOT = 3


class StatusFlag(IntFlag):
    """Flags of a STATUS."""

    OPEN = 1
    LOADED = 2
    LATE = 4


_PIECE_HEADER = (("nonce", wire.NONCE_BITS), ("position", wire.POSITION_BITS))
_INPUT_STATE = (("input_position", wire.POSITION_BITS), ("input_room", wire.ROOM_BITS))

#: fields of each kind after kind and tag: name and width in bits
FIELDS: dict[MessageKind, tuple[tuple[str, int], ...]] = {
    MessageKind.IDENTIFY: (),
    MessageKind.POLL: (),
    MessageKind.LOAD: (("position", wire.POSITION_BITS),),
    MessageKind.SEAL: (("length", wire.POSITION_BITS), ("crc", wire.CRC_BITS)),
    MessageKind.OPEN: (
        ("lease", LEASE_BITS),
        ("nonce", wire.NONCE_BITS),
        ("quota", wire.QUOTA_BITS),
        ("record_steps", wire.RECORD_STEPS_BITS),
        ("format", wire.FORMAT_BITS),
    ),
    MessageKind.INPUT: (*_PIECE_HEADER, ("confirmed", wire.POSITION_BITS)),
    MessageKind.TAKE: (("nonce", wire.NONCE_BITS), ("confirmed", wire.POSITION_BITS), ("resend", wire.FLAGS_BITS)),
    MessageKind.CLOSE: (("nonce", wire.NONCE_BITS),),
    MessageKind.IDENTITY: (
        ("version", wire.VERSION_BITS),
        ("fingerprint", wire.DIGEST_BITS),
        ("structure", wire.DIGEST_BITS),
        ("flags", wire.FLAGS_BITS),
        ("lanes", wire.LANES_BITS),
        ("word_sources", wire.WORD_SOURCES_BITS),
        ("inputs", wire.NEURONS_BITS),
        ("outputs", wire.NEURONS_BITS),
        ("output_bits", wire.OUTPUT_WIDTH_BITS),
        ("window", wire.BUFFER_BITS),
        ("outbox", wire.BUFFER_BITS),
        ("clock", wire.CLOCK_BITS),
        ("cadence", wire.CADENCE_BITS),
        ("image", wire.POSITION_BITS),
        ("indices", wire.INDICES_BITS),
        ("release", wire.RELEASE_BITS),
        ("record_steps", wire.RECORD_STEPS_BITS),
        ("classes", wire.CLASSES_BITS),
        ("word_bits", wire.WORD_WIDTH_BITS),
        ("winner_words", wire.WORDS_BITS),
        ("other_words", wire.WORDS_BITS),
    ),
    MessageKind.STATUS: (
        ("result", wire.RESULT_BITS),
        ("flags", wire.FLAGS_BITS),
        ("lease", LEASE_BITS),
        ("nonce", wire.NONCE_BITS),
        ("quota", wire.QUOTA_BITS),
        *_INPUT_STATE,
        ("output_position", wire.POSITION_BITS),
        ("confirmed", wire.POSITION_BITS),
        ("image_position", wire.POSITION_BITS),
        ("damaged", wire.DAMAGED_BITS),
    ),
    MessageKind.OUTPUT: (*_PIECE_HEADER, *_INPUT_STATE),
}

#: kinds whose fields are followed by data of any length
OPEN_ENDED = frozenset(
    {MessageKind.LOAD, MessageKind.OPEN, MessageKind.INPUT, MessageKind.IDENTITY, MessageKind.OUTPUT}
)
_KINDS = frozenset(MessageKind)
_INTEGER_CODES = {8: "B", 16: "H", 32: "I"}


@dataclass(frozen=True)
class Message:
    """A body, unpacked.

    | field | meaning |
    |---|---|
    | `kind`, `tag` | its first two bytes |
    | `values` | the fields by the names in `FIELDS`; also `message[name]` |
    | `data` | the bytes after the fields; the secret in an OPEN, and so not in the representation |
    """

    kind: MessageKind
    tag: int
    values: Mapping[str, Any] = field(default_factory=dict, repr=False)
    data: bytes = field(default=b"", repr=False)

    def __getitem__(self, name: str) -> Any:
        return self.values[name]


def header_bytes(kind: MessageKind) -> int:
    """Bytes of kind, tag and fields."""
    return _layout(kind).size


def max_data(kind: MessageKind) -> int:
    """Most bytes of data that may follow the fields."""
    return wire.MAX_BODY - header_bytes(kind) if kind in OPEN_ENDED else 0


def pack(kind: MessageKind, tag: int = 0, data: bytes = b"", **values: int | bytes) -> bytes:
    """The body of a message. ValueError where a field is missing, unknown or out of range, or the body is too long."""
    names = [name for name, _ in FIELDS[kind]]
    if sorted(names) != sorted(values):
        raise ValueError(f"{kind.name} must have the fields {', '.join(names) or 'none'}, not {', '.join(values)}")
    if len(data) > max_data(kind):
        raise ValueError(f"{kind.name} must carry at most {max_data(kind)} bytes, not {len(data)}")
    try:
        fields = (_packable(bits, values[name]) for name, bits in FIELDS[kind])
        return _layout(kind).pack(kind, tag, *fields) + data
    except (struct.error, OverflowError):
        raise ValueError(f"{kind.name} has a tag or a field that does not fit its width") from None


def unpack(body: bytes) -> Message:
    """The message of a body. ValueError where the kind is unknown or the length is wrong for the kind."""
    kind = MessageKind(body[0]) if body[:1] and body[0] in _KINDS else None
    if kind is None:
        raise ValueError(f"body must begin with a known kind, not {body[:1].hex() or 'nothing'}")
    size = header_bytes(kind)
    if not size <= len(body) <= size + max_data(kind):
        raise ValueError(f"{kind.name} must have {size} to {size + max_data(kind)} bytes, not {len(body)}")
    _, tag, *fields = _layout(kind).unpack_from(body)
    values = {name: _unpacked(bits, value) for (name, bits), value in zip(FIELDS[kind], fields, strict=True)}
    return Message(kind, tag, values, bytes(body[size:]))


def reverse_key(key: bytes) -> bytes:
    """A Trivium key in print order to the secret of an OPEN, and back: all bytes and the bits of each reversed."""
    return bytes(int(f"{byte:08b}"[::-1], 2) for byte in reversed(key))


@cache
def _layout(kind: MessageKind) -> struct.Struct:
    return struct.Struct("<BB" + "".join(_code(bits) for _, bits in FIELDS[kind]))


def _code(bits: int) -> str:
    """`struct`'s code of a field; a width that is no integer's is a string of bytes."""
    return _INTEGER_CODES.get(bits, f"{bits // 8}s")


def _packable(bits: int, value: int | bytes) -> int | bytes:
    """A field as `struct` takes it; bytes of a wrong length must not be cut or padded silently."""
    if bits == LEASE_BITS and isinstance(value, int):
        return value.to_bytes(bits // 8, "little")
    if isinstance(value, bytes) and bits != 8 * len(value):
        raise OverflowError
    return value


def _unpacked(bits: int, value: int | bytes) -> int | bytes:
    return int.from_bytes(value, "little") if bits == LEASE_BITS and isinstance(value, bytes) else value
