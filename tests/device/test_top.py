"""The complete device: frames in, frames out, against the model of pysim.device.top under the same messages."""

import re
import zlib
from random import Random
from typing import Any

import numpy as np
import pytest
from amaranth.sim import Simulator
from cobs import cobs

from spikeveil.hdl.device.top import POWER_ON_CYCLES, Top, check
from spikeveil.hdl.engine.plan import Plan
from spikeveil.pysim.device.identity import Identity, ModelPlan, identity
from spikeveil.pysim.device.messages import Message, MessageKind, ResultCode, StatusFlag, pack, unpack
from spikeveil.pysim.device.status import Status
from spikeveil.pysim.device.top import DeviceModel
from spikeveil.pysim.model.decision import Decision
from spikeveil.pysim.model.flipper import FlipSpec
from spikeveil.pysim.model.spec import LayerSpec, NetworkSpec

WEIGHTS = np.random.default_rng(5).integers(-3, 6, (7, 11))
HIDDEN = LayerSpec(WEIGHTS, threshold=9, state_bits=10, flip=FlipSpec(3, 4), input_cap=2)
SPIKES = NetworkSpec([HIDDEN])
READOUT = NetworkSpec([HIDDEN, LayerSpec(WEIGHTS[:2, :7], threshold=None, readout=True, state_bits=11)])
DECISIONS = NetworkSpec([HIDDEN, LayerSpec(WEIGHTS[:6, :7], threshold=5)], decision=Decision(3, 60, 8), steps=2)
CLOCK = 12_000_000
ANSWERED = 900
KEY = bytes(range(60, 70))


def frame(body: bytes) -> bytes:
    return cobs.encode(body + zlib.crc32(body).to_bytes(4, "little")) + b"\0"


def parse(line: bytes) -> list[bytes]:
    bodies = [cobs.decode(part) for part in line.split(b"\0")[:-1]]
    assert all(zlib.crc32(body[:-4]).to_bytes(4, "little") == body[-4:] for body in bodies)
    return [body[:-4] for body in bodies]


class Board:
    """A device in Amaranth's simulator behind its byte port. `exchange` sends bytes and gives the bodies that came
    until nothing came for `quiet` cycles.
    """

    def __init__(self, top: Top) -> None:
        self.top = top

    async def start(self, ctx: Any) -> None:
        ctx.set(self.top.o.ready, 1)
        ctx.set(self.top.i.valid, 1)  # a zero waits from power-on
        ctx.set(self.top.i.payload, 0)
        await ctx.tick().until(self.top.i.ready)
        ctx.set(self.top.i.valid, 0)

    async def exchange(self, ctx: Any, line: bytes, quiet: int = ANSWERED) -> list[bytes]:
        received, silent, waiting = bytearray(), 0, list(line)
        while silent < quiet:
            ctx.set(self.top.i.valid, bool(waiting))
            ctx.set(self.top.i.payload, waiting[0] if waiting else 0)
            if ctx.get(self.top.o.valid):
                received.append(ctx.get(self.top.o.payload))
                silent = 0
            elif not waiting:
                silent += 1
            if waiting and ctx.get(self.top.i.ready):
                waiting.pop(0)
            await ctx.tick()
        return parse(bytes(received))


def simulate(top: Any, bench: Any) -> None:
    simulator = Simulator(top)
    simulator.add_clock(1e-6)
    simulator.add_testbench(bench)
    simulator.run()


def parse_replies(bodies: list[bytes]) -> tuple[list[Message], dict[int, int]]:
    """Answers, and the output bytes by position."""
    answers, output = [], {}
    for message in map(unpack, bodies):
        if message.kind is MessageKind.OUTPUT:
            output.update(enumerate(message.data, message["position"]))
        else:
            answers.append(message)
    return answers, output


def opened(
    quota: int, *, lease: int = 1, nonce: int = 9, steps: int = 2, format: int = 0, secret: bytes = KEY
) -> bytes:
    fields = {"lease": lease, "nonce": nonce, "quota": quota, "record_steps": steps, "format": format}
    return pack(MessageKind.OPEN, 1, secret, **fields)


PLANS = {
    "private": Plan(SPIKES, lanes=4),
    "fast, LFSR": Plan(SPIKES, lanes=3, source="lfsr", schedule="fast", unsafe=True),
    "readout": Plan(READOUT, lanes=7),
    "decisions": Plan(DECISIONS, lanes=6),
}
EACH_PLAN = pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS.keys())


