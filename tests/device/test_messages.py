"""The wire: messages and frames against the bytes that docs/protocol.md prescribes."""

import re
import struct

import pytest
from support.paths import DOCS

from spikeveil.host.device import frames
from spikeveil.pysim.device.identity import Identity
from spikeveil.pysim.device.messages import (
    FIELDS,
    Message,
    MessageKind,
    Release,
    ResultCode,
    StatusFlag,
    Trait,
    pack,
    reverse_key,
    unpack,
)
from spikeveil.pysim.device.status import Status
from spikeveil.pysim.model.lanes import LayerLanes

PAGE = (DOCS / "protocol.md").read_text()
TYPES = {"u8": 8, "u16": 16, "u32": 32, "u40": 40, "32 bytes": 256}  # bits
IDENTITY = Identity(
    fingerprint=bytes(range(32)),
    structure=bytes(32),
    flags=Trait.PRIVATE | Trait.LFSR,
    lanes=16,
    word_sources=2,
    inputs=64,
    outputs=40,
    output_bits=1,
    window=512,
    outbox=300,
    clock=12_000_000,
    cadence=99,
    image=0,
    indices=5,
    release=Release.KARY,
    record_steps=16,
    classes=10,
    word_bits=32,
    winner_words=1 << 31,
    other_words=77,
    layers=(LayerLanes(16, 4), LayerLanes(3, 1)),
)
STATUS = Status(ResultCode.GAP, StatusFlag.OPEN | StatusFlag.LOADED, (1 << 40) - 2, 7, 100, 5, 6, 8, 9, 10, 11)


def table(section: str, columns: int) -> list[list[str]]:
    """The rows of the first table after `section` in the page."""
    after = PAGE[PAGE.index(section) :]
    rows = [line.strip("|\n").split("|") for line in re.findall(r"^\|.*\|$", after.split("\n\n##")[0], re.MULTILINE)]
    return [[cell.strip() for cell in row] for row in rows if len(row) == columns]


