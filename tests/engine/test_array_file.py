"""The guarded reader of array files: what NumPy writes is read, and what declares another size is refused."""

import io
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from spikeveil.pysim.model.array_file import ArrayFile, SizeError, raised_limit, read_arrays

ARRAYS = {
    "bits": np.arange(24).reshape(2, 3, 4) % 2 == 0,
    "fortran": np.asfortranarray(np.arange(12.0).reshape(3, 4)),
    "big_endian": np.arange(5, dtype=">i4"),
    "text": np.array("fingerprint"),
    "empty": np.zeros((0, 7), np.uint8),
    "scalar": np.array(3),
}


def npy(array: Any) -> bytes:
    content = io.BytesIO()
    np.save(content, array)
    return content.getvalue()


def archive(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return path


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_reads_what_numpy_writes(tmp_path: Path, save: Any) -> None:
    save(tmp_path / "x.npz", **ARRAYS)
    found = read_arrays(tmp_path / "x.npz", "file")
    assert list(found) == list(ARRAYS)
    for name, array in ARRAYS.items():
        assert found[name].dtype == array.dtype
        assert_array_equal(found[name], array)


def test_a_npy_file_holds_one_array(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", ARRAYS["bits"])
    with ArrayFile(tmp_path / "x.npy", "file") as file:
        assert file.names == ("array",) and file.header("array").shape == (2, 3, 4)
        assert_array_equal(file.array("array"), ARRAYS["bits"])


@pytest.mark.parametrize("first", [0, 3, 10, 12])
@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_blocks_are_the_array(tmp_path: Path, suffix: str, first: int) -> None:
    array = np.arange(10 * 3).reshape(10, 3)
    path = tmp_path / f"x.{suffix}"
    np.save(path, array) if suffix == "npy" else np.savez_compressed(path, array=array)
    with ArrayFile(path, "file") as file:
        blocks = list(file.blocks("array", 4, first))
    assert [len(block) for block in blocks] == {0: [4, 4, 2], 3: [4, 3]}.get(first, [])
    if blocks:
        assert_array_equal(np.concatenate(blocks), array[first:])


def test_a_declared_size_over_the_limit_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, spikes=np.zeros((1 << 14, 1 << 15), np.uint8))  # 512 MiB in 512 kB
    tracemalloc.start()
    with pytest.raises(SizeError) as refusal, ArrayFile(path, "data file bomb.npz") as file:
        file.array("spikes")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert str(refusal.value) == (
        "data file bomb.npz with what it declares must be at most 268,435,456 bytes, not 536,870,912 "
        "(`spikeveil --max-bytes N COMMAND` raises the limit)"
    )
    assert peak < 1 << 24
    with raised_limit(1 << 29), ArrayFile(path, "data file bomb.npz") as file:
        assert file.array("spikes").shape == (1 << 14, 1 << 15)


def test_arrays_count_together(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", a=np.zeros(60, np.uint8), b=np.zeros(60, np.uint8))
    with pytest.raises(SizeError, match="at most 100 bytes, not 120"):
        read_arrays(tmp_path / "x.npz", "file", max_bytes=100)


def header(shape: str, descr: str = "'|u1'") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (63 - (10 + len(text)) % 64) + b"\n"
    return b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (header("(1000000000000,)"), "declares 1,000,000,000,000 bytes and has 0"),
        (header("(3,)") + b"12", "declares 3 bytes and has 2"),
        (header("(1,)") + b"12", "declares 1 bytes and has 2"),
        (header("(-1,)"), "declares the shape"),
        (header("(True,)") + b"1", "declares the shape"),
        (header("(1,)", "'|O'") + b"12345678", "not of plain numbers or text"),
        (header("(1,)", "[('a', '|u1')]") + b"1", "not of plain numbers or text"),
        (header("(1,)", "'nonsense'") + b"1", "descr is not a valid dtype descriptor"),
        (header("(1,"), "EOF in multi-line statement"),
        (b"\x93NUMPY\1\0\xff\xff{", "EOF"),
        (b"\x93NUMPY\7\0" + b"\0" * 8, "version (7, 0)"),
        (b"hello", "magic string"),
        (b"", "EOF"),
    ],
)
def test_a_damaged_array_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "x.npy").write_bytes(content)
    archive(tmp_path / "x.npz", x=content)
    for path, name in ((tmp_path / "x.npy", "array"), (tmp_path / "x.npz", "x")):
        with pytest.raises(ValueError) as refusal, ArrayFile(path, "data file F") as file:
            file.array(name)
        assert str(refusal.value).startswith("data file F must be a .npy or .npz file of plain numbers: ")
        assert reason in str(refusal.value)


def test_every_truncation_and_every_flipped_byte_is_refused_or_changes_nothing(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "x.npz", spikes=np.arange(60).reshape(3, 4, 5) % 2 == 0)
    whole = (tmp_path / "x.npz").read_bytes()
    mutants = [whole[:size] for size in range(len(whole))]
    mutants += [whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1 :] for at in range(len(whole)) for bit in (1, 128)]
    for mutant in mutants:
        try:
            with ArrayFile(mutant, "data file F") as file:
                assert_array_equal(file.array("spikes"), np.arange(60).reshape(3, 4, 5) % 2 == 0)
        except ValueError as refusal:
            assert str(refusal).startswith("data file F must be ")


def test_a_large_directory_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as file:
        for number in range(20_000):
            file.writestr(f"{number}.npy", b"")
    with pytest.raises(ValueError, match="its directory must have at most"):
        ArrayFile(tmp_path / "x.npz", "file")


def test_an_absent_array_is_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", a=np.zeros(1))
    with pytest.raises(ValueError, match="it holds no array 'spikes', only a"), ArrayFile(tmp_path / "x.npz", "f") as f:
        f.array("spikes")
