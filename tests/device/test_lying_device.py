"""Devices that lie: every conversation ends in time, in success or a DeviceError, within the stated cap of leases."""

import tracemalloc
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from support.lying import Liar, LyingPort
from support.twin_ports import DirectPort

from spikeveil.host.device import frames
from spikeveil.host.device.connection import LOAD_ATTEMPTS
from spikeveil.host.device.driver import Device
from spikeveil.host.device.errors import DeviceError, DeviceStuck, ProtocolViolation, WrongDevice
from spikeveil.host.device.link import Timing
from spikeveil.host.device.record_run import max_leases
from spikeveil.host.device.twin_board import TwinEndpoint
from spikeveil.host.privacy.ledger import Lease, Ledger
from spikeveil.pysim import FlipSpec, LayerSpec, NetworkSpec
from spikeveil.pysim.device.identity import ModelPlan, identity
from spikeveil.pysim.device.messages import Message, MessageKind, pack, unpack
from spikeveil.pysim.device.top import DeviceModel

SPEC = NetworkSpec([LayerSpec(np.eye(3, dtype=int) * 5, 4, flip=FlipSpec(40, 8))])
SPIKES = np.random.default_rng(1).random((6, 2, 3)) < 0.5
TIMING = Timing(answer=0.05, minimum=0.01, silence=0.5, question=2.0, stall=3.0, reconnect=2.0, rate=50.0)
LEASE_RECORDS = 2
CAP = max_leases(len(SPIKES), LEASE_RECORDS)
STEP_SECONDS = 0.2  # of the port's clock that one read may add
#: seconds of a conversation, by docs/device.md: open and load, and then each lease
DEADLINE = (1 + CAP) * (LOAD_ATTEMPTS + 2) * 2 * TIMING.transfer_limit(1 << 10, pauses=64 * 10.0)


class CountingLedger(Ledger):
    """A ledger that counts its leases."""

    count = 0

    def lease(self, *arguments: Any, **options: Any) -> Lease:
        self.count += 1
        return super().lease(*arguments, **options)


@pytest.fixture
def book(tmp_path: Path) -> Iterator[CountingLedger]:
    with CountingLedger(tmp_path / "ledger", create=True) as ledger:
        ledger.create_budget("data", "record", 10**9, "0.9")
        yield ledger


def converse(book: CountingLedger, seed: int) -> str:
    """The outcome of one conversation, by name."""
    dice = Random(seed)
    plan = ModelPlan(SPEC, lanes=2, loadable=dice.random() < 0.5, cadence=50)
    port = LyingPort(Liar(DeviceModel(SPEC, identity(plan, window=64, outbox=32)), dice))
    before, outcome = book.count, "success"
    try:
        with Device.open(port, timing=TIMING) as device:
            device.load(SPEC)
            result = device.run(SPIKES, ledger=book, data_set="data", lease_records=LEASE_RECORDS)
            assert result.released.shape == (*SPIKES.shape[:2], SPEC.outputs)
    except DeviceError as error:
        outcome = type(error).__name__
        assert "\n" not in str(error)
    assert book.count - before <= CAP, (seed, book.count - before)
    assert port.now() <= DEADLINE, (seed, port.now())
    return outcome


@pytest.mark.parametrize("part", range(4))
def test_lying_conversations_end_in_time(book: CountingLedger, part: int, soak: bool) -> None:
    """20,000 conversations under --soak, 200 always."""
    count = 5000 if soak else 50
    tracemalloc.start()
    outcomes = Counter(converse(book, part * 1_000_000 + number) for number in range(count))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100 << 20
    assert outcomes["success"] and len(outcomes) > 1  # some lies change nothing, others are found out in several ways


class Changed(TwinEndpoint):
    """The model, every answer of which `change` replaces."""

    def __init__(self, device: DeviceModel, change: Any) -> None:
        super().__init__(device)
        self.change = change

    def feed(self, piece: bytes) -> bytes:
        return b"".join(
            frames.encode(self.change(unpack(answer)))
            for body in self._frames.feed(piece)
            for answer in self.device.receive(body)
        )


def fixed(kind: MessageKind, **values: Any) -> Any:
    """A change of the fields of one kind."""

    def change(message: Message) -> bytes:
        changed = dict(message.values) | (values if message.kind is kind else {})
        return pack(message.kind, message.tag, message.data, **changed)

    return change


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("outputs", 0, "outputs 3, as the network does, not 0"),
        ("output_bits", 32, "output bits 1, as the network does, not 32"),
        ("inputs", 4, "inputs 3, as the network does, not 4"),
        ("word_sources", 2, "word sources 1, as the network does, not 2"),
        ("release", 2, "release 0, as the network does, not 2"),
        ("record_steps", 7, "record steps 0, as the network does, not 7"),
        ("other_words", 1, "other words 0, as the network does, not 1"),
        ("clock", 0, "must have a clock of 1 Hz or more, not 0"),
        ("clock", 1, "must take at most 10 s for a step, not 50"),
        ("cadence", 0xFFFFFFFF, "must take at most 10 s for a step, not 357.914"),
        ("window", 0, "window of 1 byte or more"),
        ("outbox", 0, "outbox of 1 byte or more"),
    ],
)
def test_identity_is_checked_against_the_specification(field: str, value: int, sentence: str) -> None:
    model = DeviceModel(SPEC, identity(ModelPlan(SPEC, cadence=50)))
    port = DirectPort(Changed(model, fixed(MessageKind.IDENTITY, **{field: value})))
    with Device.open(port, timing=TIMING) as device, pytest.raises(WrongDevice, match=sentence):
        device.load(SPEC)


def test_an_image_that_does_not_advance_ends_the_load() -> None:
    model = DeviceModel(SPEC, identity(ModelPlan(SPEC, loadable=True, cadence=50)))
    port = DirectPort(Changed(model, fixed(MessageKind.STATUS, image_position=0)))
    with Device.open(port, timing=TIMING) as device, pytest.raises(DeviceStuck, match="stays at byte 0 of"):
        device.load(SPEC)


def test_a_result_that_does_not_exist_is_a_fault_of_the_device() -> None:
    model = DeviceModel(SPEC, identity(ModelPlan(SPEC, cadence=50)))
    port = DirectPort(Changed(model, fixed(MessageKind.STATUS, result=77)))
    with Device.open(port, timing=TIMING) as device, pytest.raises(ProtocolViolation, match="77 is not a valid Result"):
        device.status()


def test_a_flood_of_valid_frames_ends_with_the_question() -> None:
    liar = Liar(DeviceModel(SPEC, identity(ModelPlan(SPEC, cadence=50))), Random(0))
    liar.habits, liar.chance, liar.limit = ["flood"], 1.0, 0
    port = LyingPort(liar)
    with pytest.raises(DeviceStuck, match="sends frames, and no answer to IDENTIFY within 2 s"):
        Device.open(port, timing=TIMING)
    assert port.now() < TIMING.question_limit + TIMING.silence + STEP_SECONDS
