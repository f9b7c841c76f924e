"""`spikeveil run` and `spikeveil devices` against the device's twin: files, words, an exit code for each failure."""

import json
import os
import re
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from support.commands import invoke
from support.exchanges import started
from support.paths import DOCS

from spikeveil.host.device.errors import DeviceError
from spikeveil.host.device.keys import create_key
from spikeveil.host.device.twin_board import TwinBoard
from spikeveil.host.privacy import RandomizedResponse, Unit
from spikeveil.host.privacy.ledger import Ledger, Session
from spikeveil.pysim import Decision, FlipSpec, LayerSpec, Network, NetworkSpec, OneHotDecision, TriviumSource
from spikeveil.pysim.device.identity import ModelPlan, identity
from spikeveil.pysim.device.messages import MessageKind, pack, reverse_key
from spikeveil.pysim.device.top import DeviceModel
from spikeveil.pysim.model.decision import RandomisedDecision

DICE = np.random.default_rng(5)
SPEC = NetworkSpec([LayerSpec(DICE.integers(-20, 40, (6, 12)), 30, flip=FlipSpec(1, 2))])
OTHER = NetworkSpec([LayerSpec(DICE.integers(-20, 40, (6, 12)), 31, flip=FlipSpec(1, 2))])
SPIKES = DICE.random((9, 4, 12)) < 0.4
RUN = (
    "run small.snn --port port --data x.npy --ledger my.ledger -d people "
    "--lease-records 4 --silence 600 --reconnect 0.5 --key-file key"
)
KEYLESS = RUN.replace(" --key-file key", "")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in: a network, nine records."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    SPEC.save("small.snn")
    np.save("x.npy", SPIKES)
    create_key("key", 10)
    return tmp_path


@pytest.fixture
def board(folder: Path) -> Iterator[TwinBoard]:
    with TwinBoard(DeviceModel(SPEC), folder / "port") as there:
        yield there


def call(arguments: str, code: int = 0) -> Result:
    return invoke(*arguments.split(), code=code)


def fails(arguments: str, code: int, sentence: str) -> None:
    result = call(arguments, code)
    assert result.stdout == ""
    assert sentence in " ".join(result.stderr.split())
    assert "Traceback" not in result.output


def check(name: str = "out.npz", key: str = "key") -> Any:
    """The file's spikes are the golden model's; its leases."""
    network = Network(SPEC, TriviumSource(bytes.fromhex(Path(key).read_text())))
    with np.load(name) as file:
        for index, (lease, place) in enumerate(zip(file["leases"], file["places"], strict=True)):
            wanted = network.run(SPIKES[index : index + 1], lease=int(lease), first_record=int(place)).released
            np.testing.assert_array_equal(file["released"][index : index + 1], wanted)
        assert str(file["fingerprint"]) == SPEC.fingerprint
        return file["leases"].tolist()


def test_a_run_from_nothing(board: TwinBoard) -> None:
    result = call(f"{RUN} --budget 1e4 -o out.npz --json")
    found = json.loads(result.stdout)
    assert (found["records"], found["steps"], found["leases"]) == (9, 4, 3)
    assert set(found["claim"]) == {"unit", "epsilon_delta", "randomness", "spent"}
    assert "3 leases, 1 to 3, of data set 'people'" in found["claim"]["spent"]
    assert check() == [1] * 4 + [2] * 4 + [3]
    key = Path("key")
    assert key.stat().st_mode & 0o077 == 0
    assert sorted(path.name for path in Path().iterdir() if path.name.startswith("out")) == ["out.npz"]
    with closing(sqlite3.connect("my.ledger")) as ledger:
        stored = "".join(row[0] for row in ledger.execute("SELECT content FROM entries"))
    for shown in (result.output, stored, str(dict(np.load("out.npz")))):
        assert key.read_text().strip() not in shown


def test_words(board: TwinBoard) -> None:
    result = call(f"{RUN} --budget 1e4 -o out.npz")
    text = " ".join(result.stdout.split())
    for part in (
        "9 records of 4 steps under 3 leases",
        "unit record",
        "epsilon, delta",
        "randomness trivium",
        "left of 1",
    ):
        assert part in text