def crc32(data: bytes) -> int:
    """CRC-32 as the page describes it, bit by bit."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xEDB88320 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def test_the_page_and_the_code_have_the_same_messages() -> None:
    for kind, name, fields, _ in table("### From the host", 4)[2:]:
        own = FIELDS[MessageKind[name]]
        assert int(kind, 16) == MessageKind[name]
        typed = [part.strip() for part in fields.split(",") if part.strip() not in ("nothing", "bytes", "secret")]
        for wanted, (field, bits) in zip(typed, own, strict=True):
            *_, given = wanted.split()
            assert TYPES[given] == bits
            assert wanted.split()[0] in ("CRC-32", field.split("_")[0])


@pytest.mark.parametrize(
    ("section", "kind"), [("IDENTITY (kind 0x81)", MessageKind.IDENTITY), ("STATUS (kind 0x82)", MessageKind.STATUS)]
)
def test_the_page_and_the_code_have_the_same_answers(section: str, kind: MessageKind) -> None:
    after = PAGE[PAGE.index(section) :]
    lines = after[after.index("|---|") :].split("\n")[1:]
    rows = [line.strip("|").split("|") for line in lines[: next(i for i, line in enumerate(lines) if not line)]]
    found = [(row[0].strip().replace(" ", "_"), TYPES[row[1].strip()]) for row in rows]
    assert tuple(found) == FIELDS[kind]


def test_the_page_and_the_code_have_the_same_results() -> None:
    rows = table("### Results", 3)[2:]
    assert {name: int(code) for code, name, _ in rows} == {result.name: result.value for result in ResultCode}


def test_bytes_of_messages() -> None:
    opened = pack(
        MessageKind.OPEN, 9, b"secretkey!", lease=0x0102030405, nonce=0x0A0B0C0D, quota=300, record_steps=16, format=1
    )
    assert opened == bytes.fromhex("0509 0504030201 0d0c0b0a 2c010000 1000 01") + b"secretkey!"
    assert pack(MessageKind.INPUT, 1, b"xy", nonce=1, position=2, confirmed=3) == struct.pack(
        "<BBIII2s", 6, 1, 1, 2, 3, b"xy"
    )
    assert pack(MessageKind.IDENTIFY, 3) == b"\x01\x03"
    assert len(IDENTITY.pack(1)) == 111 + 4
    assert IDENTITY.pack(1)[96:] == bytes.fromhex("0500 02 1000 0a 20 00000080 4d000000 1004 0301")
    assert STATUS.pack(4)[:4] == bytes([0x82, 4, 7, 3])


def test_messages_there_and_back() -> None:
    assert Identity.from_message(unpack(IDENTITY.pack(1))) == IDENTITY
    assert Status.from_message(unpack(STATUS.pack(1))) == STATUS
    message = unpack(pack(MessageKind.LOAD, 255, b"abc", position=2**32 - 1))
    assert (message.kind, message.tag, message["position"], message.data) == (MessageKind.LOAD, 255, 2**32 - 1, b"abc")
    assert (IDENTITY.secret_bytes, IDENTITY.input_bytes, IDENTITY.output_bytes) == (32, 8, 5)


def test_no_secret_in_the_text_of_a_message() -> None:
    assert "topsecret" not in repr(Message(MessageKind.OPEN, 1, {}, b"topsecret"))


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: pack(MessageKind.SEAL, 1, length=1), "SEAL must have the fields length, crc, not length"),
        (lambda: pack(MessageKind.POLL, 1, b"x"), "POLL must carry at most 0 bytes, not 1"),
        (lambda: pack(MessageKind.LOAD, 1, bytes(245), position=0), "LOAD must carry at most 244 bytes, not 245"),
        (lambda: pack(MessageKind.SEAL, 256, length=1, crc=1), "SEAL has a tag or a field that does not fit its width"),
        (
            lambda: pack(MessageKind.SEAL, 1, length=1 << 32, crc=1),
            "SEAL has a tag or a field that does not fit its width",
        ),
        (lambda: unpack(b""), "body must begin with a known kind, not nothing"),
        (lambda: unpack(b"\x7f\x01"), "body must begin with a known kind, not 7f"),
        (lambda: unpack(b"\x08\x01\x00"), "CLOSE must have 6 to 6 bytes, not 3"),
        (lambda: frames.encode(b"x"), "body must have 2 to 250 bytes, not 1"),
        (lambda: frames.encode(bytes(251)), "body must have 2 to 250 bytes, not 251"),
    ],
)
def test_one_sentence(call: "object", sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        call()  # type: ignore[operator]


def test_a_key_is_turned_as_the_page_says() -> None:
    key = bytes.fromhex("80000000000000000001")
    assert reverse_key(key) == bytes.fromhex("80000000000000000001")
    assert reverse_key(bytes.fromhex("0123456789abcdef0040")) == bytes.fromhex("0200f7b3d591e6a2c480")


def test_frame_by_hand() -> None:
    assert crc32(b"123456789") == 0xCBF43926
    body = b"\x01\x00"
    crc = crc32(body).to_bytes(4, "little")
    assert 0 not in crc
    assert frames.encode(body) == b"\x02\x01\x05" + crc + b"\x00"


@pytest.mark.parametrize("size", [2, 3, 100, 249, 250])
@pytest.mark.parametrize("fill", [0, 1, 0xFF])
def test_frames_come_through_in_pieces_of_any_size(size: int, fill: int) -> None:
    body = bytes([fill]) * size
    frame = frames.encode(body)
    assert len(frame) == size + 6 and frame.count(0) == 1
    for step in (1, 7, len(frame)):
        receiver = frames.Receiver()
        stream = b"\0" + frame + b"\0\0" + frame
        got = [one for at in range(0, len(stream), step) for one in receiver.feed(stream[at : at + step])]
        assert got == [body, body]
        assert receiver.damaged == 0


def test_damage_is_dropped_and_counted() -> None:
    frame, good = frames.encode(b"some body"), frames.encode(b"another")
    damaged = [
        frame[:3] + bytes([frame[3] ^ 1]) + frame[4:],  # another bit
        frame[:5] + frame[6:],  # a byte less
        frame[:5] + frame[5:6] + frame[5:],  # a byte more
        b"\x7f" * 20 + b"\0",  # noise
        b"\x01" * 100_000 + b"\0",  # much noise
        frames.encode(b"xx")[:2] + b"\0",  # cut
    ]
    receiver = frames.Receiver()
    for count, one in enumerate(damaged, 1):
        assert receiver.feed(one + good) == [b"another"]
        assert receiver.damaged == count


def test_no_memory_for_noise() -> None:
    receiver = frames.Receiver()
    for _ in range(100):
        receiver.feed(b"\x55" * 4096)
    assert len(receiver._partial) <= frames.MAX_FRAME + 1
