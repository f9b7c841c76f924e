"""Data files: the names and shapes that every command takes, layouts, and the sentence for any other file."""

import gzip
import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from spikeveil.host.data import binary_spikes, load_data
from spikeveil.host.data.spike_files import layout_warning

RNG = np.random.default_rng(15)
SPIKES = RNG.random((6, 4, 3)) < 0.4


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float16, np.float32, ">f8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_zeros_and_ones_of_any_type_are_spikes(tmp_path: Path, dtype: Any, order: Any) -> None:
    np.save(tmp_path / "x.npy", np.asarray(SPIKES, dtype, order=order))
    np.testing.assert_array_equal(load_data(tmp_path / "x.npy").spikes(3), SPIKES)


@pytest.mark.parametrize("name", ["x", "spikes", "data"])
def test_the_input_is_x_or_spikes_or_the_only_array(tmp_path: Path, name: str) -> None:
    np.savez(tmp_path / "d.npz", **{name: SPIKES})
    loaded = load_data(tmp_path / "d.npz")
    np.testing.assert_array_equal(loaded.spikes(3), SPIKES)
    assert (loaded.layout, loaded.labels, loaded.output_spikes) == ("records-first", None, None)


def test_labels_classes_recorded_output_and_other_columns(tmp_path: Path) -> None:
    output, labels = RNG.random((6, 4, 5)) < 0.5, np.array([0, 1, 2, 0, 1, 2], np.uint8)
    np.savez(tmp_path / "d.npz", x=SPIKES, output_spikes=output, labels=labels, classes=5, who=np.arange(6))
    loaded = load_data(tmp_path / "d.npz")
    assert loaded.labels is not None and loaded.labels.dtype == np.int64 and loaded.classes == 5
    np.testing.assert_array_equal(loaded.labels, labels)
    np.testing.assert_array_equal(loaded.output_spikes, output)
    np.testing.assert_array_equal(loaded.columns["who"], np.arange(6))


def test_a_recording_of_before_version_0_3_has_its_steps_first_and_its_output_in_spikes(tmp_path: Path) -> None:
    output = RNG.random((4, 6, 5)) < 0.5
    np.savez(tmp_path / "d.npz", x=np.moveaxis(SPIKES, 0, 1), spikes=output)
    loaded = load_data(tmp_path / "d.npz")
    np.testing.assert_array_equal(loaded.spikes(3), SPIKES)
    np.testing.assert_array_equal(loaded.output_spikes, np.moveaxis(output, 0, 1))


def test_a_layout_moves_steps_to_the_second_axis_and_images_are_flattened(tmp_path: Path) -> None:
    images = RNG.random((4, 6, 1, 2, 2)) < 0.5
    np.save(tmp_path / "x.npy", images)
    spikes = load_data(tmp_path / "x.npy", "steps-first").spikes(4)
    np.testing.assert_array_equal(spikes, np.moveaxis(images, 0, 1).reshape(6, 4, 4))


def steps_first(records: int, steps: int) -> Any:
    """Records of constant rates, as an array (steps, records, inputs)."""
    rates = RNG.random((records, 1, 8))
    return np.moveaxis(RNG.random((records, steps, 8)) < rates, 0, 1)


