"""The driver against the device's twin, over real pseudo-terminals and with a real ledger."""

import os
import random
import runpy
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.paths import EXAMPLES, TESTS
from support.twin_ports import DirectPort, Mute, SlowPort, SpoiledEndpoint, spoiler

from spikeveil.host.device import frames
from spikeveil.host.device.driver import Device
from spikeveil.host.device.errors import (
    DeviceError,
    DeviceRefused,
    DeviceSilent,
    DeviceStuck,
    PortBusy,
    PortLost,
    WrongDevice,
)
from spikeveil.host.device.keys import Secrets
from spikeveil.host.device.link import Link, Timing
from spikeveil.host.device.port import SerialPort
from spikeveil.host.device.record_run import RunProgress, RunResult
from spikeveil.host.device.results import Results
from spikeveil.host.device.twin_board import TwinBoard, TwinEndpoint
from spikeveil.host.networks.digits_example import DEMO_KEY
from spikeveil.host.privacy.ledger import BudgetRefused, Ledger, LedgerError, LedgerLocked, LedgerRolledBack
from spikeveil.pysim import FlipSpec, LayerSpec, LfsrSource, Network, NetworkSpec, TriviumSource
from spikeveil.pysim.device.messages import VERSION, Kind, pack, turned
from spikeveil.pysim.device.pack import unpack
from spikeveil.pysim.device.top import Device as Twin
from spikeveil.pysim.device.top import describe
from spikeveil.pysim.device.unpack import bitmaps

DEVICE_EXAMPLE = EXAMPLES / "device"
DICE = np.random.default_rng(3)
KEY = bytes(range(100, 110))
STEPS = 6
RECORDS = 24
HIDDEN = LayerSpec(DICE.integers(-9, 20, (9, 40)), 30, flip=FlipSpec(60, 8), input_cap=3)
LAST = LayerSpec(DICE.integers(-9, 20, (11, 9)), 25, flip=FlipSpec(1, 3), spike_limit=20)
SPEC = NetworkSpec([HIDDEN, LAST])
READOUT = NetworkSpec([HIDDEN, LayerSpec(DICE.integers(-9, 20, (3, 9)), readout=True, state_bits=13)])
SPIKES = DICE.random((RECORDS, STEPS, 40)) < 0.1
QUICK = Timing(answer=0.05, minimum=0.01, silence=600.0, stall=600.0, reconnect=600.0)
IMPATIENT = replace(QUICK, silence=0.5)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "my.ledger", state_directory=tmp_path / "state", timeout=0.2) as opened:
        opened.create_budget("data", "record", 10**6, "1e-2")
        yield opened


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Callable[..., TwinBoard]]:
    """Makes boards with a twin at the port `tmp_path / name`."""
    made: list[TwinBoard] = []

    def make(spec: NetworkSpec = SPEC, name: str = "port", **traits: Any) -> TwinBoard:
        made.append(TwinBoard(Twin(spec, describe(spec, **traits)), tmp_path / name))
        made[-1].plug()
        return made[-1]

    yield make
    for one in made:
        one.unplug()


def run(board: TwinBoard, ledger: Ledger, spec: NetworkSpec = SPEC, **options: Any) -> RunResult:
    with Device.open(str(board.path), timing=QUICK) as device:
        device.load(spec)
        options = {"secrets": Secrets(KEY, False, 2, "a test"), "lease_records": 10} | options
        return device.run(SPIKES, ledger=ledger, budget="data", **options)


def check(result: RunResult, spec: NetworkSpec = SPEC, source: Any = None) -> None:
    """Every record is what the golden model releases under its lease and index."""
    network = Network(spec, source or TriviumSource(KEY))
    for index, (lease, first) in enumerate(zip(result.leases, result.lease_indices, strict=True)):
        golden = network.run(SPIKES[index : index + 1], lease=int(lease), first_record=int(first))
        wanted = golden.readout if golden.released is None else golden.released
        np.testing.assert_array_equal(result.released[index : index + 1], wanted)


