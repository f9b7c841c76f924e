"""`spikeveil` on a network: info, simulate, verilog, waves; their words, JSON, files and exit codes."""

import errno
import json
import os
import re
import stat
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from support.commands import invoke
from support.paths import DOCS

from spikeveil.host.cli import COMMANDS
from spikeveil.host.cli.options import keys
from spikeveil.host.cosim import amaranth_engine
from spikeveil.pysim import FlipSpec, LayerSpec, Network, NetworkSpec, TriviumSource

SECRET = "00112233445566778899"
SPIKES = np.random.default_rng(7).random((5, 4, 3)) < 0.5


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in: a network with a flipper and one without, five records, a key."""
    monkeypatch.chdir(tmp_path)
    weights = np.random.default_rng(8).integers(-20, 40, (6, 3))
    NetworkSpec([LayerSpec(weights, 30, flip=FlipSpec(1, 2))]).save("small.snn")
    NetworkSpec([LayerSpec(weights, 30)]).save("open.snn")
    np.save("x.npy", SPIKES)
    np.savez("x.npz", spikes=SPIKES, other=np.zeros(2))
    Path("key").write_text(SECRET + "\n")
    Path("key").chmod(0o600)
    return tmp_path


def run(arguments: str, code: int = 0) -> Result:
    return invoke(*arguments.split(), code=code)


def loaded(arguments: str) -> Any:
    return json.loads(run(arguments + " --json").stdout)


def words(result: Result) -> str:
    return " ".join(result.stdout.split())


def released(key: str, lease: int = 1 << 39, first_record: int = 0) -> Any:
    model = Network(NetworkSpec.load("small.snn"), TriviumSource(bytes.fromhex(key)))
    return model.run(SPIKES, lease=lease, first_record=first_record).released


@pytest.mark.parametrize("command", sorted(set(COMMANDS) - {"budget"}))  # a group, whose commands have theirs
def test_every_command_explains_itself_with_an_example(command: str) -> None:
    text = words(run(f"{command} --help"))
    assert f"Example: spikeveil {command}" in text
    assert "--json" in text


def test_info(folder: Path) -> None:
    found = loaded("info small.snn --steps 4 --delta 0")
    assert found["fingerprint"] == NetworkSpec.load("small.snn").fingerprint
    assert found["private"] is True
    assert found["layers"][0] | {"neurons": 6, "inputs": 3, "flip": {"threshold": 1, "bits": 2}} == found["layers"][0]
    assert found["claim"]["epsilon_delta"]["record_epsilon"] == pytest.approx(24 * np.log(3))
    text = words(run("info small.snn"))
    for part in ("unit record: neighbours differ in", "epsilon, delta", "randomness trivium", "spent nothing"):
        assert part in text
    assert loaded("info open.snn")["claim"]["epsilon_delta"]["record_epsilon"] == "inf"


def test_simulate_in_the_model_from_a_key_file(folder: Path) -> None:
    found = loaded("simulate small.snn --data x.npy --key-file key --lease 549755813891 --first-record 9 -o out.npz")
    expected = released(SECRET, lease=549755813891, first_record=9)
    with np.load("out.npz") as file:
        np.testing.assert_array_equal(file["released"], expected)
        assert str(file["fingerprint"]) == NetworkSpec.load("small.snn").fingerprint
    assert (found["records"], found["steps"]) == (5, 4)
    assert found["released_spikes_per_record"] == expected.sum() / 5
    assert set(found["claim"]) == {"unit", "epsilon_delta", "randomness", "spent"}


def test_a_simulation_never_repeats_a_mask_of_a_device(folder: Path) -> None:
    """A lease of a ledger is refused; by default a lease is random, printed, and can be given back."""
    refused = "simulate small.snn --data x.npy --key-file key -o out.npz --lease "
    for lease in ("2", "0", str((1 << 39) - 1), str(1 << 40), "-1"):
        assert "lease of a simulation must be 2^39 to 2^40 - 1" in run(refused + lease, 1).stderr
    assert not Path("out.npz").exists()
    found = [loaded("simulate small.snn --data x.npy --key-file key -o a.npz") for _ in range(3)]
    leases = {one["lease"] for one in found}
    assert len(leases) == 3 and min(leases) >= 1 << 39
    again = loaded(f"simulate small.snn --data x.npy --key-file key --lease {found[-1]['lease']} -o b.npz")
    assert again["lease"] == found[-1]["lease"]
    with np.load("a.npz") as one, np.load("b.npz") as other:
        np.testing.assert_array_equal(one["released"], other["released"])
        np.testing.assert_array_equal(one["released"], released(SECRET, lease=again["lease"]))
    Path("key").chmod(0o644)
    assert "must be for its owner alone" in run("simulate small.snn --data x.npy --key-file key", 1).stderr


def test_part_of_the_data(folder: Path) -> None:
    assert loaded("simulate small.snn --data x.npz --skip 1 --records 2")["records"] == 2


def test_more_records_than_there_are_and_a_layout_in_doubt_are_said(folder: Path) -> None:
    more = run("simulate small.snn --data x.npy --skip 2 --records 9")
    assert more.stderr == "warning: the data have 3 records from record 2 on, not the 9 of --records\n"
    rates = np.random.default_rng(3).random((40, 1, 3))
    np.save("turned.npy", np.moveaxis(np.random.default_rng(4).random((40, 16, 3)) < rates, 0, 1))
    warned = run("simulate small.snn --data turned.npy")
    assert warned.stderr.startswith("warning: the data are read as 16 records of 40 steps; if steps come first")
    turned = run("simulate small.snn --data turned.npy --layout steps-first --json")
    assert (json.loads(turned.stdout)["records"], turned.stderr) == (40, "")


def test_labels_of_a_file_give_an_accuracy(folder: Path) -> None:
    """Where no spike reaches a threshold and flips are rare, class 0 wins every record."""
    NetworkSpec([LayerSpec(np.ones((4, 3), int), 1000, flip=FlipSpec(1, 16))]).save("silent.snn")
    np.savez("labelled.npz", x=SPIKES, labels=[0, 0, 0, 1, 3])
    report = loaded("simulate silent.snn --data labelled.npz --demonstration-key")
    assert report["accuracy"] == report["released_accuracy"] == 0.6
    np.savez("labelled.npz", x=SPIKES, labels=[0, 0, 0, 1, 9])  # four outputs cannot be ten classes
    assert loaded("simulate silent.snn --data labelled.npz --demonstration-key")["released_accuracy"] is None


def test_fresh_keys_differ_and_no_key_is_shown(folder: Path) -> None:
    for name in ("a", "b"):
        run(f"simulate small.snn --data x.npy -o {name}.npz")
    with np.load("a.npz") as one, np.load("b.npz") as other:
        assert (one["released"] != other["released"]).any()
    shown = run("simulate small.snn --data x.npy --key-file key").output
    assert SECRET not in shown
    assert SECRET not in repr(keys.from_file("key", "trivium", 1))
    assert SECRET not in repr(keys.from_file("key", "trivium", 1).lease())


def test_the_demonstration_key_is_claimed_for_nothing(folder: Path) -> None:
    found = loaded("simulate small.snn --data x.npy --demonstration-key -o out.npz")["claim"]
    assert found["epsilon_delta"]["infinite_because"] == ["the key is published"]
    with np.load("out.npz") as file:
        np.testing.assert_array_equal(file["released"], released(b"spikeveil!".hex()))


def test_the_lfsr_is_labelled(folder: Path) -> None:
    text = words(run("simulate small.snn --data x.npy --source lfsr"))
    assert "INFINITE: an LFSR is linear" in text
    assert "Nominal, no guarantee" in text


def test_seeds_from_a_file_are_the_low_bits_of_sixteen_bytes(folder: Path) -> None:
    Path("seed").write_text("80" + "00" * 14 + "05")
    Path("seed").chmod(0o600)
    assert keys.from_file("seed", "lfsr", 1).seeds == (5,)


def test_simulate_in_amaranth_compares(folder: Path) -> None:
    found = loaded("simulate small.snn --data x.npy --engine amaranth --lanes 4 --records 2")
    assert (found["bits_compared"], found["different"]) == (2 * 4 * 6, 0)


def test_a_difference_ends_with_1(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gateware of another network, whose neurons always fire, is caught."""
    from spikeveil.host.cosim import amaranth_engine

    wrong = NetworkSpec([LayerSpec(np.zeros((6, 3), int), 1, bias=[1] * 6, flip=FlipSpec(1, 2))])
    run_honestly = amaranth_engine.run

    def tampered(plan: Any, spikes: Any, lease: Any, **more: Any) -> Any:
        return run_honestly(type(plan)(wrong, plan.lanes, plan.source, plan.schedule), spikes, lease, **more)

    monkeypatch.setattr(amaranth_engine, "run", tampered)
    result = run("simulate small.snn --data x.npy --engine amaranth --records 2 --key-file key", 1)
    raw = Network(NetworkSpec.load("small.snn"), TriviumSource(bytes.fromhex(SECRET))).run(SPIKES[:2], lease=0).raw[0]
    record, step, neuron = np.argwhere(~raw)[0]
    assert f"record {record}, step {step}, neuron {neuron}: the model has" in result.stderr
    assert f"({(~raw).sum()} different in all)" in result.stderr


