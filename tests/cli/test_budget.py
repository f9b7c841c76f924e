"""`spikeveil budget`: the ledger from the command line, its words, its JSON and its exit codes."""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from support.commands import invoke

from spikeveil.host.device.keys import create_key
from spikeveil.host.privacy.ledger import Ledger, TrainingSession

HASH = "5a" * 32
SESSION = "-k 1 -w 2 -T 2 -N 2 --delta 0"
Run = Callable[..., Result]  # of the arguments, and the exit code if not 0


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `spikeveil budget ...` in an empty folder, with a state directory of its own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")

    def budget(arguments: str, code: int = 0) -> Result:
        return invoke("budget", *arguments.split(), code=code)

    return budget


@pytest.fixture
def budget(run: Run) -> Run:
    """The same with my.ledger, in which "digits" has a record budget of 10 and 1e-5."""
    run("create my.ledger -d digits --unit record --epsilon 10 --delta 1e-5")
    return run


def loaded(result: Result) -> Any:
    return json.loads(result.stdout)


def words(result: Result) -> str:
    return " ".join(result.stdout.replace("│", " ").split())


def test_create_and_show(budget: Run) -> None:
    text = words(budget("show my.ledger"))
    for part in (
        "digits record epsilon 10 0 10",
        "digits record delta 1e-5 0 1e-5",
        "record level: neighbours differ in the whole record of raw spikes",
        "Filter: pure sum of (epsilon, delta) over pre-declared sessions, in exact fractions",
    ):
        assert part in text
    shown = loaded(budget("show my.ledger --json"))
    assert shown["data_sets"]["digits"][0]["epsilon_remaining"] == "10"
    assert (shown["entries"], shown["last_lease"], shown["witness_error"]) == (2, 0, None)
    made = loaded(budget("create my.ledger -d faces --unit spike --epsilon 1/3 --delta 0 --json"))
    assert made["data_sets"]["faces"][0]["epsilon_limit"] == "0.333333333"


def test_a_refused_charge_says_what_remains_and_ends_with_1(budget: Run) -> None:
    budget(f"spend my.ledger -d digits --source os {SESSION}")
    refused = budget(f"spend my.ledger -d digits --source os {SESSION} --releases 2", 1)
    assert refused.stdout == ""
    assert refused.stderr == (
        "Error: epsilon budget of data set 'digits' exceeded at record level: limit 10, spent 4.39444916, "
        "remaining 5.60555084, asked 8.78889831; nothing was charged\n"
    )
    assert loaded(budget("show my.ledger --json"))["data_sets"]["digits"][0]["epsilon_spent"] == "4.39444916"


def test_a_dry_run_charges_nothing(budget: Run) -> None:
    text = words(budget(f"spend my.ledger -d digits --source os {SESSION} --dry-run"))
    assert "Nothing was charged; it would cost data set digits" in text
    assert "record 4 bits 4.39444916 10 0 1e-5 yes" in text
    dear = budget(f"lease my.ledger -d digits --specification {HASH} {SESSION} --releases 3 --dry-run", 1)
    assert "13.1833475" in dear.stdout
    assert dear.stderr == "Error: a budget cannot bear this charge; nothing was charged\n"
    asked = loaded(budget(f"spend my.ledger -d digits --source os {SESSION} --dry-run --json"))
    assert asked["budgets"][0]["epsilon_asked"] == "4.39444916"
    assert asked["budgets"][0]["allowed"] is True
    assert len(loaded(budget("history my.ledger --json"))) == 2


def test_a_lease_makes_its_key_and_keeps_it_to_its_owner(budget: Run) -> None:
    start = f"lease my.ledger -d digits --specification {HASH} {SESSION}"
    granted = loaded(budget(f"{start} --new-key device.key --device ulx3s --json"))
    assert (granted["lease"], granted["quota_steps"], granted["worth"]) == (1, 2, "private")
    assert granted["charges"] == [{"unit": "record", "composed_bits": 4, "epsilon": "4.39444916", "delta": "0"}]
    key = Path("device.key")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    digits = key.read_text().strip()
    assert len(bytes.fromhex(digits)) == 10
    for path in Path("..").rglob("*"):
        if path.is_file() and path.name != "device.key":
            assert digits.encode() not in path.read_bytes()
            assert bytes.fromhex(digits) not in path.read_bytes()
    assert digits not in json.dumps(granted)
    again = budget(f"{start} --key-file device.key")
    assert "Charged: lease 2" in words(again)
    assert "an adversary who neither has the secret 80-bit key" in words(again)
    assert "key file device.key could not be made" in budget(f"{start} --new-key device.key", 1).stderr
    assert "nothing was charged" in budget(f"{start} --releases 9 --new-key other.key", 1).stderr
    assert not Path("other.key").exists()


