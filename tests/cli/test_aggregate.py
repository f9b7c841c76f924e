"""`spikeveil aggregate`: three kinds of file, refusals, and memory that does not grow with the reports."""

import io
import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from support.commands import invoke

from spikeveil.host.privacy import report_files
from spikeveil.host.privacy.frequency import estimate_shares
from spikeveil.pysim import Decision, OneHotDecision
from spikeveil.pysim.model.decision import RandomisedDecision, describe

#: runs the command and prints the largest resident set of its process, in KiB
PEAK = """
import resource, sys
from spikeveil.host.cli import main
try:
    main(["aggregate", sys.argv[1]])
except SystemExit as end:
    assert not end.code
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
KARY, ONE_HOT = Decision.for_epsilon(2.0, 4), OneHotDecision.oue(2.0, 4)


def decisions(decision: RandomisedDecision, count: int = 2000) -> Any:
    rng = np.random.default_rng(1)
    words = rng.integers(0, 1 << decision.bits, (count, decision.draws), np.uint64)
    return decision.release(rng.choice(4, count, p=[0.5, 0.3, 0.1, 0.1]), words)


def write(path: Path, decision: RandomisedDecision, rows: Any, mechanism: bool = True) -> Path:
    """A report file of the kind that the suffix names."""
    text, columns = json.dumps(describe(decision)), rows if rows.ndim == 2 else rows[:, None]
    if path.suffix == ".npz":
        np.savez(path, decisions=rows, **({"decision": np.array(text)} if mechanism else {}))
    elif path.suffix == ".csv":
        lines = [f"# decision: {text}"] * mechanism + [",".join(map(str, row)) for row in columns.astype(int).tolist()]
        path.write_text("\n".join(lines) + "\n")
    else:
        table = pa.table({f"class_{n}": column for n, column in enumerate(columns.T)})
        pyarrow.parquet.write_table(table.replace_schema_metadata({"decision": text} if mechanism else {}), path)
    return path


@pytest.mark.parametrize("decision", [KARY, ONE_HOT], ids=["kary", "one_hot"])
@pytest.mark.parametrize("suffix", [".npz", ".csv", ".parquet"])
def test_every_kind_of_file_gives_the_same_shares(tmp_path: Path, suffix: str, decision: RandomisedDecision) -> None:
    rows = decisions(decision)
    path = write(tmp_path / f"reports{suffix}", decision, rows)
    record = json.loads(invoke("aggregate", path, "--json").stdout)
    expected = estimate_shares(rows, decision)
    assert record["shares"] == expected.shares.tolist()
    assert record["low"] == expected.low.tolist()
    assert record["reports"] == 2000
    assert record["mechanisms"][0]["record_epsilon"] == decision.epsilon


def test_files_of_different_devices_are_combined(tmp_path: Path) -> None:
    first = write(tmp_path / "a.npz", KARY, decisions(KARY))
    second = write(tmp_path / "b.csv", ONE_HOT, decisions(ONE_HOT))
    record = json.loads(invoke("aggregate", first, first, second, "--json", "--simplex").stdout)
    assert [part["reports"] for part in record["mechanisms"]] == [4000, 2000]
    assert sum(record["on_simplex"]) == pytest.approx(1)


@pytest.mark.parametrize("suffix", [".npz", ".csv", ".parquet"])
def test_a_file_without_its_mechanism_is_refused(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"reports{suffix}", KARY, decisions(KARY), mechanism=False)
    assert "it names no mechanism, and decisions without one say nothing" in invoke("aggregate", path, code=1).stderr


def test_damaged_files_are_refused_in_one_sentence(tmp_path: Path) -> None:
    good = write(tmp_path / "good.npz", KARY, decisions(KARY)).read_bytes()
    for name, content in [("cut.npz", good[:-50]), ("text.npz", b"no archive"), ("bad.csv", b"# decision: {}\n1\n")]:
        (tmp_path / name).write_bytes(content)
        message = invoke("aggregate", tmp_path / name, code=1).stderr
        assert message.startswith(f"Error: report file {tmp_path / name} must hold decisions and their mechanism")
        assert message.count("\n") == 1
    out_of_range = write(tmp_path / "range.npz", KARY, np.array([0, 4]))
    assert "decisions must be 0 to 3, not 4" in invoke("aggregate", out_of_range, code=1).stderr


def crafted_npz(path: Path, decision: RandomisedDecision, shape: str, content: bytes, descr: str = "|u1") -> Path:
    """An archive whose array header says whatever `shape` says."""
    header = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    header += b" " * (63 - (10 + len(header)) % 64) + b"\n"
    mechanism = io.BytesIO()
    np.save(mechanism, np.array(json.dumps(describe(decision))))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("decision.npy", mechanism.getvalue())
        array = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + content
        archive.writestr("decisions.npy", array)
    return path


CRAFTED = [
    (KARY, "(-5,)", b"abc", "its decisions have shape (-5,) and type uint8, not (records,) and integers"),
    (KARY, "(2,)", bytes(4), "its decisions are more than the 2 records of their shape"),
    (KARY, "(5,)", bytes(4), "buffer is smaller than requested size"),
    (ONE_HOT, "(0, 9)", b"", "its decisions have shape (0, 9)"),
    (ONE_HOT, "(5, 10000000000000000000000)", bytes(9), "its decisions have shape (5, 1000"),
    (ONE_HOT, "(5, 200000000)", bytes(9), "its decisions have shape (5, 200000000)"),
]


@pytest.mark.parametrize(("decision", "shape", "content", "sentence"), CRAFTED, ids=[row[1] for row in CRAFTED])
def test_a_crafted_header_is_refused(tmp_path: Path, decision: Any, shape: str, content: bytes, sentence: str) -> None:
    path = crafted_npz(tmp_path / "a.npz", decision, shape, content)
    with pytest.raises(ValueError, match=re.escape(f"report file {path} must hold decisions and their mechanism")) as e:
        report_files.count(path)
    assert sentence in str(e.value)


def test_any_damaged_byte_is_refused_in_one_sentence_or_harmless(tmp_path: Path) -> None:
    whole = crafted_npz(tmp_path / "a.npz", KARY, "(3,)", bytes([0, 1, 3])).read_bytes()
    for position in range(len(whole)):
        (tmp_path / "b.npz").write_bytes(whole[:position] + bytes([whole[position] ^ 0x55]) + whole[position + 1 :])
        try:
            found = report_files.count(tmp_path / "b.npz")
        except ValueError as error:
            assert str(error).startswith(f"report file {tmp_path / 'b.npz'} must hold decisions")
        else:
            assert found.counts.tolist() == [1, 1, 0, 1]


MISREAD = [
    ("a.csv", KARY, "0,1,0,0\n", "its lines must have 1 columns, and one has another number"),
    ("a.csv", ONE_HOT, "0,1,0\n", "its lines must have 4 columns, and one has another number"),
    ("a.csv", KARY, "9" * 30 + "\n", "Python int too large"),
    ("a.parquet", KARY, {"id": [1, 2], "class": [0, 0]}, "its columns must be 'decision', or one in all, not"),
    ("a.parquet", ONE_HOT, {"a": [1, 0], "b": [0, 0]}, "its columns must be 'class_0' to 'class_3', or 4 in all, not"),
    ("a.parquet", ONE_HOT, {f"class_{n}": [0.4, 1.5] for n in range(4)}, "decisions must have an integer dtype"),
]


@pytest.mark.parametrize(("name", "decision", "content", "sentence"), MISREAD)
def test_columns_that_could_be_misread_are_refused(
    tmp_path: Path, name: str, decision: Any, content: Any, sentence: str
) -> None:
    text = json.dumps(describe(decision))
    if name.endswith(".csv"):
        (tmp_path / name).write_text(f"# decision: {text}\n{content}")
    else:
        pyarrow.parquet.write_table(pa.table(content).replace_schema_metadata({"decision": text}), tmp_path / name)
    assert sentence in invoke("aggregate", tmp_path / name, code=1).stderr


def test_parquet_columns_are_found_by_name(tmp_path: Path) -> None:
    """Tools that sort columns put class_10 before class_2."""
    decision, path = OneHotDecision.oue(2.0, 12), tmp_path / "a.parquet"
    names = sorted(f"class_{n}" for n in range(12))
    table = pa.table({"id": [7]} | {name: [name == "class_2"] for name in names})
    pyarrow.parquet.write_table(table.replace_schema_metadata({"decision": json.dumps(describe(decision))}), path)
    assert np.flatnonzero(report_files.count(path).counts).tolist() == [2]
    table = pa.table({"id": [3, 3], "decision": [1, 1]})
    pyarrow.parquet.write_table(table.replace_schema_metadata({"decision": json.dumps(describe(KARY))}), path)
    assert report_files.count(path).counts.tolist() == [0, 2, 0, 0]


@pytest.mark.parametrize("text", ["[" * 30_000, "3", '["a"]', '{"kind": "x"}', '{"kind": []}'])
def test_a_mechanism_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.csv").write_text(f"# decision: {text}\n1\n")
    assert invoke("aggregate", tmp_path / "a.csv", code=1).stderr.count("\n") == 1


def test_blank_lines_are_no_reports(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f"# decision: {json.dumps(describe(KARY))}\n\n\n")
    assert report_files.count(tmp_path / "a.csv").reports == 0


def test_a_plot_and_a_table(tmp_path: Path) -> None:
    path = write(tmp_path / "a.npz", KARY, decisions(KARY))
    shown = invoke("aggregate", path, "--plot", tmp_path / "shares.png").stdout
    assert "record epsilon 2, delta 0" in " ".join(shown.split())
    assert (tmp_path / "shares.png").read_bytes().startswith(b"\x89PNG")


def test_the_planner_names_the_records() -> None:
    record = json.loads(invoke("aggregate", "--half-width", "0.02", "--epsilon", "1", "--json").stdout)
    assert record["records"] == 79_577  # max(p (1-p), o (1-o)) / (p-o)^2 * (1.95996 / 0.02)^2, p = e / (e + 9)
    words = ["--half-width", "0.2091", "--epsilon", "1", "--share", "0.1", "--json"]
    assert json.loads(invoke("aggregate", *words).stdout)["records"] == 360
    invoke("aggregate", code=2)
    invoke("aggregate", "--half-width", "0.02", code=2)


def test_a_confusion_matrix_from_json(tmp_path: Path) -> None:
    path = write(tmp_path / "a.npz", KARY, decisions(KARY))
    (tmp_path / "confusion.json").write_text(json.dumps((np.eye(4, dtype=int) * 90 + 2).tolist()))
    record = json.loads(invoke("aggregate", path, "--correct", tmp_path / "confusion.json", "--json").stdout)
    assert "true classes" in record["estimand"]


def test_memory_does_not_grow_with_the_reports(tmp_path: Path, soak: bool) -> None:
    """2 * 10^7 reports, 10^8 with `--soak`: within 60 MiB of what 1,000 need."""
    count = 100_000_000 if soak else 20_000_000
    np.savez(tmp_path / "few.npz", decisions=np.zeros(1000, np.uint8), decision=np.array(json.dumps(describe(KARY))))
    many = tmp_path / "many.npz"
    np.savez_compressed(many, decisions=np.zeros(count, np.uint8), decision=np.array(json.dumps(describe(KARY))))
    peaks = []
    for name in ("few.npz", "many.npz"):
        command = [sys.executable, "-c", PEAK, str(tmp_path / name)]
        peaks.append(int(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1]))
    assert peaks[1] - peaks[0] < 60 * 1024


def test_what_simulate_writes_is_what_aggregate_reads(tmp_path: Path) -> None:
    path = tmp_path / "reports.npz"
    report_files.write_npz(path, decisions(ONE_HOT), ONE_HOT)
    assert report_files.count(path).reports == 2000
