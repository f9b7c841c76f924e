"""The virtual board: any serial client can talk to it, and what it releases is the model's."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import serial
from numpy.typing import NDArray
from support.commands import invoke
from support.exchanges import PATIENT, parse_answers, started

from spikeveil.hdl.engine.plan import Plan
from spikeveil.host.device.driver import Device
from spikeveil.host.device.frames import Receiver, encode
from spikeveil.host.device.keys import Secrets, seed_numbers
from spikeveil.host.networks.digits_example import held_out, load_network
from spikeveil.host.networks.release import with_decision
from spikeveil.host.privacy.ledger import Ledger
from spikeveil.host.virtual.build import BoardSpec
from spikeveil.host.virtual.process import POWER_CYCLE, VirtualBoard, play
from spikeveil.pysim import Decision, LayerSpec, LfsrSource, Network, NetworkSpec, OneHotDecision, TriviumSource
from spikeveil.pysim.device.identity import Identity, identity
from spikeveil.pysim.device.messages import MessageKind, ResultCode, pack, unpack
from spikeveil.pysim.device.status import Status
from spikeveil.pysim.model.decision import RandomisedDecision

pytestmark = [pytest.mark.verilator, pytest.mark.xdist_group("board")]  # its simulators are built once


KEY = bytes.fromhex("5b0c61d2a9e7340f8812")
LONG = 300  # seconds, for what must come


def small() -> NetworkSpec:
    """A network that is built quickly; it flips nothing."""
    return NetworkSpec([LayerSpec(np.random.default_rng(7).integers(-8, 8, (5, 9)), 6, weight_bits=4)])


def uart_board() -> BoardSpec:
    """The same with a UART whose bits are not a whole number of clock cycles long."""
    return BoardSpec(Plan(small(), 5, unsafe=True), clock=1_000_000, baud=115_200)


def status(tag: int) -> bytes:
    """A STATUS on its way."""
    return encode(pack(MessageKind.POLL, tag))


def opening(lease: int) -> bytes:
    """An OPEN on its way."""
    fields = {"lease": lease, "nonce": 5, "quota": 3, "record_steps": 2, "format": 0}
    return encode(pack(MessageKind.OPEN, 9, bytes(10), **fields))


@pytest.mark.parametrize("baud", [115_200, 117_000, 113_500], ids=["exact", "fast host", "slow host"])
def test_a_uart_of_any_divisor(baud: int) -> None:
    """The host's own clock may be off by more than one in a hundred."""
    board = uart_board()
    answers, counters = play(board, [encode(pack(MessageKind.IDENTIFY, 3)), status(4)], baud=baud)
    (found,) = parse_answers(answers[0]).identities
    assert Identity.from_message(found) == identity(board.plan, clock_hz=board.clock)
    assert [tag for tag, _ in parse_answers(answers[1]).statuses] == [4]
    assert counters.framing_errors == 0
    assert counters.bytes_out == sum(map(len, answers))


def test_a_wrong_baud_rate_is_noise() -> None:
    answers, _ = play(uart_board(), [b"\0" + status(4)], baud=38_400)
    assert answers == [b""]


def test_a_power_cycle_forgets_the_lease() -> None:
    chunks = [opening(7), status(1), POWER_CYCLE, status(2), opening(7)]
    answers, _ = play(uart_board(), chunks)
    one, two, _, four, five = (parse_answers(answer).statuses for answer in answers)
    assert (one[0][1].result, two[0][1].lease) == (ResultCode.OK, 7)
    assert (four[0][1].lease, five[0][1].result) == (0, ResultCode.OK)


@pytest.fixture
def board(tmp_path: Path) -> Iterator[VirtualBoard]:
    """A running board."""
    with VirtualBoard(uart_board(), link=tmp_path / "port") as running:
        yield running


def asleep(board: VirtualBoard) -> int:
    """Wait until the clock stands still; the cycle in which it does."""
    while True:
        before = board.counters().cycles
        time.sleep(0.1)
        if board.counters().cycles == before:
            return before