def test_a_key_of_another_ledger_is_refused(budget: Run) -> None:
    start = f"-d digits --specification {HASH} {SESSION}"
    budget(f"lease my.ledger {start} --new-key device.key")
    budget("create other.ledger -d digits --unit record --epsilon 10 --delta 0")
    refused = budget(f"lease other.ledger {start} --key-file device.key", 1)
    assert refused.stderr.startswith(
        "Error: the key serves another ledger, whose lease numbers are the same: make a fr"
    )


def test_an_lfsr_is_refused_unless_a_demonstration_is_meant(budget: Run) -> None:
    start = f"lease my.ledger -d digits --specification {HASH} {SESSION} --source lfsr --new-key seed.key"
    refused = budget(start, 1)
    assert "asked inf; nothing was charged" in refused.stderr
    text = words(budget(f"{start} --insecure-demonstration"))
    assert "no adversary who knows the LFSR's polynomial" in text
    assert "NOMINAL: an insecure demonstration was charged" in text
    assert "record (nominal)" in words(budget("show my.ledger"))
    assert "(nominal)" in words(budget("history my.ledger")).replace("(nominal )", "(nominal)")
    assert len(bytes.fromhex(Path("seed.key").read_text())) == 16


def test_a_stated_cost(budget: Run) -> None:
    start = "spend my.ledger -d digits --source os --delta 1e-6 --stated-epsilon 1.5 --stated-unit record"
    assert "DP-SGD,PLD (stated at record level)" in words(budget(f"{start} --stated-by DP-SGD,PLD"))
    wrong = budget(start, 2)
    assert "a stated cost needs --stated-epsilon, --stated-unit and --stated-by" in wrong.output


def test_history_shows_every_charge_in_order(budget: Run) -> None:
    budget(f"spend my.ledger -d digits --source os {SESSION} --device bench --versions 0.1")
    budget("create my.ledger -d [b]x --unit step --epsilon inf --delta 0")
    text = words(budget("history my.ledger"))
    assert text.index("genesis") < text.index("budget") < text.index("spend") < text.index("[b]x")
    assert "record level: 4 bits, epsilon 4.39444916, delta 0" in text
    entries = loaded(budget("history my.ledger --json"))
    assert [entry["kind"] for entry in entries] == ["genesis", "budget", "spend", "budget"]
    assert entries[2]["device"] == "bench"
    assert entries[2]["evidence"] == {"versions": "0.1"}
    assert [entry["sequence"] for entry in loaded(budget("history my.ledger --last 1 --json"))] == [4]
    assert [entry["sequence"] for entry in loaded(budget("history my.ledger -d digits --json"))] == [2, 3]


def test_a_budget_under_a_renyi_filter_is_shown_as_one(budget: Run) -> None:
    made = words(budget("create my.ledger -d faces --unit record --epsilon 8 --delta 1e-5 --filter renyi --order 4"))
    assert "faces, record level: Rényi filter of order 4, fixed beforehand. It adds up divergences" in made
    charged = loaded(budget(f"spend my.ledger -d faces --source os {SESSION} --json"))
    assert charged["charges"][0] | {"divergence": ""} == {
        "unit": "record",
        "composed_bits": 4,
        "divergence": "",
        "order": "4",
        "delta": "0",
    }
    (shown,) = loaded(budget("show my.ledger -d faces --json"))["data_sets"]["faces"]
    assert (shown["epsilon_spent"], shown["delta_spent"]) == ("8", "1e-5")
    spent, remaining, limit = (float(shown[f"divergence_{part}"]) for part in ("spent", "remaining", "limit"))
    assert spent == pytest.approx(float(charged["charges"][0]["divergence"]))
    assert spent + remaining == pytest.approx(limit)
    assert 0 < float(shown["epsilon_remaining"]) < 8
    assert "record level: 4 bits, divergence 4." in words(budget("history my.ledger -d faces --last 1"))
    dry = words(budget(f"spend my.ledger -d faces --source os {SESSION} --dry-run", 1))
    assert (
        "record level: Rényi filter of order 4, fixed beforehand; in the column of epsilon are its divergences" in dry
    )
    assert " 4.01148259 " in dry
    assert " NO " in dry
    assert "1 charges recomputed" in budget("verify my.ledger").stdout
    budget("create my.ledger -d x --unit record --epsilon 8 --delta 0 --filter renyi", 2)
    budget("create my.ledger -d x --unit record --epsilon 8 --delta 1e-5 --order 4", 2)