def test_verilog(folder: Path) -> None:
    """The guarded core is the default; the bare network comes only when asked for, with a warning in its header."""
    found = loaded("verilog small.snn -o small.v --lanes 4 --top guarded")
    text = Path("small.v").read_text()
    assert "module guarded(" in text and "module \\guarded.guard" in text
    ports = {port["name"]: (port["direction"], port["bits"]) for port in found["ports"]}
    assert found["guarded"] is True and not {"key", "lease_number", "record", "raw"} & set(ports)
    assert "WARNING" not in text
    found = loaded("verilog small.snn -o bare.v --lanes 4 --top bare --unguarded")
    text = Path("bare.v").read_text()
    assert text.startswith("// WARNING: UNGUARDED.") and found["guarded"] is False
    ports = {port["name"]: (port["direction"], port["bits"]) for port in found["ports"]}
    assert ports["key"] == ("in", 80)
    declared = set(re.findall(r"^  (?:input|output) (?:\[\d+:0\] )?(\w+);", text.split("module bare(")[1], re.M))
    assert set(ports) | {"clk", "rst"} <= declared


def test_an_interrupted_waveform_leaves_the_old_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*arguments: Any, vcd: str, **options: Any) -> None:
        Path(vcd).write_text("half a wavefo")
        raise OSError(errno.ENOSPC, "No space left on device", vcd)

    monkeypatch.setattr(amaranth_engine, "run", run)
    (folder / "old.vcd").write_text("old")
    shown = invoke("waves", "small.snn", "--data", "x.npy", "-o", "old.vcd", "--engine", "amaranth", code=1)
    assert "No space left on device" in shown.stderr
    assert (folder / "old.vcd").read_text() == "old"
    assert [path.name for path in folder.iterdir() if "vcd" in path.name] == ["old.vcd"]


