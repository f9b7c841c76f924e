"""A hostile host against the gateware: nothing leaves but what the model releases under a lease, within its quota."""

from dataclasses import dataclass

import numpy as np
import pytest
from support.exchanges import Chunk, TwinLine, compare, parse_answers
from support.hostile import HostileHost
from support.watch import Counts, Watch

from spikeveil.hdl.engine.plan import Plan
from spikeveil.host.device.frames import encode
from spikeveil.host.virtual.build import BoardSpec
from spikeveil.host.virtual.process import play
from spikeveil.pysim import Decision, FlipSpec, LayerSpec, Leak, NetworkSpec, OneHotDecision
from spikeveil.pysim.device.identity import Identity, identity
from spikeveil.pysim.device.messages import MessageKind, ResultCode, pack
from spikeveil.pysim.device.top import DeviceModel
from spikeveil.pysim.device.wire import POSITION_MODULUS

pytestmark = pytest.mark.xdist_group("hostile")  # its simulators are built once

FLIP = FlipSpec.for_epsilon(1.0, 8)
BATCH = 5000  # sequences from one power-on to the end of a simulation


def layer(inputs: int, neurons: int, **changes: object) -> LayerSpec:
    """A small layer that spikes now and then."""
    weights = np.random.default_rng(inputs * neurons).integers(-8, 8, (neurons, inputs))
    fields = {"threshold": 6, "leak": Leak.shift(3), "weight_bits": 4, "flip": FLIP} | changes
    return LayerSpec(weights, **fields)  # type: ignore[arg-type]


def plans() -> dict[str, Plan]:
    """Small devices that differ in all that a host can see."""
    one, two = NetworkSpec([layer(12, 6)]), NetworkSpec([layer(20, 9), layer(9, 11)])
    paced = NetworkSpec([layer(12, 6, input_cap=4)], cadence=120)  # as in the stored transcript
    deciding = [layer(12, 6, input_cap=5), layer(6, 4, flip=None)]
    readout = NetworkSpec([layer(12, 6), layer(6, 3, threshold=None, readout=True, flip=None, state_bits=12)])
    return {
        "trivium": Plan(paced, 6),
        "two flippers, lfsr": Plan(two, 4, source="lfsr"),
        "potentials": Plan(readout, 3),
        "loadable": Plan(one, 2, loadable=True),
        "counted indices": Plan(one, 6, schedule="fast", unsafe=True),
        "decisions": Plan(NetworkSpec(deciding, decision=Decision(4, 40, 8), steps=3), 4),
        "one-hot decisions, lfsr": Plan(
            NetworkSpec([*deciding[:1], layer(6, 10, flip=None)], decision=OneHotDecision(10, 200, 30, 8), steps=2),
            5,
            source="lfsr",
        ),
    }


@dataclass(frozen=True)
class Campaign:
    """So many sequences against a device; `exact` compares every answer with the twin's."""

    name: str
    exact: bool
    soak: int


CAMPAIGNS = [
    Campaign("trivium", True, 25_000),
    Campaign("trivium", False, 25_000),
    Campaign("two flippers, lfsr", True, 10_000),
    Campaign("two flippers, lfsr", False, 10_000),
    Campaign("potentials", True, 5_000),
    Campaign("potentials", False, 5_000),
    Campaign("loadable", True, 10_000),
    Campaign("loadable", False, 10_000),
    Campaign("counted indices", True, 5_000),
    Campaign("counted indices", False, 5_000),
    Campaign("decisions", True, 10_000),
    Campaign("decisions", False, 10_000),
    Campaign("one-hot decisions, lfsr", True, 5_000),
    Campaign("one-hot decisions, lfsr", False, 5_000),
]
ALWAYS = {"trivium", "decisions"}


def batch(campaign: Campaign, seed: int, count: int) -> Counts:
    """One simulation; every check."""
    plan = plans()[campaign.name]
    board = BoardSpec(plan, pins="bytes")
    device = identity(plan, clock_hz=board.clock)
    image = plan.image(plan.spec) if plan.loadable else b""
    host = HostileHost(device, seed, image=image, bursts=not campaign.exact)
    sequences = list(host.sequences(count))
    chunks = [chunk for sequence in sequences for chunk in sequence]
    answers, _ = play(board, chunks)
    counts = check(sequences, answers, plan.spec, device)
    if campaign.exact:
        compare(chunks, answers, DeviceModel(plan.spec, device))
    return counts


def check(sequences: list[list[Chunk]], answers: list[bytes], spec: NetworkSpec, device: Identity) -> Counts:
    """Check everything that needs no model."""
    ends = np.cumsum([len(sequence) for sequence in sequences]) - 1
    assert all(parse_answers(answers[end]).statuses for end in ends), (
        "the device did not answer at the end of a sequence"
    )
    return Watch(spec, device).run([chunk for sequence in sequences for chunk in sequence], answers)