def test_pages_of_the_history(budget: Run) -> None:
    for _ in range(2):
        budget(f"spend my.ledger -d digits --source os {SESSION}")
    everything = loaded(budget("history my.ledger --json"))
    assert [entry["sequence"] for entry in everything] == [1, 2, 3, 4]
    assert loaded(budget("history my.ledger --last 2 --json")) == everything[2:]
    assert loaded(budget("history my.ledger --last 2 --before 3 --json")) == everything[:2]
    assert loaded(budget("history my.ledger -d digits --before 3 --json")) == everything[1:2]
    assert loaded(budget("history my.ledger --before 1 --json")) == []


def test_training_runs_in_the_history(budget: Run) -> None:
    budget("create my.ledger -d faces --unit record --epsilon 90 --delta 1e-3 --relation add/remove")
    with Ledger("my.ledger") as ledger:
        entry = ledger.spend("faces", TrainingSession(1.5, 10, 100, 9, Fraction(1, 10**5), "rdp"), source="os")
        block = ledger.begin_block(entry.sequence, entry.hash, 0, 4)
        ledger.begin_block(entry.sequence, entry.hash, 0, 2)
        ledger.finish_block(entry.sequence, block, "ab" * 32)
    shown = words(budget("history my.ledger"))
    assert "block training run of entry 4: steps 0 to 3 " in shown
    assert "training run of entry 4: steps 0 to 1, run again and charged again" in shown
    assert "checkpoint training run of entry 4: checkpoint abababababababab after block 5" in shown


def test_verify_since_the_last_verification(budget: Run) -> None:
    budget("verify my.ledger")
    budget(f"spend my.ledger -d digits --source os {SESSION}")
    result = budget("verify my.ledger --since-verified")
    assert "entries up to 2 were verified before on this machine and not read again\n1 charges recomp" in result.stdout
    assert loaded(budget("verify my.ledger --since-verified --json"))["resumed_at"] == 3
    budget("export my.ledger -o my.jsonl")
    assert "for a ledger: an export is read whole" in budget("verify my.jsonl --since-verified", 2).stderr


def test_verify_a_ledger_and_its_export(budget: Run) -> None:
    budget(f"spend my.ledger -d digits --source os {SESSION}")
    checked = loaded(budget("verify my.ledger --json"))
    assert (checked["entries"], checked["leases"], checked["witnessed"]) == (3, 0, True)
    head = f"{checked['entries']}:{checked['head']}"
    assert "my.ledger holds: 3 entries" in words(budget(f"verify my.ledger --head {head}"))
    budget("export my.ledger -o my.jsonl")
    assert budget("export my.ledger").stdout == Path("my.jsonl").read_text()
    assert loaded(budget(f"verify my.jsonl --head {head} --json"))["head"] == checked["head"]
    other = budget(f"verify my.ledger --head 3:{'0' * 64}", 1)
    assert "is not the one seen before" in other.stderr
    lines = Path("my.jsonl").read_text().splitlines(keepends=True)
    Path("my.jsonl").write_text("".join(lines[:-2]))
    cut = budget("verify my.jsonl", 1)
    assert cut.stderr == "Error: export my.jsonl is corrupt: it is cut off after entry 2\n"
    assert "--head must be NUMBER:HASH" in budget("verify my.ledger --head 3", 2).stderr
    nowhere = budget("export my.ledger -o none/my.jsonl", 1)
    assert nowhere.stderr == "Error: none/my.jsonl could not be written: No such file or directory\n"