def test_waves_show_the_demonstration_key_alone(folder: Path) -> None:
    found = loaded("waves small.snn --data x.npy -o small.vcd --engine amaranth --lanes 4")
    assert found["records"] == 1
    assert "demonstration key" in found["key"]
    assert Path("small.vcd").read_text().startswith("$")
    for option in ("--key-file key", "--demonstration-key"):
        assert "No such option" in run(f"waves small.snn --data x.npy -o small.vcd {option}", 2).stderr
    refused = run("simulate small.snn --data x.npy --waves --key-file key", 2)
    assert "a waveform would show the key: `spikeveil waves` writes one, with the demonstration key" in refused.stderr


UNSAFE = (
    "network must release a decision or flip at least one of its 1 layers: the input would reach the output unflipped "
    "(epsilon infinite); `spikeveil privatise` makes it private"
)


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        ("info none.snn", 1, "none.snn: No such file or directory"),
        ("info x.npz", 1, "network file x.npz must be a whole spikeveil network"),
        ("info small.snn --delta 2", 2, "delta must be at least 0 and under 1, not '2'"),
        ("verilog open.snn -o o.v", 1, UNSAFE),
        ("verilog small.snn -o none/o.v", 1, "No such file or directory"),
        ("verilog small.snn -o o.v --lanes 99", 1, "lanes must be 1 to 64, not 99"),
        ("simulate open.snn --data x.npy", 1, UNSAFE),
        ("waves open.snn --data x.npy -o o.vcd", 1, UNSAFE),
        ("simulate small.snn --data none.npy", 1, "none.npy: No such file or directory"),
        ("simulate small.snn --data key", 1, "data file key must be a .npy or .npz file of plain numbers: it is text"),
        (
            "simulate small.snn --data digits",
            1,
            "data digits must have shape (records, steps, 3), the network's inputs, not (360, 16, 64)",
        ),
        ("simulate small.snn --data x.npy --skip 5", 1, "skip must be under the 5 records of the data, not 5"),
        (
            "simulate small.snn --data x.npy --key-file x.npy",
            1,
            "key file x.npy must be for its owner alone, not of",
        ),
        (
            "simulate small.snn --data x.npy --source lfsr --key-file key",
            1,
            "key file key must hold 16 bytes in hexadecimal for lfsr, not 10",
        ),
        ("simulate small.snn --data x.npy --key-file key --demonstration-key", 2, "give either --key-file or"),
        ("simulate small.snn", 2, "Missing option '--data'"),
        ("simulate small.snn --data x.npy --engine iverilog", 2, "'iverilog' is not one of"),
    ],
)
def test_refusals_are_one_sentence(folder: Path, arguments: str, code: int, sentence: str) -> None:
    result = run(arguments, code)
    assert result.stdout == ""
    assert sentence in result.stderr
    assert "Traceback" not in result.stderr
    if code == 1:
        assert result.stderr.startswith("Error: ")
        assert result.stderr.count("\n") == 1