def leases(ledger: Ledger) -> list[int]:
    """The releases of each lease that the ledger holds."""
    return [entry.content["session"]["releases"] for entry in ledger.history() if entry.kind == "lease"]


def at_steps(steps: int, action: Callable[[], object]) -> Callable[[RunProgress], None]:
    """Does `action` once, when a run has received so many steps."""
    done: list[bool] = []

    def show(progress: RunProgress) -> None:
        if progress.steps >= steps and not done:
            done.append(True)
            action()

    return show


def test_every_record_equals_the_golden_model(board: Any, ledger: Ledger) -> None:
    result = run(board(), ledger)
    check(result)
    assert leases(ledger) == [10, 10, 4]
    assert result.leases.tolist() == [1] * 10 + [2] * 10 + [3] * 4
    assert "3 leases, 1 to 3, of data set 'data'" in result.claim.parts()["spent"]
    assert result.claim.private and result.claim.releases == 1


@pytest.mark.parametrize(
    ("spec", "traits"),
    [
        (SPEC, {"window": 64, "outbox": 4}),
        (SPEC, {"window": 5, "outbox": 1}),
        (READOUT, {}),
        (SPEC, {"loadable": True, "lanes": 4}),
        (READOUT, {"loadable": True, "lanes": 1}),
    ],
)
def test_devices_of_all_kinds(board: Any, ledger: Ledger, spec: NetworkSpec, traits: dict[str, Any]) -> None:
    secrets = Secrets(KEY, False, len(spec.flipped), "a test")
    check(run(board(spec, **traits), ledger, spec, secrets=secrets), spec)


@pytest.mark.slow
@pytest.mark.verilator
@pytest.mark.parametrize("pins", ["bytes", "uart"])
@pytest.mark.parametrize("kind", ["loadable", "lfsr", "readout"])
def test_gateware_of_all_kinds(ledger: Ledger, kind: str, pins: Any) -> None:
    from spikeveil.hdl.engine.plan import Plan
    from spikeveil.host.virtual.build import BoardSpec
    from spikeveil.host.virtual.process import VirtualBoard

    other = NetworkSpec([LayerSpec(-HIDDEN.weights + 1, 20, flip=HIDDEN.flip, input_cap=3), LAST])
    plan, spec = {
        "loadable": (Plan(SPEC, lanes=4, loadable=True), other),
        "lfsr": (Plan(SPEC, lanes=1, source="lfsr"), SPEC),
        "readout": (Plan(READOUT, lanes=16), READOUT),
    }[kind]
    seeds = bytes(range(32))
    lfsr = kind == "lfsr"
    secrets = Secrets(seeds if lfsr else KEY, lfsr, len(spec.flipped), "a test")
    options: dict[str, Any] = {"lease_records": RECORDS if lfsr else 10, "demonstration": lfsr}
    with (
        VirtualBoard(BoardSpec(plan, pins=pins)) as there,
        Device.open(str(there.port), baud=there.board.baud, timing=QUICK) as device,
    ):
        device.load(spec)
        result = device.run(SPIKES, ledger=ledger, budget="data", secrets=secrets, **options)
        device.load(spec)  # over a lease that is closed
    if lfsr:
        wanted = Network(spec, LfsrSource([int.from_bytes(seeds[:16]), int.from_bytes(seeds[16:])])).run(
            SPIKES, lease=1
        )
        np.testing.assert_array_equal(result.released, wanted.released)
    else:
        check(result, spec)


def test_an_image_of_another_network_of_the_same_structure(board: Any, ledger: Ledger) -> None:
    other = NetworkSpec([LayerSpec(-HIDDEN.weights + 1, 20, flip=HIDDEN.flip, input_cap=3), LAST])
    check(run(board(loadable=True), ledger, other), other)
    with pytest.raises(WrongDevice, match=r"^the device must have the network's structure, \w{16}\.\.\., not \w{16}"):
        run(board(loadable=True), ledger, READOUT)


