"""Replies: each body byte by byte, and their order."""

from dataclasses import dataclass
from typing import Any

import pytest
from support.component import run

from spikeveil.hdl.device.outbox import PositionSelect
from spikeveil.hdl.device.replies import Replies
from spikeveil.pysim.device.identity import Identity
from spikeveil.pysim.device.messages import MessageKind, Release, ResultCode, StatusFlag, Trait, pack
from spikeveil.pysim.device.status import Status
from spikeveil.pysim.model.lanes import LayerLanes

IDENTITY = Identity(
    fingerprint=bytes(range(32)),
    structure=bytes(range(100, 132)),
    flags=Trait.PRIVATE | Trait.LFSR,
    lanes=16,
    word_sources=2,
    inputs=784,
    outputs=0x01020304,
    output_bits=24,
    window=512,
    outbox=2048,
    clock=25_000_000,
    cadence=0x0A0B0C0D,
    image=99_999,
    indices=0x6162,
    release=Release.ONE_HOT,
    record_steps=0x6364,
    classes=64,
    word_bits=32,
    winner_words=0x71727374,
    other_words=0x75767778,
    layers=(LayerLanes(16, 4), LayerLanes(3, 1)),
)
STATUS = Status(
    result=ResultCode.GAP,
    flags=StatusFlag.OPEN | StatusFlag.LATE,
    lease=0x0102030405,
    nonce=0x11121314,
    quota=0x21222324,
    input_position=0x31323334,
    input_room=0x0142,
    output_position=0x51525354,
    confirmed=0x61626364,
    image_position=0x71727374,
    damaged=0x8182,
)
SENT = 0x91929394
OUTPUT = {"nonce": STATUS.nonce, "position": SENT, "input_position": STATUS.input_position, "input_room": 0x0142}


@dataclass
class Fakes:
    """An outbox and an input position as the ports have them."""

    output: bytearray
    shifts: int = 0
    input_shifts: int = 0

    def show(self, ctx: Any, dut: Replies) -> None:
        positions = {
            PositionSelect.WRITTEN: STATUS.output_position,
            PositionSelect.SENT: SENT,
            PositionSelect.CONFIRMED: STATUS.confirmed,
        }
        ctx.set(
            dut.positions.byte, positions[PositionSelect(ctx.get(dut.positions.select))] >> 8 * (self.shifts % 4) & 0xFF
        )
        ctx.set(dut.input_position.byte, STATUS.input_position >> 8 * (self.input_shifts % 4) & 0xFF)
        ctx.set(dut.available, bool(self.output))
        ctx.set(dut.outbox.valid, bool(self.output))
        ctx.set(dut.outbox.payload.data, self.output[0] if self.output else 0)
        ctx.set(dut.outbox.payload.last, len(self.output) == 1)

    def note(self, ctx: Any, dut: Replies) -> None:
        self.shifts += ctx.get(dut.positions.shift)
        self.input_shifts += ctx.get(dut.input_position.shift)
        if self.output and ctx.get(dut.outbox.ready):
            self.output.pop(0)


Given = tuple[int, int, ResultCode, bool, bool]  # in which cycle, tag, result, identify, optional


def replies(
    given: list[Given], output: bytes = b"", *, ready: int = 1, cycles: int = 900, late: int = 0
) -> list[bytes]:
    """The bodies that leave, where answers are given and the outbox holds bytes from cycle `late` on."""
    dut, fakes = Replies(IDENTITY), Fakes(bytearray())
    bodies, body = [], bytearray()

    async def bench(ctx: Any) -> None:
        ctx.set(dut.enable, 1)
        for name in ("flags", "lease", "nonce", "quota", "input_room", "damaged"):
            ctx.set(dut.status[name], int(getattr(STATUS, name)))
        ctx.set(dut.status.image_position, STATUS.image_position)
        waiting = list(given)
        for cycle in range(cycles):
            if cycle == late:
                fakes.output += output
            fakes.show(ctx, dut)
            ctx.set(dut.o.ready, cycle % ready == 0)
            ctx.set(dut.answer_valid, 0)
            if waiting and waiting[0][0] <= cycle and not ctx.get(dut.busy):
                _, tag, result, identify, optional = waiting.pop(0)
                for name, value in {"tag": tag, "result": result, "identify": identify, "optional": optional}.items():
                    ctx.set(dut.answer[name], value)
                ctx.set(dut.answer_valid, 1)
                ctx.set(dut.enable, 0)
            else:
                ctx.set(dut.enable, 1)
            if ctx.get(dut.o.valid) and ctx.get(dut.o.ready):
                body.append(ctx.get(dut.o.payload.data))
                if ctx.get(dut.o.payload.last):
                    bodies.append(bytes(body))
                    body.clear()
            fakes.note(ctx, dut)
            await ctx.tick()
        assert not body
        assert not waiting

    run(dut, bench)
    return bodies


def status(tag: int, result: ResultCode = ResultCode.GAP) -> bytes:
    return Status(**{**vars(STATUS), "result": result}).pack(tag)


def output(data: bytes) -> bytes:
    return pack(MessageKind.OUTPUT, 0, data, **OUTPUT)


@pytest.mark.parametrize("ready", [1, 2, 5])
def test_every_byte_of_every_body(ready: int) -> None:
    given: list[Given] = [(0, 5, ResultCode.GAP, False, False), (9, 9, ResultCode.OK, True, False)]
    assert replies(given, b"\x00\xff\x07", ready=ready, late=1, cycles=1500) == [
        status(5),
        output(b"\x00\xff\x07"),
        IDENTITY.pack(9),
    ]


def test_an_output_takes_the_place_of_a_soft_answer() -> None:
    assert replies([(0, 5, ResultCode.OK, False, True)], b"abc", late=1) == [output(b"abc")]
    assert replies([(0, 5, ResultCode.OK, False, True)]) == [status(5, ResultCode.OK)]


def test_another_answer_goes_first() -> None:
    assert replies([(0, 5, ResultCode.FULL, False, False)], b"abc", late=1) == [
        status(5, ResultCode.FULL),
        output(b"abc"),
    ]


def test_the_last_answer_given_stays_and_a_soft_one_hardens_on_a_hard_one() -> None:
    """Both come before `o` is first ready."""
    given: list[Given] = [(1, 5, ResultCode.GAP, False, False), (2, 6, ResultCode.OK, False, True)]
    assert replies(given, b"abc", ready=50, cycles=7000, late=3) == [status(6, ResultCode.OK), output(b"abc")]
    assert replies(given[::-1], b"abc", ready=50, cycles=7000, late=3) == [status(5), output(b"abc")]


def test_answers_without_end_do_not_hold_output_back() -> None:
    given: list[Given] = [(cycle, cycle % 256, ResultCode.OK, False, False) for cycle in range(0, 800, 2)]
    bodies = replies(given[:6], b"abc", late=1, cycles=1500)
    assert [body[0] for body in bodies[:2]] == [MessageKind.STATUS, MessageKind.OUTPUT]


def test_no_body_is_longer_than_250_bytes() -> None:
    data = bytes(number % 251 for number in range(500))
    found = replies([], data, cycles=2600)
    assert [len(body) for body in found] == [250, 250, 48]
    assert b"".join(body[16:] for body in found) == data
