"""Each request is checked and executed: its answer, and the signals to guard, loader, inbox and outbox."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from operator import attrgetter
from typing import Any

import pytest
from support.component import run

from spikeveil.hdl.device.commands import Commands
from spikeveil.pysim.device.messages import FIELDS, MessageKind, ResultCode, header_bytes, pack

NONCE, POSITION, IMAGE = 0x8765_4321, 0x0000_01FE, 300
SECRET = bytes(range(1, 11))
OFFER = {"lease": 0x12_3456_789A, "nonce": 0xA0B0_C0D0, "quota": 77, "record_steps": 513}
#: name -> port
STROBES = {
    "check": "guard.check",
    "begin": "guard.begin",
    "close": "guard.close",
    "guard rewind": "guard.rewind",
    "clear": "loader.clear",
    "seal": "loader.seal",
    "confirm": "confirmation.confirm",
    "resend": "confirmation.resend",
    "rewind": "rewind",
}
STREAMS = {"secret": "guard.secret", "image": "loader.image", "input": "input"}
#: field of `Around` -> port
INPUTS = {
    "open": "guard.open",
    "nonce": "guard.nonce",
    "locked": "locked",
    "loaded": "loader.loaded",
    "image_position": "loader.position",
    "room": "input_room",
}


@dataclass(frozen=True)
class Around:
    """The state of the components around the commands."""

    open: bool = True
    locked: bool = True
    loaded: bool = True
    room: int = 100
    image_position: int = 20
    verdicts: tuple[ResultCode, ...] = (ResultCode.OK, ResultCode.OK)  # of `check` and `begin`
    started: bool = True  # a lease was opened before, and POSITION bytes were taken in it
    nonce: int = NONCE
    image_bytes: int = IMAGE


@dataclass
class Seen:
    """What came out: answers as (tag, result, identify, optional), strobes and bytes in order, each with its cycle."""

    answers: list[tuple[int, ResultCode, bool, bool]] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    bytes: dict[str, bytearray] = field(default_factory=lambda: {name: bytearray() for name in (*STREAMS, "claim")})
    offers: list[Mapping[str, int]] = field(default_factory=list)
    sealed: list[tuple[int, int]] = field(default_factory=list)
    cycles: list[int] = field(default_factory=list)


def play(bodies: Sequence[bytes], around: Around = Around(), *, pause: int = 1) -> Seen:
    """Hand the bodies over, a byte every `1 + pause` cycles at most, and watch."""
    dut = Commands(secret_bytes=len(SECRET), image_bytes=around.image_bytes, window=2048)
    seen = Seen()
    line = b"".join(bytes([len(body)]) + body for body in bodies)

    async def bench(ctx: Any) -> None:
        for name, port in INPUTS.items():
            ctx.set(attrgetter(port)(dut), getattr(around, name))
        for port in STREAMS.values():
            ctx.set(attrgetter(port)(dut).ready, 1)
        ctx.set(dut.guard.start, around.started)
        await ctx.tick()
        ctx.set(dut.guard.start, 0)
        at = marked = 0
        verdicts, quiet, asleep = list(around.verdicts), 0, 0
        while quiet < 12:
            offered = at < len(line) and not asleep
            ctx.set(dut.i.valid, offered)
            ctx.set(dut.i.payload, line[at] if offered else 0)
            asleep = max(0, asleep - 1)
            watch(ctx, dut, seen)
            if ctx.get(dut.guard.check) or ctx.get(dut.guard.begin):
                ctx.set(dut.guard.result, verdicts.pop(0))
            if offered and ctx.get(dut.i.ready):
                at, asleep = at + 1, pause
            if ctx.get(dut.mark):
                marked = at
            if ctx.get(dut.rewind):
                at, asleep = marked, pause
            quiet = 0 if at < len(line) else quiet + 1
            await ctx.tick()

    run(dut, bench)
    return seen


def watch(ctx: Any, dut: Any, seen: Seen) -> None:
    for name, port in STREAMS.items():
        stream = attrgetter(port)(dut)
        if ctx.get(stream.valid):
            seen.bytes[name].append(ctx.get(stream.payload))
    if ctx.get(dut.confirmation.shift):
        seen.bytes["claim"].append(ctx.get(dut.confirmation.byte))
    seen.events += [name for name, port in STROBES.items() if ctx.get(attrgetter(port)(dut))]
    if ctx.get(dut.guard.check):
        seen.offers.append({name: ctx.get(dut.guard.offer[name]) for name in OFFER})
    if ctx.get(dut.loader.seal):
        seen.sealed.append((ctx.get(dut.loader.length), ctx.get(dut.loader.crc)))
    if ctx.get(dut.answer_valid):
        answer = dut.answer
        seen.answers.append(
            (
                ctx.get(answer.tag),
                ResultCode(ctx.get(answer.result)),
                bool(ctx.get(answer.identify)),
                bool(ctx.get(answer.optional)),
            )
        )


def open_message(tag: int = 9, secret: bytes = SECRET, **changes: int) -> bytes:
    return pack(MessageKind.OPEN, tag, secret, **{**OFFER, "format": 1, **changes})


def input_message(data: bytes = b"", *, nonce: int = NONCE, position: int = 0, confirmed: int = 5) -> bytes:
    return pack(MessageKind.INPUT, 6, data, nonce=nonce, position=position, confirmed=confirmed)


def load_message(position: int, data: bytes = b"") -> bytes:
    return pack(MessageKind.LOAD, 3, data, position=position)


CLAIM = (5).to_bytes(4, "little")
LOADING = Around(open=False, locked=False, loaded=False)
CLOSED = Around(open=False, locked=False)
NEVER = Around(open=False, locked=False, started=False, nonce=0)

#: message, what is around it, the result, the strobes in their order
CASES: dict[str, tuple[bytes, Around, ResultCode, list[str]]] = {
    "identify": (pack(MessageKind.IDENTIFY, 1), Around(), ResultCode.OK, []),
    "status": (pack(MessageKind.POLL, 2), Around(), ResultCode.OK, []),
    "load at the start": (load_message(0, b"abc"), LOADING, ResultCode.OK, ["clear"]),
    "load further": (load_message(20, b"abc"), LOADING, ResultCode.OK, []),
    "load nothing": (load_message(20), LOADING, ResultCode.OK, []),
    "load nothing at the start": (load_message(0), LOADING, ResultCode.OK, ["clear"]),
    "load before": (load_message(19, b"abc"), LOADING, ResultCode.GAP, []),
    "load 2^24 away": (load_message(20 + (1 << 24), b"abc"), LOADING, ResultCode.GAP, []),
    "load up to the end": (load_message(20, bytes(240)), Around(False, False, image_bytes=260), ResultCode.OK, []),
    "load past the end": (load_message(20, bytes(240)), Around(False, False, image_bytes=259), ResultCode.FULL, []),
    "load past the end at the start": (
        load_message(0, bytes(8)),
        Around(False, False, image_bytes=7),
        ResultCode.FULL,
        [],
    ),
    "load while locked": (load_message(0, b"abc"), Around(open=False), ResultCode.LOCKED, []),
    "seal": (pack(MessageKind.SEAL, 4, length=20, crc=7), Around(False, False), ResultCode.OK, ["seal"]),
    "seal wrongly": (pack(MessageKind.SEAL, 4, length=20, crc=7), LOADING, ResultCode.MISMATCH, ["seal"]),
    "seal while locked": (pack(MessageKind.SEAL, 4, length=20, crc=7), Around(open=False), ResultCode.LOCKED, []),
    "open": (open_message(), Around(), ResultCode.OK, ["guard rewind", "check", "rewind", "begin"]),
    "open, stale": (open_message(), Around(verdicts=(ResultCode.STALE,)), ResultCode.STALE, ["guard rewind", "check"]),
    "open, not loaded": (
        open_message(),
        Around(verdicts=(ResultCode.UNLOADED,)),
        ResultCode.UNLOADED,
        ["guard rewind", "check"],
    ),
    "open, format 2": (open_message(format=2), Around(), ResultCode.MALFORMED, []),
    "open, format 255": (open_message(format=255), Around(), ResultCode.MALFORMED, []),
    "open, begins badly": (
        open_message(),
        Around(verdicts=(ResultCode.OK, ResultCode.MALFORMED)),
        ResultCode.MALFORMED,
        ["guard rewind", "check", "rewind", "begin"],
    ),
    "input": (input_message(b"abc"), Around(), ResultCode.OK, ["confirm"]),
    "input of nothing": (input_message(), Around(), ResultCode.OK, ["confirm"]),
    "input that just fits": (input_message(bytes(100)), Around(), ResultCode.OK, ["confirm"]),
    "input that does not": (input_message(bytes(101)), Around(), ResultCode.FULL, ["confirm"]),
    "input nothing where nothing fits": (input_message(), Around(room=0), ResultCode.OK, ["confirm"]),
    "input after a gap": (input_message(b"abc", position=1), Around(), ResultCode.GAP, ["confirm"]),
    "input 2^31 away": (input_message(b"abc", position=1 << 31), Around(), ResultCode.GAP, ["confirm"]),
    "input with another nonce": (input_message(b"abc", nonce=NONCE ^ 1), Around(), ResultCode.CLOSED, []),
    "input with a nonce 2^31 away": (input_message(b"a", nonce=NONCE ^ 1 << 31), Around(), ResultCode.CLOSED, []),
    "input when closed": (input_message(b"abc"), CLOSED, ResultCode.CLOSED, ["confirm"]),
    "input before any lease": (input_message(b"abc", nonce=0), NEVER, ResultCode.CLOSED, []),
    "take": (pack(MessageKind.TAKE, 7, nonce=NONCE, confirmed=5, resend=0), Around(), ResultCode.OK, ["confirm"]),
    "take again": (
        pack(MessageKind.TAKE, 7, nonce=NONCE, confirmed=5, resend=1),
        Around(),
        ResultCode.OK,
        ["confirm", "resend"],
    ),
    "take when closed": (
        pack(MessageKind.TAKE, 7, nonce=NONCE, confirmed=5, resend=0),
        CLOSED,
        ResultCode.OK,
        ["confirm"],
    ),
    "take of another": (pack(MessageKind.TAKE, 7, nonce=1, confirmed=5, resend=1), Around(), ResultCode.CLOSED, []),
    "take before any lease": (pack(MessageKind.TAKE, 7, nonce=0, confirmed=0, resend=1), NEVER, ResultCode.CLOSED, []),
    "close": (pack(MessageKind.CLOSE, 8, nonce=NONCE), Around(), ResultCode.OK, ["close"]),
    "close of another": (pack(MessageKind.CLOSE, 8, nonce=NONCE ^ 256), Around(), ResultCode.CLOSED, []),
    "close when closed": (pack(MessageKind.CLOSE, 8, nonce=NONCE), CLOSED, ResultCode.CLOSED, []),
}


@pytest.mark.parametrize("name", CASES)
def test_each_message_is_answered_and_carried_out(name: str) -> None:
    body, around, result, strobes = CASES[name]
    seen = play([body], around)
    kind, ok = MessageKind(body[0]), result is ResultCode.OK
    assert seen.answers == [(body[1], result, kind is MessageKind.IDENTIFY, kind is MessageKind.INPUT and ok)]
    assert seen.events == strobes
    data = body[header_bytes(kind) :]
    assert seen.bytes["image"] == (data if kind is MessageKind.LOAD and ok else b"")
    assert seen.bytes["input"] == (data if kind is MessageKind.INPUT and ok else b"")
    assert seen.bytes["secret"] == (data * ("check" in strobes) + data * ("begin" in strobes))
    assert seen.bytes["claim"] == (CLAIM if "confirm" in strobes else seen.bytes["claim"])
    assert seen.offers == [OFFER] * ("check" in strobes)
    assert seen.sealed == [(20, 7)] * ("seal" in strobes)


def test_every_other_kind_is_unknown() -> None:
    bodies = [bytes([kind, 200]) + bytes(size) for kind in (0, *range(9, 256)) for size in (0, 5)]
    seen = play(bodies, pause=0)
    assert seen.answers == [(200, ResultCode.UNKNOWN, False, False)] * len(bodies)
    assert seen.events == []
    baked = play(
        [pack(MessageKind.LOAD, 1, position=0), pack(MessageKind.SEAL, 2, length=0, crc=0), b"\x03\x03"],
        Around(image_bytes=0),
    )
    assert [result for _, result, _, _ in baked.answers] == [ResultCode.UNKNOWN] * 3


def test_every_wrong_length_is_malformed() -> None:
    right = {
        kind: range(header_bytes(kind), 251) if kind in (MessageKind.LOAD, MessageKind.INPUT) else [header_bytes(kind)]
        for kind in FIELDS
        if kind < MessageKind.IDENTITY
    }
    right[MessageKind.OPEN] = [header_bytes(MessageKind.OPEN) + len(SECRET)]
    sizes = {
        kind: {2, *(edge + off for edge in (right[kind][0], right[kind][-1]) for off in (-1, 1)), 250} for kind in right
    }
    bodies = [
        bytes([kind, 77]) + bytes(size - 2)
        for kind in right
        for size in sorted(sizes[kind])
        if 2 <= size <= 250 and size not in right[kind]
    ]
    assert len(bodies) > 20
    seen = play(bodies, pause=0)
    assert seen.answers == [(77, ResultCode.MALFORMED, False, False)] * len(bodies)
    assert seen.events == []
    assert not any(seen.bytes.values())


@pytest.mark.parametrize("pause", [0, 1, 7])
def test_the_input_position_goes_on_by_what_was_taken(pause: int) -> None:
    """Pieces in order, repeated, overlapping and after a gap: exactly the bytes that follow are taken."""
    content = bytes(range(200))
    spans = [(0, 3), (0, 3), (3, 3), (3, 93), (50, 100), (93, 95), (92, 95), (95, 95), (94, 200), (95, 120), (120, 200)]
    seen = play([input_message(content[low:high], position=low) for low, high in spans], pause=pause)
    reached, results = 0, []
    for low, high in spans:
        results.append(ResultCode.GAP if low != reached else ResultCode.FULL if high - low > 100 else ResultCode.OK)
        reached = high if results[-1] is ResultCode.OK else reached
    assert [result for _, result, _, _ in seen.answers] == results
    assert seen.bytes["input"] == content
    assert results.count(ResultCode.OK) == 7


def test_a_secret_goes_to_the_guard_alone() -> None:
    """Whatever becomes of an OPEN, its secret goes to the guard's port and nowhere else."""
    for verdicts, format in product(((ResultCode.OK, ResultCode.OK), (ResultCode.STALE,)), (0, 1, 2)):
        seen = play([open_message(format=format), pack(MessageKind.POLL, 1)], Around(verdicts=verdicts))
        assert not seen.bytes["image"] + seen.bytes["input"] + seen.bytes["claim"]
        assert bytes(seen.bytes["secret"]) in (b"", SECRET, 2 * SECRET)
        assert len(seen.answers) == 2