def test_an_image_is_loaded_over_a_dead_hosts_lease(board: Any, ledger: Ledger) -> None:
    there = board(loadable=True, outbox=3)  # a step and a half

    class KilledError(Exception):
        pass

    def die() -> None:
        raise KilledError

    with pytest.raises(KilledError):
        run(there, ledger, progress=at_steps(4, die))
    assert there.endpoint.device.status().quota > 0
    check(run(there, ledger))


def test_an_lfsr_runs_as_a_demonstration_with_fresh_seeds_for_each_lease(board: Any, ledger: Ledger) -> None:
    drawn: list[bytes] = []

    class Noted(Secrets):
        def next(self) -> bytes:
            drawn.append(super().next())
            return drawn[-1]

    there = board(source="lfsr")
    with pytest.raises(WrongDevice, match="protects nothing, because its flips come from an LFSR: it runs only as"):
        run(there, ledger, secrets=None)
    result = run(there, ledger, secrets=Noted(None, True, 2, "a test"), demonstration=True)
    assert len(set(drawn)) == 3
    seeds = [[int.from_bytes(one[at : at + 16]) % (1 << 127) for at in (0, 16)] for one in drawn]
    for lease in (1, 2, 3):
        chosen = result.leases == lease
        wanted = Network(SPEC, LfsrSource(seeds[lease - 1])).run(SPIKES[chosen], lease=lease).released
        np.testing.assert_array_equal(result.released[chosen], wanted)
    assert not result.claim.private
    assert "nominal: an insecure demonstration" in result.claim.parts()["spent"]


def test_the_fast_schedule_is_a_demonstration(board: Any, ledger: Ledger) -> None:
    there = board(private=False)
    with pytest.raises(WrongDevice, match="because it is on the fast schedule"):
        run(there, ledger)
    result = run(there, ledger, demonstration=True)
    check(result)
    assert not result.claim.private


def test_the_published_key_is_a_demonstration(board: Any, ledger: Ledger) -> None:
    there, secrets = board(), Secrets(DEMO_KEY, False, 2, "the examples")
    with pytest.raises(ValueError, match=r"^the key is published and protects nothing: it serves only"):
        run(there, ledger, secrets=secrets)
    result = run(there, ledger, secrets=secrets, demonstration=True)
    check(result, source=TriviumSource(DEMO_KEY))
    assert result.claim.faults == ("the key is published",)


def test_a_lease_takes_two_questions_before_its_input(ledger: Ledger) -> None:
    """Round trips are what a short lease costs on a slow line."""
    sent: list[Kind] = []

    class Noted(DirectPort):
        def write(self, data: bytes) -> None:
            sent.extend(Kind(body[0]) for body in frames.Receiver().feed(data))
            super().write(data)

    with Device.open(Noted(TwinEndpoint(Twin(SPEC))), timing=QUICK) as device:
        device.load(SPEC)
        sent.clear()
        device.run(SPIKES, ledger=ledger, budget="data", lease_records=RECORDS)
    assert sent[: sent.index(Kind.INPUT)] == [Kind.STATUS, Kind.OPEN]


def test_an_unplugged_device_goes_on_under_its_lease(board: Any, ledger: Ledger) -> None:
    there = board(outbox=16)

    def unplug() -> None:
        there.unplug()
        threading.Timer(0.2, there.plug).start()

    result = run(there, ledger, lease_records=RECORDS, progress=at_steps(40, unplug))
    check(result)
    assert leases(ledger) == [RECORDS]
    assert result.claim.releases == 1


@pytest.mark.parametrize("loadable", [False, True])
def test_a_device_without_power_needs_a_new_lease(board: Any, ledger: Ledger, loadable: bool) -> None:
    there = board(outbox=16, loadable=loadable)
    result = run(there, ledger, lease_records=RECORDS, progress=at_steps(40, there.power_cycle))
    check(result)
    first, second = leases(ledger)
    received = int((result.leases == 1).sum())
    assert first == RECORDS and second == RECORDS - received
    assert 40 // STEPS <= received < RECORDS
    assert result.claim.releases == 2  # the rest may have left twice