def test_unsafe_builds_it(folder: Path) -> None:
    assert loaded("simulate open.snn --data x.npy --unsafe")["claim"]["epsilon_delta"]["record_epsilon"] == "inf"
    assert "key" not in [port["name"] for port in loaded("verilog open.snn -o o.v --unsafe --unguarded")["ports"]]


def test_a_missing_package_is_named_with_its_extra(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    result = run("simulate digits --data digits", 1)
    assert result.stderr == "Error: the digits images need scikit-learn: pip install '.[data]' in the checkout\n"


def test_a_missing_compiler_is_one_sentence(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(folder))
    for command in ("demo", "simulate small.snn --data x.npy --engine verilator", "waves small.snn --data x.npy -o v"):
        assert run(command, 1).stderr == (
            "Error: Verilator needs g++, make, perl: on Debian or Ubuntu, run 'sudo apt-get install g++ make perl'\n"
        )


def test_a_fault_of_ours_keeps_its_traceback(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from spikeveil.host.networks import catalogue

    monkeypatch.setattr(catalogue, "load", lambda name: 1 / 0)
    with pytest.raises(AssertionError, match="ZeroDivisionError: division by zero"):
        run("info small.snn", 1)


@pytest.mark.parametrize("command", ["demo", "info", "simulate", "verilog", "waves"])
def test_the_manual_names_every_option(command: str) -> None:
    manual = (DOCS / "cli.md").read_text()
    options = set(re.findall(r"--[a-z-]+", run(f"{command} --help").stdout))
    assert {option for option in options if option not in manual} == set()


def test_an_output_replaces_regular_files_alone(folder: Path) -> None:
    """A device node named by -o stays one."""
    os.mkfifo("pipe")
    failed = run("simulate small.snn --data x.npy -o pipe", 1)
    assert "pipe: not a regular file, so it was left as it is" in failed.stderr
    assert stat.S_ISFIFO(Path("pipe").stat().st_mode)
    assert sorted(path.name for path in folder.iterdir() if path.name.startswith(".")) == []


def test_the_record_stands_first_wherever_one_number_is_shown(folder: Path) -> None:
    text = run("info small.snn --steps 4 --delta 0").stdout
    table = text[text.rindex("neighbours differ in") :]
    assert table.index("record") < table.index("spike ")
    plan = words(run("plan --epsilon 8 --unit record --delta 1e-6 -T 4 -N 2 --releases-per-day 2"))
    assert plan.index("epsilon of a record") < plan.index("epsilon of ONE spike")