@pytest.mark.parametrize(
    ("array", "steps", "warned"),
    [
        (steps_first(40, 16), None, True),
        (steps_first(4, 16), None, True),
        (np.moveaxis(steps_first(40, 16), 0, 1), None, False),
        (np.moveaxis(steps_first(4, 160), 0, 1), None, False),
        (RNG.random((16, 4, 8)) < 0.2, None, False),  # nothing tells the axes apart
        (RNG.random((16, 4, 8)) < 0.2, 16, True),  # but the network's records have 16 steps
        (RNG.random((4, 16, 8)) < 0.2, 16, False),
        (steps_first(16, 16), 16, False),
        (np.zeros((3, 4, 2)), None, False),
        (np.ones((1, 4, 2)), None, False),
    ],
)
def test_an_array_that_looks_steps_first_draws_a_warning(array: Any, steps: int | None, warned: bool) -> None:
    warning = layout_warning(array, steps)
    assert (warning is not None) == warned
    if warning:
        assert warning.startswith(f"the data are read as {array.shape[0]} records of {array.shape[1]} steps; ")


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"a": np.ones(3), "b": np.ones(4)}, "must hold an array 'x' or 'spikes', not a, b"),
        ({}, "must hold an array 'x' or 'spikes', not nothing"),
        (
            {"times": np.ones(9), "units": np.ones(9)},
            "must hold an array 'x' or 'spikes', not times, units: event lists are binned into such an array first",
        ),
        (
            {"x": np.ones((2, 3))},
            "x must have shape (records, steps, inputs), not (2, 3): intensities are encoded over steps first "
            "(docs/data.md), and one record gets its axis by `x[None]`",
        ),
        ({"x": np.ones((0, 3, 4))}, "x has no records: its shape is (0, 3, 4)"),
        ({"x": np.ones((2, 0, 4))}, "x has no steps: its shape is (2, 0, 4)"),
        ({"x": np.full((2, 3, 4), "1")}, "x must be numbers, not of type <U1"),
        (
            {"x": np.ones((2, 3, 4)), "output_spikes": np.ones((3, 2, 4))},
            "output spikes must have as many records and steps as x, not shape (3, 2, 4)",
        ),
        (
            {"x": np.ones((2, 3, 4)), "labels": np.zeros(3, int)},
            "labels must be 2, one a record, not 3; they are as many as its steps, so --layout is the other one",
        ),
        (
            {"x": np.ones((2, 3, 4)), "labels": np.array([0.5, 1])},
            "labels must be integers of 0 or more, (records,), not float64 (2,)",
        ),
        ({"x": np.ones((2, 3, 4)), "labels": np.array([0, 7]), "classes": 5}, "classes must be 8 to 65536, not 5"),
    ],
)
def test_arrays_that_are_no_records_are_refused(tmp_path: Path, arrays: dict[str, Any], sentence: str) -> None:
    np.savez(tmp_path / "d.npz", **arrays)
    with pytest.raises(ValueError) as refusal:
        load_data(tmp_path / "d.npz")
    assert str(refusal.value) == f"data file {tmp_path / 'd.npz'} {sentence}"


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ([0, 2, 1], "must be 0 and 1, not 2: counts of events become spikes by `x > 0`, intensities by an encoder"),
        ([0, -1, 1], "must be 0 and 1, not -1: signed events need an input for each sign"),
        ([0, 0.25, 1], "must be 0 and 1, not 0.25: real numbers are encoded as spikes first"),
        ([0, np.nan, 1], "must be 0 and 1, not nan: numbers that are not finite"),
    ],
)
def test_other_numbers_are_refused_with_what_makes_them_spikes(values: list[float], sentence: str) -> None:
    with pytest.raises(ValueError) as refusal:
        binary_spikes(np.array([[values]]), 3)
    assert str(refusal.value).startswith(f"data {sentence}")


def test_another_number_of_inputs_is_refused() -> None:
    with pytest.raises(ValueError) as refusal:
        binary_spikes(SPIKES, 5)
    assert str(refusal.value) == "data must have shape (records, steps, 5), the network's inputs, not (6, 4, 3)"


class Code:
    """A pickle of it would create a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def archive(*names: str) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        for name in names:
            file.writestr(name, b"{}")
    return content.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.npz", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a Git LFS pointer: fetch the file"),
        ("a.h5", b"\x89HDF\r\n\x1a\n" + bytes(99), "an HDF5 file, such as those of SHD and NIR"),
        ("a.aedat", b"#!AER-DAT3.1\r\n" + bytes(40), "an AEDAT recording"),
        ("a.bin", bytes(range(128, 228)), "perhaps an event recording as N-MNIST's (5 bytes an event)"),
        ("a.csv", b"1,0,0\n0,1,0\n", "a CSV table, which has two dimensions: `numpy.loadtxt` reads it"),
        ("a.pt", archive("m/data.pkl", "m/data/0"), "a PyTorch file"),
        ("a.snn", archive("header.json", "0.weights.npy"), "a network file of spikeveil"),
        ("a.zip", archive("readme.txt"), "a ZIP archive: unpack it first"),
        ("a.safetensors", (60).to_bytes(8, "little") + b'{"w": {}}', "a safetensors file"),
        ("a.gz", gzip.compress(b"x", mtime=0), "a gzip file: unpack it first"),
        ("a.json", b'{"x": [1]}', "JSON or TOML text"),
        ("a.npy", b"", "an empty file"),
    ],
)
def test_a_file_of_another_kind_is_named(tmp_path: Path, name: str, content: bytes, kind: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError) as refusal:
        load_data(tmp_path / name)
    assert f"must be a .npy or .npz file of plain numbers: it is {kind}" in str(refusal.value)
    assert "unsafe" not in str(refusal.value) and "allow_pickle" not in str(refusal.value)


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    made = tmp_path / "made"
    (tmp_path / "a.pkl").write_bytes(pickle.dumps(Code(made)))
    np.save(tmp_path / "a.npy", np.array([Code(made)], object), allow_pickle=True)
    np.savez(tmp_path / "a.npz", allow_pickle=True, x=np.array([Code(made)], object))
    kinds = []
    for name in ("a.pkl", "a.npy", "a.npz"):
        with pytest.raises(ValueError) as refusal:
            load_data(tmp_path / name)
        kinds.append(str(refusal.value).partition("it is ")[2])
    assert not made.exists()
    assert kinds[0].startswith("a pickle, which can run code") and kinds[1].startswith("an array of Python objects")
    assert kinds[2].startswith("an archive with 'x', an array of Python objects")