def test_a_device_that_loses_everything_again_and_again_ends_in_one_sentence(board: Any, ledger: Ledger) -> None:
    there = board(outbox=4)
    with pytest.raises(DeviceStuck, match=r"^6 leases in a row were lost and no record received"):
        run(there, ledger, progress=lambda progress: there.power_cycle())
    assert leases(ledger) == [10, 5, 2, 1, 1, 1]


def test_a_line_that_is_lost_again_and_again_ends_in_one_sentence(ledger: Ledger) -> None:
    class Loose(DirectPort):
        """Holds for the few messages of a greeting."""

        def open(self) -> DirectPort:
            self.left = 8
            return self

        def write(self, data: bytes) -> None:
            self.left -= 1
            if self.left < 0:
                raise PortLost("the plug is loose")
            super().write(data)

    class Firm(Loose):
        def open(self) -> DirectPort:
            self.left = 3
            return self

    endpoint = TwinEndpoint(Twin(SPEC, describe(SPEC, loadable=True)))
    with Device.open(Loose(endpoint), timing=QUICK) as device:
        device.load(SPEC)
        device.link.port = Firm(endpoint)
        with pytest.raises(
            DeviceStuck, match=r"^the port direct was lost 200 times without a byte of output in between$"
        ):
            device.run(SPIKES, ledger=ledger, budget="data")


def test_an_image_is_loaded_anew_where_another_may_be_there(board: Any, ledger: Ledger) -> None:
    there = board(loadable=True)
    other = NetworkSpec([LayerSpec(-HIDDEN.weights + 1, 20, flip=HIDDEN.flip, input_cap=3), LAST])

    def another_host() -> None:
        there.unplug()
        with Device.open(DirectPort(there.endpoint), timing=QUICK) as intruder:
            intruder.load(other)  # closes the lease that is open
        there.plug()

    result = run(there, ledger, progress=at_steps(20, another_host))
    check(result)
    assert sum(leases(ledger)) >= RECORDS  # more where the lease was still open


def test_no_port(tmp_path: Path) -> None:
    with pytest.raises(PortLost, match=r"^there is no port \S+/none$"):
        Device.open(str(tmp_path / "none"), timing=QUICK)


def test_busy_port(board: Any) -> None:
    there = board()
    with (
        Device.open(str(there.path), timing=QUICK),
        pytest.raises(PortBusy, match=r"^port \S+ is held by another program$"),
    ):
        Device.open(str(there.path), timing=QUICK)


def test_a_port_that_does_not_come_back(board: Any, ledger: Ledger) -> None:
    there = board(outbox=16)
    results = Results(SPEC, SPIKES)
    with (
        Device.open(str(there.path), timing=replace(QUICK, reconnect=0.3)) as device,
        pytest.raises(PortLost, match=r"^port \S+ vanished and did not come back for good within 0.3 s$"),
    ):
        device.load(SPEC)
        show = at_steps(70, there.unplug)
        device.run(SPIKES, ledger=ledger, budget="data", lease_records=10, progress=show, results=results)
    assert 70 // STEPS <= results.received.sum() < RECORDS
    there.plug()
    received = results.received.copy()
    result = run(there, ledger, results=results)
    assert set(result.leases[received]).isdisjoint(result.leases[~received])


@pytest.mark.parametrize(("answer", "came"), [(b"", "nothing"), (b"\x80\xf8\x11\0" * 9, "bytes and no whole frame")])
def test_silence_or_another_baud_rate(answer: bytes, came: str) -> None:
    endpoint = Mute(Twin(SPEC))
    endpoint.answer = answer
    sentence = rf"^port direct gave {came} for 0.5 s: is it a spikeveil device, and the baud rate the one that"
    with pytest.raises(DeviceSilent, match=sentence):
        Device.open(DirectPort(endpoint), timing=IMPATIENT)