def test_a_corrupt_ledger_ends_with_1_and_leaves_no_export(budget: Run) -> None:
    content = bytearray(Path("my.ledger").read_bytes())
    place = content.index(b'"epsilon_limit":"10/1"')
    content[place + 17] = ord("9")
    Path("my.ledger").write_bytes(content)
    for command in (
        "verify my.ledger",
        "export my.ledger -o my.jsonl",
        f"spend my.ledger -d digits --source os {SESSION}",
    ):
        broken = budget(command, 1)
        assert broken.stderr == (
            "Error: ledger my.ledger is corrupt: entry 2 or the one before it was changed: its hash does not fit\n"
        )
    assert sorted(path.name for path in Path().iterdir()) == ["my.ledger"]


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        ("show none.ledger", 1, "Error: there is no ledger at none.ledger"),
        ("spend none.ledger -d x --source os -k 1 -T 1 -N 1 --delta 0", 1, "Error: there is no ledger at none.ledger"),
        ("show my.ledger -d faces", 1, "Error: data set 'faces' has no budget in ledger my.ledger"),
        ("create my.ledger -d digits --unit record --epsilon 1 --delta 0", 1, "already has a budget at record level"),
        ("create my.ledger -d x --unit record --epsilon -1 --delta 0", 2, "budget epsilon must be 0 or more, not '-1'"),
        ("create my.ledger -d x --unit pixel --epsilon 1 --delta 0", 2, "'pixel' is not one of"),
        ("spend my.ledger -d digits --source os -k 1 --delta 0", 2, "a session needs -T/--steps and -N/--neurons"),
        ("spend my.ledger -d digits --source os -k 0 -T 1 -N 1 --delta 0", 2, "flip threshold must be 1 to 32768"),
        (
            f"lease my.ledger -d digits --specification {HASH} -k 9 -T 1 -N 1 --delta 0",
            2,
            "needs a key of 10 bytes, not none",
        ),
        (
            "lease my.ledger -d digits --specification x -k 9 -T 1 -N 1 --delta 0 --new-key k",
            2,
            "specification hash mu",
        ),
        (
            "lease my.ledger -d x --specification x -k 9 -T 1 -N 1 --delta 0 --new-key k --key-file my.ledger",
            2,
            "either",
        ),
        (
            "lease my.ledger -d x --specification x -k 9 -T 1 -N 1 --delta 0 --key-file my.ledger",
            1,
            "does not hold hexadecimal digits",
        ),
    ],
)
def test_exit_codes(budget: Run, arguments: str, code: int, sentence: str) -> None:
    result = budget(arguments, code)
    assert result.stdout == ""
    assert sentence in " ".join(result.stderr.split())
    assert not Path("k").exists()


@pytest.mark.parametrize(
    ("source", "mode", "key", "sentence"),
    [
        ("trivium", 0o644, "8f3a0b5c7d219e4466f0", "must be for its owner alone, not of mode 644"),
        ("trivium", 0o600, "8f3a0b5c7d219e4466", "the key must have 10 bytes for this device, not 9"),
        ("trivium", 0o600, "00112233445566778899", "the key is published or a pattern"),
        ("lfsr", 0o600, 2 * "8f3a0b5c7d219e4466f08f3a0b5c7d21", "the seeds must differ from one another and from zero"),
        ("lfsr", 0o600, "8f3a0b5c7d219e4466f08f3a0b5c7d21" + 32 * "0", "the seeds must differ from one another"),
    ],
)
def test_lease_refuses_the_keys_that_run_refuses(budget: Run, source: str, mode: int, key: str, sentence: str) -> None:
    Path("given.key").write_text(key)
    Path("given.key").chmod(mode)
    words = f"lease my.ledger -d digits --specification {HASH} -k 9 -T 1 -N 1 --delta 0 --key-file given.key"
    result = budget(f"{words} --source {source} --flippers {2 if source == 'lfsr' else 1}", 1)
    assert sentence in " ".join(result.stderr.split())
    assert key not in result.output
    assert "lease" not in [entry["kind"] for entry in loaded(budget("history my.ledger --json"))]


