"""Frames against zlib and the `cobs` package: complete, damaged in every bit, back to back, read late and twice."""

import zlib
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import pytest
from cobs import cobs
from support.backends import NO_STALLS, Stalls
from support.component import play, run
from support.strategies import EVERY_OTHER

from spikeveil.hdl.device.checksum import Checksum
from spikeveil.hdl.device.cobs import MessageByte
from spikeveil.hdl.device.frames import FrameReceiver, FrameSender

EACH_PACE = pytest.mark.parametrize("pace", [1, 2, 4, 8])


def crc(body: bytes) -> bytes:
    return zlib.crc32(body).to_bytes(4, "little")


def frame(body: bytes) -> bytes:
    return cobs.encode(body + crc(body)) + b"\0"


def bodies(count: int, *, seed: int = 0) -> list[bytes]:
    """Bodies of both least and most length and of lengths between, with many zeros."""
    rng = Random(seed)
    sizes = [2, 250, 3, 249, *(rng.randrange(2, 251) for _ in range(count - 4))]
    return [bytes(rng.choice((0, rng.randrange(256))) for _ in range(size)) for size in sizes[:count]]


def truth(line: bytes) -> tuple[list[bytes], int]:
    """The bodies of the undamaged frames on the line, and the number of damaged ones."""
    found, damaged = [], 0
    for part in line.split(b"\0")[:-1]:
        if part:
            try:
                both = cobs.decode(part)
            except cobs.DecodeError:
                both = b""
            if 6 <= len(both) <= 254 and crc(both[:-4]) == both[-4:]:
                found.append(both[:-4])
            else:
                damaged += 1
    return found, damaged


def receive(
    line: bytes,
    *,
    pace: int = 8,
    spacing: int = 1,
    delay: Callable[[int], int] = lambda _: 0,
    waits: bool = True,
    twice: bool = False,
    settle: int = 200,
) -> tuple[list[bytes], int]:
    """The bodies that a receiver gives and its count of damaged frames. A byte is on the line every `spacing` cycles;
    the reader lets `delay(n)` cycles pass before body n, and reads each body again where `twice`. A line that does not
    wait gives each byte up with the next.
    """
    dut = FrameReceiver(pace=pace)
    found: list[bytes] = []
    done = [False]

    async def line_bench(ctx: Any) -> None:
        for byte in line:
            ctx.set(dut.i.payload, byte)
            ctx.set(dut.i.valid, 1)
            for cycle in range(10**9):
                taken = ctx.get(dut.i.ready) and ctx.get(dut.i.valid)
                await ctx.tick()
                if taken:
                    ctx.set(dut.i.valid, 0)
                if cycle + 1 >= spacing and (taken or not waits or not ctx.get(dut.i.valid)):
                    break
        ctx.set(dut.i.valid, 0)
        quiet = 0
        while quiet < settle:  # until the reader finds nothing more
            quiet = 0 if ctx.get(dut.o.valid) else quiet + 1
            await ctx.tick()
        done[0] = True

    async def byte_of(ctx: Any, *, mark: bool) -> int | None:
        ctx.set(dut.o.ready, 1)
        while not ctx.get(dut.o.valid):
            if done[0]:
                return None
            await ctx.tick()
        ctx.set(dut.mark, mark)
        byte: int = ctx.get(dut.o.payload)
        await ctx.tick()
        ctx.set(dut.mark, 0)
        ctx.set(dut.o.ready, 0)
        return byte

    async def reader(ctx: Any) -> None:
        while True:
            await ctx.tick().repeat(1 + delay(len(found)))
            size = await byte_of(ctx, mark=True)
            if size is None:
                return
            body = bytes([await byte_of(ctx, mark=False) or 0 for _ in range(size)])
            if twice:
                ctx.set(dut.rewind, 1)
                await ctx.tick()
                ctx.set(dut.rewind, 0)
                assert bytes([await byte_of(ctx, mark=False) or 0 for _ in range(size)]) == body
            found.append(body)

    count = [0]

    async def last(ctx: Any) -> None:
        while not done[0]:
            await ctx.tick()
        count[0] = ctx.get(dut.damaged)

    run(dut, line_bench, reader, last)
    return found, count[0]