def test_another_version_of_the_protocol(board: Any) -> None:
    there = board()
    there.endpoint = Mute(there.endpoint.device)
    there.endpoint.answer = frames.encode(bytes([Kind.IDENTITY, 1, VERSION + 1, 0, 1, 2, 3]))
    with pytest.raises(WrongDevice, match=r"speaks version 2 of the protocol, and this spikeveil version 1$"):
        Device.open(str(there.path), timing=QUICK)


def test_another_fingerprint(board: Any, ledger: Ledger) -> None:
    with pytest.raises(WrongDevice, match=r"^the device must have the network's fingerprint, \w{16}\.\.\., not \w{16}"):
        run(board(READOUT), ledger)
    assert leases(ledger) == []


def test_another_device_after_an_unplug(board: Any, ledger: Ledger) -> None:
    there = board(outbox=16)

    def swap() -> None:
        there.unplug()
        there.endpoint = TwinEndpoint(Twin(READOUT))
        there.plug()

    with pytest.raises(WrongDevice, match=r"^the device at \S+ is another one than before$"):
        run(there, ledger, progress=at_steps(40, swap))


def test_a_device_that_has_seen_later_leases(board: Any, ledger: Ledger) -> None:
    there = board()
    values = {"lease": 50, "session": 1, "quota": 9, "record_steps": 1, "format": 0}
    there.endpoint.device.receive(pack(Kind.OPEN, 1, turned(KEY), **values))
    with pytest.raises(LedgerRolledBack, match="the device has seen lease 50 and ledger"):
        run(there, ledger)
    assert leases(ledger) == []


def test_a_device_that_refuses_the_lease(board: Any, ledger: Ledger) -> None:
    there = board()

    class Short(Secrets):
        def encode(self, secret: bytes) -> bytes:
            return secret[1:]

    with pytest.raises(DeviceRefused, match=r"^the device refused lease 1: MALFORMED$"):
        run(there, ledger, secrets=Short(KEY, False, 2, "a test"))


def test_the_budget_ends_in_the_middle(board: Any, tmp_path: Path) -> None:
    there, results = board(), Results(SPEC, SPIKES)
    with Ledger(tmp_path / "small.ledger", state_directory=tmp_path / "state") as small:
        small.create_budget("data", "record", 1000, "1e-2")
        with pytest.raises(BudgetRefused, match="nothing was charged"):
            run(there, small, results=results)
        assert 0 < results.received.sum() < RECORDS
        assert results.received.sum() == sum(leases(small))


def test_budgets_at_every_unit_pay(board: Any, tmp_path: Path) -> None:
    with Ledger(tmp_path / "all.ledger", state_directory=tmp_path / "state") as all_units:
        for unit in ("spike", "neuron", "step", "record"):
            all_units.create_budget("data", unit, "inf", "1e-2")
        spent = run(board(), all_units).claim.parts()["spent"]
        balances = all_units.budgets("data")["data"]
    assert [balance.delta_spent for balance in balances] == [Fraction(3, 10**6)] * 4
    for unit in ("spike", "neuron", "step", "record"):
        assert f"charged at {unit} level" in spent