def test_any_serial_client_and_its_baud_rate(board: VirtualBoard, tmp_path: Path) -> None:
    with serial.Serial(str(tmp_path / "port"), 115_200, timeout=LONG) as port:
        port.write(status(8))
        answer = port.read_until(b"\0")
        assert [tag for tag, _ in parse_answers(answer).statuses] == [8]
        port.baudrate, port.timeout = 38_400, 0.5
        port.write(status(9))
        assert not port.read_until(b"\0")


def test_it_sleeps_while_nothing_can_move(board: VirtualBoard) -> None:
    cycles = asleep(board)
    assert cycles <= board.board.idle_cycles + 1024
    with serial.Serial(board.port, 115_200, timeout=LONG) as port:
        port.write(status(8))
        port.read_until(b"\0")
    assert asleep(board) > cycles


def test_power_and_cable(board: VirtualBoard, tmp_path: Path) -> None:
    with serial.Serial(board.port, 115_200, timeout=LONG) as port:
        port.write(opening(12))
        port.read_until(b"\0")
    old = serial.Serial(board.port, 115_200, timeout=LONG)
    board.replug()
    with pytest.raises(serial.SerialException):
        old.read(1)
    old.close()
    leases = []
    for event in (lambda: None, board.power_cycle):
        event()
        with serial.Serial(str(tmp_path / "port"), 115_200, timeout=LONG) as port:
            port.write(status(1))
            leases += [found.lease for _, found in parse_answers(port.read_until(b"\0")).statuses]
    assert leases == [12, 0]


def test_the_link_goes_with_the_board(tmp_path: Path) -> None:
    with VirtualBoard(uart_board(), link=tmp_path / "port") as running:
        assert str((tmp_path / "port").readlink()) == running.port
    assert not os.path.lexists(tmp_path / "port")
    (tmp_path / "file").write_text("mine")
    with pytest.raises(ValueError, match=r"^link must be a new name or a symbolic link, and .*file is a file$"):
        VirtualBoard(uart_board(), link=tmp_path / "file")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"baud": 250_001}, "baud must be 1 to 250000, not 250001"),
        ({"clock": 0}, "clock must be 1 to 4294967295, not 0"),
        ({"pins": "spi"}, "pins must be one of 'uart', 'bytes', not 'spi'"),
    ],
)
def test_what_no_board_can_be(fields: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValueError) as caught:
        BoardSpec(Plan(small(), unsafe=True), **{"clock": 1_000_000, "baud": 1, **fields})  # type: ignore[arg-type]
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--divisor", "3"], "divisor must be 4 to 12000000, not 3"),
        (["--baud", "9600", "--divisor", "8"], "give either --baud or --divisor"),
        (["--baud", "4000000"], "baud must be 1 to 3000000, not 4000000"),
        (["--lanes", "0"], "lanes must be 1 to 64, not 0"),
    ],
)
def test_what_the_command_refuses(options: list[str], sentence: str) -> None:
    assert invoke("board", "digits", *options, code=2).stderr.splitlines()[-1] == f"Error: {sentence}"