@pytest.mark.verilator
@pytest.mark.parametrize("campaign", CAMPAIGNS, ids=lambda one: f"{one.name}, {'exact' if one.exact else 'bursts'}")
def test_no_order_of_commands_gets_more(campaign: Campaign, soak: bool, capsys: pytest.CaptureFixture[str]) -> None:
    if not soak and campaign.name not in ALWAYS:
        pytest.skip("the other devices belong to the full count")
    left, total = campaign.soak if soak else 400, Counts()
    for seed in range(-(-left // BATCH)):
        total += batch(campaign, seed, min(BATCH, left - seed * BATCH))
    with capsys.disabled():
        print(f"\n{campaign.name}, {left} sequences: {total}")
    assert total.leases > left / 4
    assert total.releases > left
    assert total.exhausted > left / 100
    assert total.resent > left / 100


@pytest.mark.verilator
def test_a_full_ring_is_answered_before_the_board_counts_as_quiet() -> None:
    """Leases and long messages that wait behind one another, of which only some are answered: the last one always."""
    lease = {"quota": 200, "record_steps": 2, "format": 1}
    tagged = bytes.fromhex("ff4963 05040506070c ff5b5b 050000010508 ff4c74")
    step = pack(MessageKind.INPUT, 2, tagged, nonce=1, position=0, confirmed=0)
    bodies = [
        pack(MessageKind.OPEN, 1, bytes(range(10)), lease=1, nonce=1, **lease),
        step,
        pack(MessageKind.OPEN, 3, bytes(range(10)), lease=2, nonce=2, **lease),
        *(pack(MessageKind.LOAD, tag, bytes(244), position=0) for tag in (4, 5)),
    ]
    burst = b"".join(map(encode, bodies)) + b"\0" + encode(pack(MessageKind.POLL, 6))
    (answer,), _ = play(BoardSpec(plans()["trivium"], pins="bytes"), [burst])
    assert parse_answers(answer).statuses[-1][0] == 6


class Cheat(DeviceModel):
    """A device that does one thing that it must not do."""

    def receive(self, body: bytes) -> list[bytes]:
        """The honest answers, changed."""
        return [self.changed(body, answer) for answer in super().receive(body)]

    def changed(self, body: bytes, answer: bytes) -> bytes:
        """What it sends in the place of `answer`."""
        return answer


class Generous(Cheat):
    """Opens a lease with one step more than was requested."""

    def receive(self, body: bytes) -> list[bytes]:
        more = (
            body[:11]
            + (int.from_bytes(body[11:15], "little") + 1 & POSITION_MODULUS - 1).to_bytes(4, "little")
            + body[15:]
        )
        return super().receive(more if body[0] == MessageKind.OPEN and len(body) > 15 else body)


class Refilling(Cheat):
    """Reports a higher quota after a TAKE."""

    def changed(self, body: bytes, answer: bytes) -> bytes:
        return answer[:13] + bytes([answer[13] + 1 & 255]) + answer[14:] if body[0] == MessageKind.TAKE else answer


class Forgetful(Cheat):
    """Reports lease number 0 when a lease is closed."""

    def changed(self, body: bytes, answer: bytes) -> bytes:
        return (
            answer[:4] + bytes(5) + answer[9:]
            if body[0] == MessageKind.CLOSE and answer[0] == MessageKind.STATUS
            else answer
        )


class Talkative(Cheat):
    """Puts the latest secret into its IDENTITY."""

    secret = b""

    def changed(self, body: bytes, answer: bytes) -> bytes:
        if body[0] == MessageKind.OPEN and answer[2] == ResultCode.OK:
            self.secret = body[-8:]
        return (
            answer[:4] + self.secret + answer[4 + len(self.secret) :] if answer[0] == MessageKind.IDENTITY else answer
        )


class Wavering(Cheat):
    """Sends another byte when it sends again."""

    def changed(self, body: bytes, answer: bytes) -> bytes:
        again = body[0] == MessageKind.TAKE and answer[0] == MessageKind.OUTPUT
        return answer[:-1] + bytes([answer[-1] ^ 1]) if again else answer


class Late(Cheat):
    """Does not answer the last POLL."""

    def receive(self, body: bytes) -> list[bytes]:
        return [] if body[0] == MessageKind.POLL else super().receive(body)


ONE = NetworkSpec([layer(12, 6)])
CHEATS = [
    (Generous(ONE), "the quota rose"),
    (Refilling(ONE), "the quota rose"),
    (Forgetful(ONE), "the highest lease fell"),
    (Talkative(ONE), "a piece of a secret came back"),
    (Wavering(ONE), "two values at output position"),
    (DeviceModel(NetworkSpec([layer(12, 6, flip=None)])), "released"),
    (Late(ONE), "the device did not answer"),
]


@pytest.mark.parametrize(("cheat", "sentence"), CHEATS, ids=lambda value: type(value).__name__)
def test_a_device_that_cheats_is_found_out(cheat: DeviceModel, sentence: str) -> None:
    identity = DeviceModel(ONE).identity
    sequences = list(HostileHost(identity, seed=1).sequences(120))
    line = TwinLine(cheat)
    with pytest.raises(AssertionError, match=sentence):
        check(sequences, [line.send(chunk) for sequence in sequences for chunk in sequence], ONE, identity)


def test_an_honest_twin_passes() -> None:
    device = DeviceModel(ONE)
    sequences = list(HostileHost(device.identity, seed=1, bursts=True).sequences(120))
    line = TwinLine(device)
    check(sequences, [line.send(chunk) for sequence in sequences for chunk in sequence], ONE, device.identity)