@EACH_PACE
def test_the_checksum_is_zlibs(pace: int) -> None:
    dut = Checksum(pace)

    async def bench(ctx: Any) -> None:
        for body in (b"123456789", b"", b"\0\0", bytes(range(40))):
            for byte in body + crc(body):
                ctx.set(dut.data, byte)
                ctx.set(dut.take, 1)
                for _ in range(8 // pace):
                    ready = ctx.get(dut.ready)
                    await ctx.tick()
                    if ready:
                        ctx.set(dut.take, 0)
                while not ctx.get(dut.ready):
                    await ctx.tick()
                if byte == body[-1:] and body == b"123456789":
                    assert ctx.get(dut.crc) == 0xCBF43926
            assert ctx.get(dut.right)
            ctx.set(dut.start, 1)
            await ctx.tick()
            ctx.set(dut.start, 0)
            assert ctx.get(dut.crc) == 0

    run(dut, bench)


@EACH_PACE
def test_bodies_come_out_as_they_went_in(pace: int) -> None:
    sent = bodies(8)
    assert receive(b"\0" + b"".join(map(frame, sent)), pace=pace) == (sent, 0)


def test_a_flipped_bit_anywhere_costs_exactly_its_frame() -> None:
    middle, line = frame(b"\x05\x00\x00bc"), bytearray()
    for bit in range(8 * (len(middle) - 1)):
        hurt = bytearray(middle)
        hurt[bit // 8] ^= 1 << bit % 8
        line += hurt + frame(bytes([bit, 0]))
    expected = truth(bytes(line))
    assert expected[0] == [bytes([bit, 0]) for bit in range(8 * (len(middle) - 1))]
    assert receive(bytes(line)) == expected


def test_random_harm_is_judged_as_zlib_and_the_package_judge_it() -> None:
    rng, line = Random(11), bytearray()
    for body in bodies(60, seed=1):
        hurt = bytearray(frame(body[:60]))
        for _ in range(rng.choice((0, 0, 1, 2))):
            place = rng.randrange(len(hurt))
            action = rng.randrange(3)
            if action == 0:
                del hurt[place]
            else:
                hurt[place : place + action - 1] = [rng.choice((0, 1, 255, rng.randrange(256)))]
        line += hurt
    line += b"\0"
    expected = truth(bytes(line))
    assert 10 < len(expected[0]) < 60
    assert expected[1] > 10
    assert receive(bytes(line)) == expected


def test_bodies_too_short_or_too_long_are_dropped_and_counted() -> None:
    right = b"\x01\x02"
    for wrong in (b"", b"\x01", bytes(251), bytes(range(1, 252)), bytes(600)):
        line = frame(wrong) + frame(right)
        assert receive(line) == ([right], 1)
    assert receive(b"\x05abcd\0" + frame(right)) == ([right], 1)


def test_a_line_that_cannot_wait_loses_nothing_at_forty_cycles_a_byte() -> None:
    """256 bytes a frame back to back, then short frames, a reader that is away for longer than any message takes."""
    sent = [bytes([9] * 250), bytes(range(250)), bytes(2), b"\x02" * 2, b"\x03" * 3, b"\x02" * 2, bytes(250)]
    line = b"".join(map(frame, sent))
    assert receive(line, pace=1, spacing=40, waits=False, delay=lambda _: 700) == (sent, 0)


def test_what_waits_is_not_pushed_out() -> None:
    """The reader comes when the ring has long been full: the line waits, or loses frames, but none is mixed up."""
    sent = bodies(9, seed=2) + [bytes([7, 8])] * 60
    late = {0: 6000, 4: 3000}
    line = b"".join(map(frame, sent))
    assert receive(line, delay=lambda number: late.get(number, 0)) == (sent, 0)
    found, damaged = receive(line, delay=lambda number: late.get(number, 0), waits=False, spacing=2)
    assert 0 < len(found) < len(sent)
    assert damaged > 0
    rest = iter(sent)
    assert all(body in rest for body in found), "in order, and each as it was sent"


def test_a_body_is_read_again_after_rewind() -> None:
    sent = bodies(7, seed=3)
    assert receive(b"".join(map(frame, sent)), twice=True) == (sent, 0)


def send(sent: Sequence[bytes], *, pace: int = 8, stalls: Stalls = NO_STALLS) -> bytes:
    words = [
        MessageByte().const({"data": byte, "last": place == len(body) - 1}).as_value().value
        for body in sent
        for place, byte in enumerate(body)
    ]
    cycles = sum((14 if pace < 8 else 7) * len(body) + 100 for body in sent)
    return bytes(word for _, word in play(FrameSender(pace=pace), words, stalls=stalls, cycles=cycles))


@pytest.mark.parametrize("stalls", [NO_STALLS, Stalls(i=EVERY_OTHER), Stalls(o=0xF0F0_FFF0_3333_5555)])
@pytest.mark.parametrize("pace", [1, 8])
def test_frames_are_those_of_zlib_and_the_package(pace: int, stalls: Stalls) -> None:
    sent = bodies(6, seed=4)
    assert send(sent, pace=pace, stalls=stalls) == b"".join(map(frame, sent))


@pytest.mark.slow
def test_the_count_of_damaged_frames_stays_at_its_end() -> None:
    assert receive(b"\x01\0" * 65_540 + frame(b"ok")) == ([b"ok"], 65_535)