def test_the_command_obeys_signals(tmp_path: Path) -> None:
    """Port and counters in JSON; a power cycle, another terminal, and an end that leaves nothing behind."""
    small().save(tmp_path / "small.snn")
    arguments = ["board", "small.snn", "--unsafe", "--lanes", "5", "--clock", "1000000", "--baud", "115200"]
    program = "from spikeveil.host.cli import main; main()"
    command = [sys.executable, "-c", program, *arguments, "--link", "port", "--json"]
    with started(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = json.loads(process.stdout.readline())
        assert (first["port"], first["lanes"], first["baud"]) == ("port", 5, 115_200)

        def leases(sent: bytes, timeout: float = LONG) -> list[int]:
            with serial.Serial(str(tmp_path / "port"), 115_200, timeout=timeout) as port:
                port.write(sent)
                return [Status.from_message(unpack(body)).lease for body in Receiver().feed(port.read_until(b"\0"))]

        assert leases(opening(3)) == [3]
        process.send_signal(signal.SIGUSR2)
        assert set(json.loads(process.stdout.readline())) == {"terminal"}
        assert leases(status(1)) == [3]
        process.send_signal(signal.SIGUSR1)
        assert any(leases(status(2), timeout=1) == [0] for _ in range(LONG))  # it takes a while, and may cut an answer
        process.send_signal(signal.SIGTERM)
        last = json.loads(process.stdout.read())
        assert process.wait(LONG) == 0
    assert last["bytes_out"] >= 3 * 43
    assert last["cycles_per_second"] > 1000
    assert not os.path.lexists(tmp_path / "port")


class Kept(Secrets):
    """Secrets that the test may know; `seeds` of each lease under an LFSR."""

    def __init__(self, key: bytes | None, lfsr: bool, flippers: int, origin: str) -> None:
        super().__init__(key, lfsr, flippers, origin)
        self.seeds: list[list[int]] = []

    def next(self) -> bytes:
        """As the driver asks for it."""
        secret = super().next()
        self.seeds.append(seed_numbers(secret))
        return secret


def digits_through_the_driver(plan: Plan, images: NDArray[np.bool_], folder: Path, pins: str = "bytes") -> int:
    """Images through driver, serial port and gateware; how many released bits or decisions differ from the model's."""
    spec, lfsr = plan.spec, plan.source == "lfsr"
    board, different = BoardSpec(plan, pins=pins), 0  # type: ignore[arg-type]
    key = None if lfsr else KEY
    with (
        VirtualBoard(board) as running,
        Ledger(folder / "ledger", state_directory=folder / "state") as ledger,
        Device.open(running.port, baud=board.baud, timing=PATIENT) as device,
    ):
        ledger.create_budget("digits", "record", 10**9, Fraction(1, 2))
        device.load(spec)
        secrets = Kept(key, lfsr, len(spec.randomised), "a test")
        result = device.run(images, ledger=ledger, data_set="digits", secrets=secrets, demonstration=lfsr)
        assert running.counters().framing_errors == 0
    for order, lease in enumerate(sorted(set(result.leases.tolist()))):
        (records,) = np.nonzero(result.leases == lease)
        records = records[np.argsort(result.lease_indices[records])]
        source = LfsrSource(secrets.seeds[order]) if lfsr else TriviumSource(KEY)
        golden = Network(spec, source).run(images[records], lease=lease)
        expected = golden.released if golden.decisions is None else golden.decisions
        different += int((expected != result.released[records]).sum())
    return different


def test_digits_over_a_serial_port(tmp_path: Path, soak: bool) -> None:
    """The host's own driver, a ledger, the gateware with 16 lanes: bit for bit the model's."""
    images, _ = held_out()
    assert digits_through_the_driver(Plan(load_network()), images[: None if soak else 8], tmp_path) == 0


def deciding(decision: RandomisedDecision) -> NetworkSpec:
    """The digits network with a decision about each image."""
    return with_decision(load_network(), decision, 16)


def test_decisions_about_digits_over_a_serial_port(tmp_path: Path) -> None:
    images, _ = held_out()
    plan = Plan(deciding(Decision.for_epsilon(4.0, 10)))
    assert digits_through_the_driver(plan, images[:8], tmp_path) == 0


@pytest.mark.slow
@pytest.mark.parametrize("source", ["trivium", "lfsr"])
@pytest.mark.parametrize("decision", [Decision.for_epsilon(4.0, 10), OneHotDecision.oue(4.0, 10)], ids=lambda d: d.kind)
def test_decisions_about_all_digits(tmp_path: Path, soak: bool, source: str, decision: RandomisedDecision) -> None:
    if not soak:
        pytest.skip("all images and both sources belong to the full count")
    images, _ = held_out()
    plan = Plan(deciding(decision), source=source)  # type: ignore[arg-type]
    assert digits_through_the_driver(plan, images, tmp_path) == 0


@pytest.mark.slow
@pytest.mark.parametrize("lanes", [1, 4, 16])
@pytest.mark.parametrize("source", ["trivium", "lfsr"])
def test_all_digits(tmp_path: Path, soak: bool, source: str, lanes: int) -> None:
    if not soak:
        pytest.skip("all images, both sources, 1, 4 and 16 lanes belong to the full count")
    images, _ = held_out()
    plan = Plan(load_network(), lanes, source=source)  # type: ignore[arg-type]
    assert digits_through_the_driver(plan, images, tmp_path) == 0
