"""Transcripts of a driver with the gateware and with its model: each answers the other's requests alike."""

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from random import Random

import numpy as np
import pytest
from device.test_hostile_host import plans
from support.exchanges import PATIENT, Answers, Chunk, TwinLine, compare, parse_answers
from support.faulty_port import FaultyPort, TwinPort
from support.hostile import HostileHost
from support.paths import DATA

from spikeveil.hdl.engine.plan import Plan
from spikeveil.host.device.driver import Device
from spikeveil.host.device.port import Port, SerialPort
from spikeveil.host.privacy.ledger import Ledger
from spikeveil.host.virtual.build import BoardSpec
from spikeveil.host.virtual.process import VirtualBoard, play
from spikeveil.pysim.device.identity import identity
from spikeveil.pysim.device.messages import ResultCode
from spikeveil.pysim.device.top import DeviceModel

STORED = DATA / "transcript.txt"
PLANS = {name: plans()[name] for name in ("trivium", "decisions")}
PLAN = PLANS["trivium"]
BOARD = BoardSpec(PLAN, pins="bytes")
RECORDS = 30
EACH_PLAN = pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS.keys())

pytestmark = pytest.mark.xdist_group("hostile")  # one simulator


def twin_device(plan: Plan = PLAN) -> DeviceModel:
    """The twin of the board."""
    return DeviceModel(plan.spec, identity(plan, clock_hz=BOARD.clock))


def steps_of(plan: Plan) -> int:
    """Steps of a record."""
    return plan.spec.steps or 8


def released_bytes(plan: Plan) -> int:
    """Bytes of all records: one a step, or one a decision."""
    return RECORDS * (1 if plan.spec.decision is not None else steps_of(plan))


@dataclass
class Recording:
    """What a driver wrote, piece by piece, and all that came back."""

    chunks: list[Chunk] = field(default_factory=list)
    answer: bytes = b""

    def record(self, direction: str, data: bytes) -> None:
        """A piece."""
        if direction == "up":
            self.chunks.append(data)
        else:
            self.answer += data


def record(port: Port, folder: Path, plan: Plan) -> Recording:
    """A run of the driver over `port`."""
    recording = Recording()
    spikes = np.random.default_rng(3).random((RECORDS, steps_of(plan), plan.spec.inputs)) < 0.3
    with (
        Ledger(folder / "ledger", state_directory=folder / "state") as ledger,
        Device.open(FaultyPort(port, Random(0), mean=0, tap=recording.record), timing=PATIENT) as device,
    ):
        ledger.create_budget("data", "record", 10**9, Fraction(1, 2))
        device.load(plan.spec)
        device.run(spikes, ledger=ledger, data_set="data", lease_records=12)
    return recording


@pytest.mark.verilator
@EACH_PLAN
def test_what_a_driver_said_to_the_twin_is_answered_alike_by_the_gateware(plan: Plan, tmp_path: Path) -> None:
    recording = record(TwinPort(twin_device(plan)), tmp_path, plan)
    answers, _ = play(BoardSpec(plan, pins="bytes"), recording.chunks)
    assert compare(recording.chunks, answers, twin_device(plan)) == released_bytes(plan)
    assert parse_answers(b"".join(answers)).released == parse_answers(recording.answer).released


@pytest.mark.verilator
@EACH_PLAN
def test_what_a_driver_said_to_the_gateware_is_answered_alike_by_the_twin(plan: Plan, tmp_path: Path) -> None:
    with VirtualBoard(BoardSpec(plan, pins="bytes")) as board:
        recording = record(SerialPort(board.port), tmp_path, plan)
    line = TwinLine(twin_device(plan))
    expected, found = (
        parse_answers(b"".join(line.send(chunk) for chunk in recording.chunks)),
        parse_answers(recording.answer),
    )
    assert found.released == expected.released
    assert len(found.released) == released_bytes(plan)
    assert refusals(found) == refusals(expected) == []
    assert found.identities[0] == expected.identities[0]


def refusals(answers: Answers) -> list[tuple[int, ResultCode]]:
    """The results that are not OK."""
    return [(tag, result) for tag, result in answers.results if result is not ResultCode.OK]


def stored() -> tuple[list[Chunk], list[bytes]]:
    """The transcript that is kept: chunks and answers of a board of this plan."""
    chunks: list[Chunk] = []
    answers: list[bytes] = []
    for line in STORED.read_text().splitlines():
        mark, _, content = line.partition(" ")
        if mark == ">":
            chunks.append(bytes.fromhex(content))
        elif mark == "<":
            answers.append(bytes.fromhex(content))
        elif mark == "!":
            chunks.append(None)
            answers.append(b"")
    return chunks, answers


def test_the_twin_answers_as_a_kept_transcript() -> None:
    """The transcript was made with the gateware: a protocol change on both sides at once is detected here."""
    chunks, answers = stored()
    assert compare(chunks, answers, twin_device()) > 100


@pytest.mark.verilator
def test_the_gateware_answers_as_a_kept_transcript() -> None:
    chunks, answers = stored()
    found, _ = play(BOARD, chunks)
    assert [parse_answers(answer).results for answer in found] == [parse_answers(answer).results for answer in answers]
    assert [parse_answers(answer).released for answer in found] == [
        parse_answers(answer).released for answer in answers
    ]


def make() -> None:
    """Write the kept transcript anew: `python tests/device/test_transcripts.py`, where the protocol has changed."""
    host = HostileHost(identity(PLAN, clock_hz=BOARD.clock), seed=2026)
    chunks = [chunk for sequence in host.sequences(40) for chunk in sequence]
    answers, _ = play(BOARD, chunks)
    lines = ["# A hostile host and the gateware: > sent, < answered before nothing moved, ! power cycle; hexadecimal"]
    for chunk, answer in zip(chunks, answers, strict=True):
        lines += ["!"] if chunk is None else [f"> {chunk.hex()}", f"< {answer.hex()}"]
    STORED.write_text("\n".join([*lines, ""]))


if __name__ == "__main__":
    make()
