"""The wire: kinds, results and fields of the protocol's messages (docs/protocol.md), as data. Twin of hdl/commands.py."""

import struct
from enum import IntEnum, IntFlag

VERSION = 1
MAX_BODY = 250  # bytes: with its CRC 254, the most that COBS codes with one byte more
FIXED_FORMAT, TAGGED_FORMAT = 0, 1
BITMAP = 255  # the count in a step of format 1 that says: a bitmap follows


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
OPEN_ENDED = frozenset({Kind.LOAD, Kind.OPEN, Kind.INPUT, Kind.OUTPUT})


def layout(kind: Kind) -> struct.Struct:
    """The fixed part of a body of `kind`, kind and tag included."""
    return struct.Struct("<BB" + "".join(code for _, code in FIELDS[kind]))


def header_bytes(kind: Kind) -> int:
    """Bytes of the fixed part."""
    return layout(kind).size