def test_no_budget_and_a_locked_ledger(board: Any, ledger: Ledger) -> None:
    there = board()
    with Device.open(str(there.path), timing=QUICK) as device:
        with pytest.raises(ValueError, match="runs nothing before `load` has made sure of its network"):
            device.run(SPIKES, ledger=ledger, budget="data")
        device.load(SPEC)
        with pytest.raises(LedgerError, match="data set 'nobody' has no budget"):
            device.run(SPIKES, ledger=ledger, budget="nobody")
        with closing(sqlite3.connect(ledger.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(LedgerLocked, match="nothing was written"):
                device.run(SPIKES, ledger=ledger, budget="data")
    assert there.endpoint.device.status().lease == 0


def test_a_network_without_a_flipper_has_no_price(board: Any, ledger: Ledger) -> None:
    plain = NetworkSpec([LayerSpec(HIDDEN.weights, 30)])
    with pytest.raises(ValueError, match="no budget can bear it"):
        run(board(plain), ledger, plain)


@pytest.mark.parametrize(
    ("option", "sentence"), [("lease_records", "lease records must be"), ("delta", "delta must be")]
)
def test_options_out_of_range(board: Any, ledger: Ledger, option: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=f"^{sentence}"):
        run(board(), ledger, **{option: -1})


@pytest.mark.parametrize("seed", range(8))
def test_a_bad_line_gives_the_right_answer(ledger: Ledger, seed: int) -> None:
    endpoint = TwinEndpoint(Twin(SPEC, describe(SPEC, window=128, outbox=64, loadable=seed % 2 == 1)))
    port = DirectPort(endpoint, spoiler(random.Random(seed), (1e-4, 1e-3, 3e-3, 6e-3)[seed // 2]))
    with Device.open(port, timing=Timing(silence=60.0)) as device:
        device.load(SPEC)
        secrets = Secrets(KEY, False, 2, "a test")
        result = device.run(SPIKES, ledger=ledger, budget="data", lease_records=10, secrets=secrets)
    check(result)
    assert leases(ledger) == [10, 10, 4]


@pytest.mark.parametrize(("rate", "latency"), [(960, 0.001), (11_520, 0.05), (100_000, 0.0), (100_000, 2.0)])
def test_a_slow_line_is_not_a_bad_one(ledger: Ledger, rate: float, latency: float) -> None:
    port = SlowPort(TwinEndpoint(Twin(SPEC)), rate, latency)
    with Device.open(port, timing=Timing()) as device:
        device.load(SPEC)
        before = device.link.received
        secrets = Secrets(KEY, False, 2, "a test")
        result = device.run(SPIKES, ledger=ledger, budget="data", lease_records=RECORDS, secrets=secrets)
        line = device.link.received - before
    check(result)
    assert line < 1.5 * (RECORDS * STEPS * 2) + 20 * 50  # the output hardly ever twice, and some answers


@pytest.mark.parametrize(("answer", "attempts"), [(b"", 20), (b"\1" * 9 + b"\0", 241)])
def test_only_silence_makes_the_wait_longer(answer: bytes, attempts: int) -> None:
    """Every 0.25 s where a damaged frame comes; else 0.25, 0.5, 1, 2 and then a sixteenth of the silence apart."""
    endpoint = Mute(Twin(SPEC))
    endpoint.answer = answer
    link = Link(DirectPort(endpoint), Timing(silence=60.0))
    link.open()
    before = link.sent
    with pytest.raises(DeviceSilent):
        link.ask(Kind.IDENTIFY)
    assert link.sent - before == attempts * len(frames.encode(pack(Kind.IDENTIFY, 1)))


def test_a_line_that_spoils_everything_ends(ledger: Ledger) -> None:
    port = DirectPort(TwinEndpoint(Twin(SPEC)), spoiler(random.Random(1), 0.5))
    with pytest.raises(DeviceSilent):
        Device.open(port, timing=IMPATIENT)


@pytest.mark.parametrize(("baud", "window"), [(115_200, 2048), (3_000_000, 2048), (115_200, 512), (3_000_000, 512)])
def test_a_busy_line_carries_mostly_payload(ledger: Ledger, baud: int, window: int) -> None:
    states: list[RunProgress] = []
    spikes = np.random.default_rng(1).random((400, 16, 40)) < 0.1
    wide = NetworkSpec([LayerSpec(np.ones((40, 40), int), 3, flip=FlipSpec(1, 2))])
    payload, rate = 400 * 16 * 5, baud / 10  # bytes in each direction; bytes a second
    port = SlowPort(TwinEndpoint(Twin(wide, describe(wide, window=window, outbox=window))), rate, 0.0)
    with Device.open(port) as device:
        device.load(wide)
        begun = port.time
        device.run(spikes, ledger=ledger, budget="data", lease_records=400, progress=states.append)
    assert states[-1].payload == 2 * payload
    assert states[-1].payload / states[-1].line > 0.85
    assert payload / rate / (port.time - begun) > 0.83  # of what the line could carry in that time, each way


PROGRAM = """
import sys, numpy as np
from pathlib import Path
from device.test_driver import KEY, QUICK, SPEC, SPIKES, Device, Ledger, Results, Secrets
folder = Path(sys.argv[1])
with Ledger(folder / "my.ledger", state_directory=folder / "state") as ledger:
    with Device.open(str(folder / "port"), timing=QUICK) as device:
        device.load(SPEC)
        def show(progress):
            if progress.lease == 3:
                print("in the third lease", flush=True)
                sys.stdin.read()
        device.run(SPIKES, ledger=ledger, budget="data", lease_records=3, secrets=Secrets(KEY, False, 2, "a test"),
                   results=Results(SPEC, SPIKES, folder / "partial"), progress=show)
"""


def test_a_killed_host_goes_on_with_the_records_that_it_lacks(board: Any, ledger: Ledger, tmp_path: Path) -> None:
    there = board(outbox=16)
    environment = os.environ | {"PYTHONPATH": str(TESTS)}
    command = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, text=True) as host:
        assert host.stdout is not None and host.stdout.readline() == "in the third lease\n"
        host.send_signal(signal.SIGKILL)
    before = Results(SPEC, SPIKES, tmp_path / "partial")
    assert (int(before.received.sum()), leases(ledger)) == (6, [3, 3, 3])
    result = run(there, ledger, results=before)
    check(result)
    assert leases(ledger) == [3, 3, 3, 10, 8]
    assert result.claim.releases == 2  # the third lease's records may have left twice
    assert (tmp_path / "partial").stat().st_mode & 0o077 == 0


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
@pytest.mark.parametrize("endpoint", [TwinEndpoint, SpoiledEndpoint])
def test_a_client_in_c_written_from_the_page(board: Any, tmp_path: Path, endpoint: type[TwinEndpoint]) -> None:
    program = tmp_path / "client"
    command = ["cc", "-O1", "-Wall", "-Wextra", "-Werror", "-o", str(program), str(DEVICE_EXAMPLE / "client.c")]
    subprocess.run(command, check=True)
    there = board(outbox=100)
    there.endpoint = endpoint(there.endpoint.device)
    shown = subprocess.run([program, there.path], check=True, capture_output=True, text=True).stdout
    assert f"fingerprint {SPEC.fingerprint}\nflags 2\nlanes 16\ninputs 40\noutputs 11\n" == shown
    call = [program, there.path, "7", str(STEPS), str(RECORDS)]
    data = bitmaps(SPIKES.reshape(-1, 40))
    output = subprocess.run(call, check=True, capture_output=True, input=data).stdout
    wanted = Network(SPEC, TriviumSource(DEMO_KEY)).run(SPIKES, lease=7).released
    np.testing.assert_array_equal(unpack(output, 11, 1), np.asarray(wanted).reshape(-1, 11))
    again = subprocess.run(call, check=False, capture_output=True, input=data)
    assert (again.returncode, again.stdout) == (1, b"")
    assert again.stderr == b"client: OPEN gave result 3; the highest lease is 7\n"


def test_the_example_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir("/")
    runpy.run_path(str(DEVICE_EXAMPLE / "twin.py"), run_name="__main__")
    shown = capsys.readouterr().out
    assert shown.startswith("360 images, every released bit equal to the golden model's; ")
    assert "\nspent: 4 leases, 1 to 4, of data set 'digits'" in shown


def test_errors_are_one_sentence_with_an_exit_code() -> None:
    found = {kind.__name__: kind.exit_code for kind in DeviceError.__subclasses__()}
    assert set(found.values()) == {3, 4}
    assert found["WrongDevice"] == found["DeviceRefused"] == 4


@pytest.mark.parametrize("baud", [0, 4_000_001])
def test_baud_rates_out_of_range(baud: int) -> None:
    with pytest.raises(ValueError, match=f"^baud rate must be 1 to 4000000, not {baud}$"):
        SerialPort("x", baud)


def test_timing_out_of_range() -> None:
    with pytest.raises(ValueError, match=r"^timing silence must be over 0 seconds, not 0$"):
        Timing(silence=0)