def next_message(turn: int, rng: Random, described: Identity, known: Status) -> bytes:
    """A mostly valid request: leases, pieces in order and some that are not, confirmations of all kinds."""
    tag, action, nonce = turn % 256, rng.randrange(12), known.nonce ^ (rng.random() < 0.1)
    claim = rng.choice((known.confirmed, known.output_position, known.output_position + 1, rng.randrange(1 << 32)))
    if 2 < turn < 8:  # so that every conversation has some that goes well
        piece = bytes(rng.choice((1, 2, 3, 0)) for _ in range(9))
        return pack(
            MessageKind.INPUT, tag, piece, nonce=known.nonce, position=known.input_position, confirmed=known.confirmed
        )
    if turn == 2 or action == 0 or (StatusFlag.OPEN not in known.flags and action < 4):
        secret = bytes(rng.randrange(1, 256) for _ in range(described.secret_bytes))
        lease = known.lease + rng.choice((0, 1, 1, 1, 5)) + (turn == 2)
        quota, format = 16 if turn == 2 else rng.randrange(9), rng.randrange(2)
        steps = 2 if turn == 2 else rng.choice((2, 2, 2, 1, 3))
        return opened(quota, lease=lease, nonce=rng.randrange(1 << 32), steps=steps, format=format, secret=secret)
    if action <= 6:
        piece = bytes(rng.choice((1, 2, 255, rng.randrange(13))) for _ in range(rng.choice((0, 2, 9, 20))))
        position = known.input_position + rng.choice((0, 0, 0, 0, 1))
        return pack(MessageKind.INPUT, tag, piece, nonce=nonce, position=position, confirmed=claim)
    if action <= 8:
        return pack(MessageKind.TAKE, tag, nonce=nonce, confirmed=claim, resend=rng.randrange(2))
    if action == 9 and rng.random() < 0.3:
        return pack(MessageKind.CLOSE, tag, nonce=nonce)
    if action == 10:
        return bytes(rng.randrange(12) for _ in range(rng.randrange(2, 20)))
    return pack(MessageKind.IDENTIFY, tag)


@EACH_PLAN
def test_a_conversation_is_as_with_the_model(plan: Plan, soak: bool) -> None:
    """After each message, when all is quiet: the same result, the same output bytes, the same status."""
    top = Top(plan, clock_hz=CLOCK, port="bytes", window=64, outbox=16)
    twin, rng = DeviceModel(plan.spec, top.identity), Random(4)
    counts: dict[Any, int] = {}

    async def bench(ctx: Any) -> None:
        board, private = Board(top), plan.schedule == "private"
        settled = max(ANSWERED, (plan.slots + 1) * plan.cadence * private)
        await board.start(ctx)
        known, output, expected = twin.status(), {}, {}
        for turn in range(400 if soak else 13 if private else 20):
            body = next_message(turn, rng, top.identity, known)
            answers, more = parse_replies(
                await board.exchange(ctx, frame(body), settled if body[0] == MessageKind.INPUT else ANSWERED)
            )
            wanted, wanted_more = parse_replies(twin.receive(body))
            if body[0] == MessageKind.OPEN and wanted[0]["result"] == ResultCode.OK:
                output, expected = {}, {}
            output |= more
            counts["bytes"] = counts.get("bytes", 0) + len(more)
            expected |= wanted_more
            results = [(answer.kind, answer.tag, answer.values.get("result")) for answer in answers]
            truth = [(answer.kind, answer.tag, answer.values.get("result")) for answer in wanted]
            assert results == truth or (
                body[0] == MessageKind.INPUT and not truth and {result[2] for result in results} <= {0}
            )
            assert more.keys() == wanted_more.keys()
            assert output == expected
            counts[(body[0], truth[0][2] if truth else 0)] = counts.get((body[0], truth[0][2] if truth else 0), 0) + 1
            (state,), _ = parse_replies(await board.exchange(ctx, frame(pack(MessageKind.POLL, 99))))
            known = twin.status()
            assert state == Message(
                MessageKind.STATUS, 99, {**unpack(known.pack(99)).values, "input_room": state["input_room"]}
            )
            assert known.input_room <= state["input_room"] <= 64

    simulate(top, bench)
    assert counts[(MessageKind.INPUT, ResultCode.OK)] >= 4
    assert counts[(MessageKind.OPEN, ResultCode.OK)] >= 1
    assert counts["bytes"] >= 4


def test_the_identity_is_the_one_that_the_model_gives() -> None:
    for plan in PLANS.values():
        built = ModelPlan(
            plan.spec,
            lanes=plan.lanes,
            source=plan.source,
            schedule=plan.schedule,
            cadence=plan.cadence,
            layer_lanes=plan.layer_lanes,
        )
        expected = identity(built, clock_hz=CLOCK, window=512, outbox=1024)
        assert identity(plan, clock_hz=CLOCK, window=512, outbox=1024) == expected
        assert (expected.clock, expected.window, expected.outbox, expected.image) == (CLOCK, 512, 1024, 0)
        assert expected.cadence == (plan.cadence if plan.schedule == "private" else 0)


def test_ignores_input_in_the_first_cycles() -> None:
    top = Top(PLANS["private"], clock_hz=CLOCK, port="bytes")

    async def bench(ctx: Any) -> None:
        ctx.set(top.i.valid, 1)
        for _ in range(POWER_ON_CYCLES):
            assert (ctx.get(top.i.ready), ctx.get(top.o.valid), ctx.get(top.leds)) == (0, 0, 0)
            await ctx.tick()

    simulate(top, bench)


