"""COBS against the `cobs` package: every short message and frame of telling bytes, and long ones."""

from itertools import product
from random import Random

import pytest
from cobs import cobs
from support.backends import NO_STALLS, Stalls
from support.component import play
from support.strategies import EVERY_OTHER

from spikeveil.hdl.device.cobs import MAX_RUN, CobsDecoder, CobsEncoder, DecodedByte, MessageByte

PATTERNS = [NO_STALLS, Stalls(i=EVERY_OTHER), Stalls(o=0xFFF0_F0FF_3333_5555)]
ENDS = {1: "bad", 3: "good"}


def decode(encoded: bytes, stalls: Stalls = NO_STALLS) -> list[tuple[str, bytes]]:
    """The messages that the decoder makes of bytes on the line, each with the verdict at its end."""
    width = DecodedByte()["data"].width
    messages, body = [], bytearray()
    for _, word in play(CobsDecoder(), list(encoded), stalls=stalls, cycles=3 * len(encoded) + 10):
        if word >> width & 1:
            messages.append((ENDS[word >> width], bytes(body)))
            body.clear()
        else:
            body.append(word & 0xFF)
    assert not body
    return messages


def expected(frame: bytes) -> tuple[str, bytes | None]:
    """The package's verdict on a frame without its zero, and its message where it is good."""
    try:
        return "good", cobs.decode(frame)
    except cobs.DecodeError:
        return "bad", None


def check(frames: list[bytes], stalls: Stalls = NO_STALLS) -> None:
    found = decode(b"".join(frame + b"\0" for frame in frames), stalls)
    assert len(found) == len(frames)
    for frame, (end, body) in zip(frames, found, strict=True):
        truth = expected(frame)
        assert (end, body if end == "good" else None) == truth, frame.hex()


def limits() -> list[bytes]:
    """Messages around the longest block: with and without zeros at both ends and in between."""
    rng = Random(4)
    found = [bytes(size) for size in (1, 2, 253, MAX_RUN)]
    for size in (1, 5, 252, 253, MAX_RUN):
        full = bytes(rng.randrange(1, 256) for _ in range(size))
        found += [full, b"\0" + full[1:], full[:-1] + b"\0"]
        found += [bytes(rng.choice((0, byte)) for byte in full) for _ in range(2)]
    return found


def test_decodes_every_short_frame_as_the_package_does() -> None:
    alphabet = (1, 2, 3, 4, 255)
    check([bytes(frame) for size in range(1, 5) for frame in product(alphabet, repeat=size)])


@pytest.mark.parametrize("stalls", PATTERNS)
def test_decodes_what_the_package_encoded(stalls: Stalls) -> None:
    check([cobs.encode(message) for message in limits()[:: 1 if stalls == NO_STALLS else 5]], stalls)


def test_goes_on_after_a_full_block_without_a_zero_between() -> None:
    rng = Random(5)
    long = bytes(rng.randrange(1, 256) for _ in range(600))
    check([cobs.encode(long), cobs.encode(long[:254] + b"\0" + long[:3]), b"\xff" + long[:254] + b"\x01", b"\x02a"])


def test_empty_frames_are_nothing() -> None:
    assert decode(b"\0\0\0\x02a\0\0\0\x01\0") == [("good", b"a"), ("good", b"")]


def encode(messages: list[bytes], stalls: Stalls = NO_STALLS) -> bytes:
    words = [
        MessageByte().const({"data": byte, "last": place == len(message) - 1}).as_value().value
        for message in messages
        for place, byte in enumerate(message)
    ]
    cycles = sum(7 * len(message) + 20 for message in messages)
    return bytes(word for _, word in play(CobsEncoder(), words, stalls=stalls, cycles=cycles))


@pytest.mark.parametrize("stalls", PATTERNS)
def test_encodes_as_the_package_does(stalls: Stalls) -> None:
    messages = limits()[:: 1 if stalls == NO_STALLS else 5]
    assert encode(messages, stalls) == b"".join(cobs.encode(message) + b"\0" for message in messages)


def test_encodes_every_short_message() -> None:
    messages = [bytes(message) for size in range(1, 6) for message in product((0, 7), repeat=size)]
    assert encode(messages) == b"".join(cobs.encode(message) + b"\0" for message in messages)