@pytest.mark.parametrize("decision", [Decision(3, 20, 8), OneHotDecision(3, 200, 30, 8)], ids=lambda one: one.kind)
def test_a_run_of_decisions_is_what_aggregate_reads(folder: Path, decision: RandomisedDecision) -> None:
    """A decision a record, each charged once; the file carries its mechanism, as that of `simulate` does."""
    raw = LayerSpec(SPEC.layers[0].weights, 30)
    spec = NetworkSpec([raw], decision=decision, steps=4)
    spec.save("small.snn")
    with TwinBoard(DeviceModel(spec), folder / "port"):
        found = json.loads(call(f"{RUN} --budget 1e4 -o out.npz --json").stdout)
    assert (found["records"], found["steps"], found["leases"], found["releases"]) == (9, 4, 3, "decisions")
    assert found["claim"]["epsilon_delta"]["record_epsilon"] == decision.epsilon
    network = Network(spec, TriviumSource(bytes.fromhex(Path("key").read_text())))
    with np.load("out.npz") as file:
        for index, (lease, place) in enumerate(zip(file["leases"], file["places"], strict=True)):
            wanted = network.run(SPIKES[index : index + 1], lease=int(lease), first_record=int(place)).decisions
            np.testing.assert_array_equal(file["decisions"][index : index + 1], wanted)
    shares = json.loads(call("aggregate out.npz --json").stdout)
    assert shares["reports"] == 9


def test_a_second_run_pays_again_under_the_same_key(board: TwinBoard) -> None:
    for name in ("a", "b"):
        call(f"{RUN} --budget 1e4 -o {name}.npz")
    assert set(check("a.npz")) == {1, 2, 3}
    assert set(check("b.npz")) == {4, 5, 6}


def test_a_run_goes_on_from_what_it_kept(board: TwinBoard, folder: Path) -> None:
    with Ledger("my.ledger") as ledger:
        ledger.create_budget("people", "record", 150, "1e-3")
        ledger.create_budget("more", "record", 1e4, "1e-3")
    fails(f"{RUN} -o out.npz", 5, "nothing was charged; 4 of 9 records are kept in out.npz.partial")
    assert not Path("out.npz").exists()
    np.save("y.npy", ~SPIKES)
    sentence = "file out.npz.partial must be of the same data as this run: remove it, or name another output"
    fails(f"{RUN} -o out.npz".replace("x.npy", "y.npy"), 1, sentence)
    call(f"{RUN} -o out.npz".replace("-d people", "-d more"))
    assert check() == [1] * 4 + [2] * 4 + [3]
    assert not Path("out.npz.partial").exists()


HOLDER = "import sys; from spikeveil.host.cli import main; main(sys.argv[1:])"


def test_two_runs_with_one_output(board: TwinBoard, folder: Path) -> None:
    """The second is refused whatever it would do; the first one's lock dies with it."""
    hear, waits, go_on = board.endpoint.feed, threading.Event(), threading.Event()

    def slow(piece: bytes) -> bytes:
        waits.set()
        go_on.wait()
        return hear(piece)

    board.endpoint.feed = slow  # type: ignore[method-assign]
    command = [sys.executable, "-c", HOLDER, *f"{RUN} --budget 1e4 -o out.npz".split()]
    with started(command, stderr=subprocess.DEVNULL):
        waits.wait()  # for the first run's first byte
        sentence = "output out.npz is another run's, which has not ended: name another one"
        before = sorted(folder.iterdir())
        fails(f"{RUN} --budget 1e4 -o out.npz", 1, sentence)
        assert sorted(folder.iterdir()) == before
        assert {Path("out.npz.lock"), Path("out.npz.partial")} <= set(Path().iterdir())
    go_on.set()
    assert Path("out.npz.lock").exists()
    call(f"{RUN} --budget 1e4 -o out.npz")
    check()
    assert sorted(path.name for path in Path().iterdir() if path.name.startswith("out")) == ["out.npz"]


def test_the_key_of_another_ledger(board: TwinBoard) -> None:
    call(f"{RUN} --budget 1e4 -o out.npz")
    board.power_cycle()
    other = f"{RUN} --budget 1e4 -o more.npz".replace("my.ledger", "other.ledger")
    fails(other, 5, "the key serves another ledger")
    create_key("fresh", 10)
    call(other.replace("--key-file key", "--key-file fresh"))
    check("more.npz", "fresh")


def test_a_key_of_the_users_own(board: TwinBoard) -> None:
    Path("key").chmod(0o644)
    fails(f"{RUN} --budget 1e4 -o out.npz", 1, "must be for its owner alone, not of mode")
    for known in (b"spikeveil!".hex(), "00112233445566778899", "80" + 18 * "0", b"password12".hex()):
        Path("known").write_text(known + "\n")
        Path("known").chmod(0o600)
        fails(f"{KEYLESS} --key-file known --budget 1e4 -o out.npz", 1, "the key is published or a pattern")
    assert not Path("my.ledger").exists()
    Path("key").chmod(0o600)
    call(f"{RUN} --budget 1e4 -o out.npz")
    check()