def test_exports_are_for_their_owner_alone(budget: Run) -> None:
    budget("export my.ledger -o my.jsonl")
    assert Path("my.jsonl").stat().st_mode & 0o777 == 0o600
    Path("my.jsonl").chmod(0o644)
    create_key("second.key", 32)
    budget("verify my.jsonl --countersign second.key")
    assert Path("my.jsonl").stat().st_mode & 0o777 == 0o644


def test_every_command_shows_an_example(run: Run) -> None:
    for command in ("create", "export", "extend", "history", "lease", "show", "spend", "verify"):
        assert "Example: spikeveil budget " + command in words(run(f"{command} --help"))


def test_two_processes_share_a_ledger(budget: Run) -> None:
    """Ten processes at once spend a tenth of the budget each; an eleventh is refused."""
    spend = "spend my.ledger -d digits --source os --delta 0 --stated-epsilon 1 --stated-unit record --stated-by label"
    program = [sys.executable, "-c", "from spikeveil.host.cli import main; main()", "budget", *spend.split()]
    started = [subprocess.Popen(program, env=os.environ, stdout=subprocess.DEVNULL) for _ in range(10)]
    assert [process.wait(timeout=600) for process in started] == [0] * 10
    last = subprocess.run(program, env=os.environ, capture_output=True, text=True, check=False)
    assert last.returncode == 1
    assert "remaining 0, asked 1; nothing was charged" in last.stderr
    assert "10 stated charges were not recomputed" in budget("verify my.ledger", 1).stderr
    assert loaded(budget("verify my.ledger --accept-stated --json"))["entries"] == 12


def test_refusals_leave_nothing(run: Run) -> None:
    for wrong in ("--epsilon=-1 --delta 0", "--epsilon 1 --delta 2", "--epsilon 1 --delta 0 --subjects who"):
        run(f"create new.ledger -d digits --unit record {wrong}", 2)
    run("create new.ledger -d digits --unit subject --epsilon 1 --delta 0", 2)
    run("create new.ledger -d digits --unit record --epsilon 1 --delta 0 --data none.npy", 1)
    assert list(Path().iterdir()) == []
    run("lease new.ledger -d x --specification x -k 9 -T 1 -N 1 --delta 0 --new-key k", 1)
    assert list(Path().iterdir()) == []


def test_history_fits_eighty_columns_and_keeps_everything(budget: Run) -> None:
    evidence = (
        f"--verilog {'ab' * 32} --versions yosys-0.70 --device /dev/serial/by-id/usb-1BitSquared_iCEBreaker_V1.0e"
    )
    budget(f"spend my.ledger -d digits --source os {SESSION} {evidence}")
    text = budget("history my.ledger").stdout
    assert max(map(len, text.splitlines())) <= 80
    flat = " ".join(text.split())
    for part in (
        "UTC spend data set digits",
        "usb-1BitSquared_iCEBreaker_V1.0e",
        "verilog abababababababab",
        "yosys-0.70",
    ):
        assert part in flat
    assert "randomised response 1/2^2 on 2 x 2 bits" in flat
    assert "record level: 4 bits, epsilon 4.39444916, delta 0" in flat
    assert loaded(budget("history my.ledger --json"))[-1]["charges"][0]["epsilon"].count("/") == 1
    assert "data set 'faces' has no budget" in budget("history my.ledger -d faces", 1).stderr


def test_a_budget_bound_to_data_says_what_it_means(run: Run) -> None:
    np.savez("x.npz", spikes=np.eye(4, 6, dtype=bool).reshape(4, 2, 3), who=np.array(["a", "a", "b", "c"]))
    start = "create my.ledger -d people --delta 1e-3 --data x.npz --subjects who"
    run(f"{start} --unit record --epsilon 100")
    run(f"{start} --unit subject --epsilon 100")
    for records in ("0:2 --releases 2", "3:4"):
        run(f"spend my.ledger -d people --source os {SESSION} --data x.npz --records {records}")
    text = words(run("show my.ledger"))
    for part in (
        "people: bound to one file of 4 records, 3 subjects by 'who'",
        "people, record level: the amount spent is that of record 0, the highest; 21 more releases like the last one",
        "people, subject level: the amount spent is that of subject 0, the highest; 20 more releases",
    ):
        assert part in text
    refused = run(f"spend my.ledger -d people --source os {SESSION} --records 0:1", 2)
    assert "--records needs the --data that it counts" in refused.stderr