def test_a_full_outbox_stops_the_network_and_no_command() -> None:
    """The host's claim comes with input that does not fit, and still makes room: nothing waits for itself."""
    plan = PLANS["fast, LFSR"]
    top = Top(plan, clock_hz=CLOCK, port="bytes", window=16, outbox=4)
    secret, steps = bytes(range(16)), bytes(number % 253 for number in range(600))

    async def bench(ctx: Any) -> None:
        board, output, position, turns = Board(top), {}, 0, 0
        await board.start(ctx)
        await board.exchange(ctx, frame(opened(300, secret=secret)))

        async def offer(confirmed: int) -> ResultCode | None:
            """The next 16 bytes; None where only output answers, which implies OK."""
            nonlocal position
            piece = pack(
                MessageKind.INPUT, 2, steps[position : position + 16], nonce=9, position=position, confirmed=confirmed
            )
            answers, more = parse_replies(await board.exchange(ctx, frame(piece)))
            output.update(more)
            result = ResultCode(answers[0]["result"]) if answers else None
            position += 16 * (result is not ResultCode.FULL)
            return result

        while await offer(0) is not ResultCode.FULL:
            turns += 1
            assert turns < 30
        assert sorted(output) == [0, 1, 2, 3]
        (state,), _ = parse_replies(await board.exchange(ctx, frame(pack(MessageKind.POLL, 3))))
        assert (state["output_position"], state["confirmed"], state["input_position"]) == (4, 0, position)
        assert state["input_room"] < 16
        assert await offer(4) is ResultCode.FULL
        assert sorted(output) == list(range(8))
        for confirmed in range(8, 40, 4):
            await offer(confirmed)
        assert sorted(output) == list(range(40))
        twin = DeviceModel(plan.spec, top.identity)
        twin.receive(opened(300, secret=secret))
        expected: dict[int, int] = {}
        for place in range(40):
            step = steps[2 * place : 2 * place + 2]
            expected |= parse_replies(
                twin.receive(pack(MessageKind.INPUT, 0, step, nonce=9, position=2 * place, confirmed=place))
            )[1]
        assert output == expected

    simulate(top, bench)


def test_frames_back_to_back_at_four_clocks_a_bit() -> None:
    """The slowest clock that the pin allows, both directions busy: each of the longest frames is taken, none is
    damaged."""
    plan = PLANS["fast, LFSR"]
    top = Top(plan, clock_hz=CLOCK, baud=CLOCK // 4, window=2048, outbox=64)
    data = bytes(number % 251 for number in range(3 * 236))
    pieces = [data[low : low + 236] for low in range(0, len(data), 236)]
    line = [opened(1000, secret=bytes(range(16)))]
    line += [
        pack(MessageKind.INPUT, 2, piece, nonce=9, position=236 * place, confirmed=0)
        for place, piece in enumerate(pieces)
    ]
    line += [pack(MessageKind.IDENTIFY, 3), pack(MessageKind.POLL, 4), pack(MessageKind.POLL, 5)]
    received: list[int] = []

    async def speak(ctx: Any) -> None:
        await ctx.tick().repeat(POWER_ON_CYCLES + 8)
        for byte in b"\0" + b"".join(map(frame, line)):
            for bit in (0, *(byte >> place & 1 for place in range(8)), 1):
                ctx.set(top.rx, bit)
                await ctx.tick().repeat(4)

    async def listen(ctx: Any) -> None:
        while not [body for body in parse(bytes(received)) if body[:2] == bytes([MessageKind.STATUS, 5])]:
            await ctx.tick().until(~top.tx)
            bits = []
            for _ in range(9):
                await ctx.tick().repeat(4)
                bits.append(ctx.get(top.tx))
            assert bits[8]
            received.append(sum(bit << place for place, bit in enumerate(bits[:8])))

    simulator = Simulator(top)
    simulator.add_clock(1e-6)
    simulator.add_testbench(speak)
    simulator.add_testbench(listen)
    simulator.run()
    answers, output = parse_replies(parse(bytes(received)))
    state = Status.from_message(answers[-1])
    assert (state.input_position, state.damaged, state.result) == (len(data), 0, ResultCode.OK)
    assert sorted(output) == list(range(64))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"port": "usb"}, "port must be one of 'uart', 'bytes', not 'usb'"),
        ({"window": 100}, "window must be a power of two, not 100"),
        ({"outbox": 1}, "outbox must be 2 to 32768, not 1"),
        ({"clock_hz": 1 << 32}, "clock_hz must be 1 to 4294967295, not 4294967296"),
        ({"baud": 4_000_000}, "baud must be at most clock_hz / 4 = 3000000, not 4000000"),
    ],
)
def test_refuses_what_cannot_be_built(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        check(**{"clock_hz": CLOCK, "baud": 9600, "port": "uart", "window": 512, "outbox": 512, **options})