def test_without_a_key_file_every_lease_has_a_key_that_is_kept_nowhere(board: TwinBoard, folder: Path) -> None:
    opened: list[bytes] = []
    receive = board.endpoint.device.receive
    board.endpoint.device.receive = lambda message: opened.append(bytes(message)) or receive(message)  # type: ignore[method-assign, func-returns-value]
    call(f"{KEYLESS} --budget 1e4 -o out.npz")
    keys = {message[2:12] for message in opened if message[0] == MessageKind.OPEN}
    assert len(keys) == 3
    for path in (path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        assert not any(key in content or key.hex().encode() in content or key[::-1] in content for key in keys)


def test_a_run_charges_its_records_and_says_which_is_the_worst(board: TwinBoard) -> None:
    """Nine distinct records: each pays once, whatever the leases; one of them again reaches the limit."""
    cost = RandomizedResponse(1, 2).epsilon_composed(24, 1e-6)
    call(f"{RUN} --budget {cost * 1.5} -o out.npz")
    with Ledger("my.ledger") as ledger:
        (balance,) = ledger.budgets("people")["people"]
        assert float(balance.epsilon_spent) == pytest.approx(cost)
    fails(f"{RUN} --skip 4 --records 2 -o more.npz", 5, "exceeded at record level by record 4: limit")
    np.save("other.npy", ~SPIKES)
    other = f"{RUN} -o more.npz".replace("x.npy", "other.npy")
    fails(other, 5, "data set 'people' is bound to other data")
    invoke("budget", *["extend", "my.ledger", "-d", "people", "--data", "other.npy", "--disjoint"])
    claim = json.loads(call(f"{other} --json").stdout)["claim"]
    assert "2 files joined as disjoint, which their owner states" in claim["spent"]


def test_a_run_on_a_budget_under_a_renyi_filter(board: TwinBoard) -> None:
    with Ledger("my.ledger") as ledger:
        ledger.create_budget("people", "record", 100, "1e-5", rule="renyi", data=ledger.identify(SPIKES, create=True))
    claim = json.loads(call(f"{RUN} -o out.npz --json").stdout)["claim"]
    sentence = (
        r"Rényi divergence \S+ charged to each record, the worst record has spent \S+ at record level, \S+ left of "
        r"\S+: epsilon 100, delta 1e-5 in all \(Rényi filter of order \S+, fixed beforehand\)"
    )
    assert re.search(sentence, claim["spent"])
    assert check() == [1] * 4 + [2] * 4 + [3]


def test_a_refused_run_leaves_nothing(board: TwinBoard, folder: Path) -> None:
    before = sorted(folder.iterdir())
    fails(f"{RUN} --budget 1e4 -o out.npz".replace("--port port", "--port /dev/nope"), 3, "there is no port")
    fails(f"{RUN} --budget 1e4 -o out.npz --delta 2", 2, "delta must be")
    fails(f"{RUN} --budget 1e4 -o out.npz --key-file none", 1, "could not be read")
    fails(f"{RUN} --budget 1e4 -o /dev/null", 2, "is there already")
    assert [path for path in sorted(folder.iterdir()) if path not in before] == []


def test_a_first_lease_that_is_refused_leaves_no_ledger(board: TwinBoard, folder: Path) -> None:
    before = sorted(folder.iterdir())
    fails(f"{RUN} --budget 1 -o out.npz", 5, "asked 26.")
    fails(f"{RUN} --budget 1e4 --budget-delta 1e-9 -o out.npz", 5, "delta budget of data set 'people' exceeded")
    with Ledger("other.ledger", state_directory=folder / "state" / "spikeveil") as other:
        other.create_budget("faces", "record", 1e4, "1e-3")
        session = Session(RandomizedResponse(1, 2), 2, 2, 1, Fraction(0))
        other.lease("faces", session, key=bytes.fromhex(Path("key").read_text()), specification="5a" * 32)
    fails(f"{RUN} --budget 1e4 -o out.npz", 5, "the key serves another ledger")
    left = {path.name for path in folder.iterdir() if path not in before}
    assert left == {"other.ledger", "state"}
    fails(f"{RUN} --budget 1 -o out.npz".replace("my.ledger", "other.ledger"), 5, "asked 26.")
    with Ledger("other.ledger") as other:
        assert [entry.kind for entry in other.history()] == ["genesis", "budget", "lease"]
    assert {path.name for path in folder.iterdir() if path not in before} == {"other.ledger", "state"}
    call(f"{RUN} --budget 1e4 -o out.npz".replace("my.ledger", "other.ledger"))
    with Ledger("other.ledger") as other:
        assert [entry.kind for entry in other.history()][2:] == ["lease", "budget", "lease", "lease", "lease"]
        assert not other.verify().above
    assert check() == [2] * 4 + [3] * 4 + [4]


RUNNER = [sys.executable, "-m", "spikeveil"]


@pytest.mark.parametrize("made", [True, False], ids=["a known ledger", "a new ledger"])
def test_two_runs_on_one_ledger(folder: Path, made: bool) -> None:
    """At once, from two devices: no lease twice, all records charged. Of two that make the ledger, one may fail."""
    if made:
        with Ledger("my.ledger") as ledger:
            data = ledger.identify(SPIKES, create=True)
            ledger.create_budget("people", "record", 1e4, "1e-3", data=data)
    with TwinBoard(DeviceModel(SPEC), folder / "one"), TwinBoard(DeviceModel(SPEC), folder / "two"):
        words = KEYLESS.replace("--lease-records 4", "--lease-records 2") + " --budget 1e4"
        runs = [
            subprocess.Popen(
                [*RUNNER, *words.replace("--port port", f"--port {name}").split(), "-o", f"{name}.npz"],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for name in ("one", "two")
        ]
        errors = [run.communicate()[1] for run in runs]
    codes, ended = [run.returncode for run in runs], list(zip([run.returncode for run in runs], errors, strict=True))
    if not made and 5 in codes:
        (error,) = (text for code, text in ended if code)
        assert "another program made ledger my.ledger meanwhile: nothing may be released" in " ".join(error.split())
    else:
        assert codes == [0, 0], ended
    written = [name for name, code in zip(("one", "two"), codes, strict=True) if code == 0]
    leases = [set(np.load(f"{name}.npz")["leases"].tolist()) for name in written]
    assert len(written) in ((2,) if made else (1, 2))
    assert sum(map(len, leases)) == len(set().union(*leases)) == 5 * len(written)
    with Ledger("my.ledger") as ledger:
        assert ledger.verify().leases == 5 * len(written)
        (balance,) = ledger.budgets("people")["people"]
        one = Session(RandomizedResponse(1, 2), 4, 6, 2, Fraction(1, 10**6)).cost(Unit.RECORD, 1).epsilon
        assert balance.spent == len(written) * one
    assert not [path for path in folder.iterdir() if path.name.endswith((".new", ".partial", ".lock"))]


def test_usage(board: TwinBoard) -> None:
    Path("out.npz").touch()
    fails(f"{RUN} --budget 1e4 -o out.npz", 2, "output out.npz is there already")
    fails(f"{RUN} --budget -1 -o a.npz", 2, "budget must be")
    fails(f"{RUN} --delta 2 -o a.npz", 2, "delta must be")
    fails(f"{RUN} --baud 0 -o a.npz", 2, "--baud")
    fails(f"{RUN} --budget 1e4 -o none/a.npz", 1, "none")
    assert not list(Path().glob("*.partial"))
    assert board.endpoint.device.status().lease == 0


def test_ledger_failures(board: TwinBoard) -> None:
    fails(f"{RUN} -o out.npz", 5, "there is no ledger at my.ledger")
    with Ledger("my.ledger", create=True) as ledger:
        fails(f"{RUN} -o out.npz", 5, "data set 'people' has no budget in ledger my.ledger")
        ledger.create_budget("people", "record", 1, "1e-3")
    fails(f"{RUN} -o out.npz", 5, "epsilon budget of data set 'people' exceeded at record level")
    fails(f"{RUN} --budget 2 -o out.npz", 5, "data set 'people' has another budget already")
    assert not list(Path().glob("*.partial"))
    assert board.endpoint.device.status().lease == 0


def test_line_failures(board: TwinBoard) -> None:
    fails(f"{RUN} --budget 1e4 -o out.npz".replace("--port port", "--port none"), 3, "there is no port none")
    with TwinBoard(DeviceModel(SPEC), Path("held")) as held:
        import serial

        with closing(serial.Serial(str(held.path), exclusive=True)):
            fails(f"{RUN} --budget 1e4 -o out.npz".replace("port port", "port held"), 3, "is held by another program")
    held.endpoint.feed = lambda piece: b""  # type: ignore[method-assign]
    with held:
        call_again = f"{RUN} --budget 1e4 -o out.npz --silence 0.5".replace("port port", "port held")
        fails(call_again, 3, "port held sent nothing for 0.5 s")


def test_a_port_that_vanishes_for_good_and_comes_back_later(board: TwinBoard) -> None:
    taken = board.endpoint.feed
    pulled: list[threading.Thread] = []

    def until_it_is_pulled(piece: bytes) -> bytes:
        """The second lease is opened and nothing more is heard."""
        answer = taken(piece)
        if board.endpoint.device.status().lease < 2:
            return answer
        if not pulled:
            pulled.append(threading.Thread(target=board.unplug))
            pulled[0].start()
        return b""

    board.endpoint.feed = until_it_is_pulled  # type: ignore[method-assign]
    fails(f"{RUN} --budget 1e4 -o out.npz", 3, "vanished and did not come back within 0.5 s")
    board.endpoint.feed = taken  # type: ignore[method-assign]
    board.plug()
    call(f"{RUN} -o out.npz")
    check()


def test_other_devices(folder: Path) -> None:
    for spec, traits, sentence in (
        (OTHER, {}, "the device must have the network's fingerprint"),
        (SPEC, {"source": "lfsr"}, "protects nothing, because its flips come from an LFSR"),
        (SPEC, {"schedule": "fast"}, "it is on the fast schedule"),
    ):
        with TwinBoard(DeviceModel(spec, identity(ModelPlan(spec, **traits))), folder / "port"):  # type: ignore[arg-type]
            fails(f"{RUN} --budget 1e4 -o out.npz", 4, sentence)
    with TwinBoard(DeviceModel(SPEC), folder / "port") as board:
        values = {"lease": 9, "nonce": 1, "quota": 1, "record_steps": 1, "format": 0}
        board.endpoint.device.receive(pack(MessageKind.OPEN, 1, reverse_key(bytes(10)), **values))
        fails(f"{RUN} --budget 1e4 -o out.npz", 5, "the device has seen lease 9 and ledger my.ledger ends at lease 0")


def test_an_insecure_demonstration(folder: Path) -> None:
    with TwinBoard(DeviceModel(SPEC, identity(ModelPlan(SPEC, source="lfsr"))), folder / "port"):
        result = call(f"{KEYLESS} --budget 1e4 --insecure-demonstration -o out.npz --json")
    claim = json.loads(result.stdout)["claim"]
    assert claim["epsilon_delta"]["record_epsilon"] == "inf"
    assert "nominal: an insecure demonstration" in claim["spent"]
    assert not Path("my.ledger.key").exists()


def test_the_page_names_every_option_and_exit_code() -> None:
    page = (DOCS / "device.md").read_text()
    section = page[page.index("## `spikeveil run NETWORK`") : page.index("## `spikeveil devices")]
    options = set(re.findall(r"--[a-z][a-z-]+", call("run --help").stdout)) - {"--help", "--probe"}
    assert len(options) > 15
    assert [option for option in sorted(options) if f"`{option}" not in section] == []
    codes = {5, *(kind.exit_code for kind in DeviceError.__subclasses__())}
    assert codes == {3, 4, 5}
    assert all(f"\n| {code} | " in section for code in (0, 1, 2, *codes))


def test_devices_are_asked_only_when_told(board: TwinBoard) -> None:
    heard: list[bytes] = []
    answer = board.endpoint.feed
    board.endpoint.feed = lambda piece: heard.append(piece) or answer(piece)  # type: ignore[method-assign, func-returns-value]
    result = call("devices port --json")
    assert json.loads(result.stdout) == [{"port": "port", "description": ""}]
    assert heard == []
    result = call("devices port --probe --json")
    (found,) = json.loads(result.stdout)
    assert found["fingerprint"] == SPEC.fingerprint
    assert (found["inputs"], found["outputs"], found["source"], found["highest_lease"]) == (12, 6, "trivium", 0)
    text = "".join(call("devices port --probe").stdout.split())
    assert SPEC.fingerprint in text


def test_devices_that_do_not_answer(folder: Path) -> None:
    result = call("devices none --probe --json", 3)
    assert json.loads(result.stdout)[0]["error"] == "there is no port none"
    assert "no device answered at none" in result.stderr


def test_the_twin_as_a_program(folder: Path) -> None:
    command = [sys.executable, "-m", "spikeveil.host.device.twin_board", "small.snn", "port"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ) as there:
        assert there.stdout is not None and there.stdout.readline() == "port\n"
        call(f"{RUN} --budget 1e4 -o out.npz")
        there.terminate()
    assert there.returncode == 0
    assert not Path("port").is_symlink()
    check()
