"""Loaders: splits, IDX and npz files as they are published and as they are damaged, downloads that are checked."""

import gzip
import hashlib
import http.server
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from sklearn import datasets

from spikeveil.host.data import (
    DataMissing,
    Dataset,
    between,
    load_breast_cancer,
    load_dataset,
    load_digits,
    load_fashion_mnist,
    load_iris,
    load_mnist,
    mnist,
)
from spikeveil.host.data.download import Pinned, cache_folder, fetch
from spikeveil.host.data.idx import read_idx
from spikeveil.host.data.mnist import FASHION_MNIST, MNIST, STEMS, Published

RNG = np.random.default_rng(5)
IMAGES = {"train": RNG.integers(0, 256, (30, 28, 28), np.uint8), "t10k": RNG.integers(0, 256, (12, 28, 28), np.uint8)}
LABELS = {"train": RNG.integers(0, 10, 30, np.uint8), "t10k": RNG.integers(0, 10, 12, np.uint8)}


def idx(array: np.ndarray) -> bytes:
    """The bytes of an IDX file, written from the description of the format."""
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


def contents() -> dict[str, bytes]:
    """The four files of a tiny MNIST."""
    arrays = (IMAGES["train"], LABELS["train"], IMAGES["t10k"], LABELS["t10k"])
    return {stem: idx(array) for stem, array in zip(STEMS, arrays, strict=True)}


def check(data: Dataset) -> None:
    """The records of the tiny MNIST, in order."""
    np.testing.assert_array_equal(data.train_images, IMAGES["train"].reshape(30, 784))
    np.testing.assert_array_equal(data.test_images, IMAGES["t10k"].reshape(12, 784))
    np.testing.assert_array_equal(data.train_labels, LABELS["train"])
    np.testing.assert_array_equal(data.test_labels, LABELS["t10k"])
    assert (data.shape, data.classes, data.maximum) == ((28, 28), 10, 255)
    assert (data.train_images.dtype, data.train_labels.dtype) == (np.uint8, np.int64)


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("dotted", [False, True])
def test_mnist_from_idx_files(tmp_path: Path, zipped: bool, dotted: bool) -> None:
    for stem, content in contents().items():
        name = stem.replace("-idx", ".idx") if dotted else stem
        path = tmp_path / (name + ".gz" * zipped)
        path.write_bytes(gzip.compress(content) if zipped else content)
    check(load_mnist(tmp_path))
    assert load_fashion_mnist(tmp_path).name == "fashion-mnist"


def test_mnist_from_a_keras_file(tmp_path: Path) -> None:
    path = tmp_path / "mnist.npz"
    np.savez(path, x_train=IMAGES["train"], y_train=LABELS["train"], x_test=IMAGES["t10k"], y_test=LABELS["t10k"])
    check(load_mnist(path))
    check(load_dataset("mnist", str(path)))
    assert load_mnist(path).digest == load_mnist(path).digest != load_mnist(path).part(train=29).digest


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"\0\0\x0b\x01\0\0\0\x02ab", "must start with 00000801 and 1 lengths, not '00000b01'"),
        (b"\0\0\x08\x03\0\0\0\x02ab", "must start with 00000801 and 1 lengths, not '00000803'"),
        (b"\0\0\x08\x01\0\0", "must start with 00000801 and 1 lengths, not '00000801'"),
        (b"", "must start with 00000801 and 1 lengths, not ''"),
        (b"\0\0\x08\x01\0\0\0\x03ab", "must hold the 3 bytes of its header, not 2"),
        (b"\0\0\x08\x01\0\0\0\x01ab", "must hold the 1 bytes of its header, not more"),
        (b"\0\0\x08\x01\xff\xff\xff\xffab", "must hold at most 1073741824 bytes, not the 4294967295 of its header"),
    ],
)
def test_an_idx_file_that_is_none_is_refused(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "labels"
    path.write_bytes(content)
    with pytest.raises(ValueError) as caught:
        read_idx(path, 1)
    assert str(caught.value) == f"IDX file {path} {sentence}"


def test_a_cut_gzip_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "labels.gz"
    path.write_bytes(gzip.compress(idx(LABELS["train"]))[:-12])
    with pytest.raises(ValueError, match="must be a whole gzip file"):
        read_idx(path, 1)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"y_train": LABELS["train"][:-1]}, "mnist train labels must be 30, one an image, not 29"),
        ({"y_test": LABELS["t10k"] + 10}, "mnist test labels must be 0 to 9, not"),
        (
            {"x_test": IMAGES["t10k"][:, :14]},
            "mnist images must be uint8 of shape (records, 28, 28), not uint8 (12, 14",
        ),
        (
            {"x_test": IMAGES["t10k"] / 255},
            "mnist images must be uint8 of shape (records, 28, 28), not float64 (12, 28",
        ),
        ({"y_test": LABELS["t10k"] / 1.0}, "mnist labels must be integers of shape (records,), not float64 (12,)"),
        (
            {"x_train": np.zeros((0, 28, 28), np.uint8)},
            "mnist train images must have shape (records, 784), not (0, 784)",
        ),
    ],
)
def test_arrays_that_do_not_fit_are_refused(tmp_path: Path, changes: dict[str, np.ndarray], sentence: str) -> None:
    path = tmp_path / "mnist.npz"
    arrays = {
        "x_train": IMAGES["train"],
        "y_train": LABELS["train"],
        "x_test": IMAGES["t10k"],
        "y_test": LABELS["t10k"],
    }
    np.savez(path, **(arrays | changes))
    with pytest.raises(ValueError) as caught:
        load_mnist(path)
    assert str(caught.value).startswith(sentence)


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataMissing) as caught:
        load_mnist(tmp_path / "nowhere.npz")
    assert str(caught.value) == f"mnist is not at {tmp_path}/nowhere.npz"
    with pytest.raises(DataMissing) as caught:
        load_mnist(tmp_path)
    assert str(caught.value) == f"{tmp_path} holds no train-images-idx3-ubyte, plain or .gz"
    (tmp_path / "other.npz").write_bytes(b"PK\3\4 nothing")
    with pytest.raises(ValueError, match=r"must be a \.npz file with x_train, y_train, x_test, y_test"):
        load_mnist(tmp_path / "other.npz")


# downloads -----------------------------------------------------------------------------------------------------------


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A web server on this machine, and the folder that it serves."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler: Callable[..., Quiet] = lambda *arguments: Quiet(*arguments, directory=str(folder))  # noqa: E731
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", folder
        server.shutdown()


def pin(name: str, content: bytes) -> Pinned:
    return Pinned(name, len(content), hashlib.sha256(content).hexdigest())


def test_a_download_is_kept_and_not_asked_for_again(tmp_path: Path, mirror: tuple[str, Path]) -> None:
    url, served = mirror
    (served / "a").write_bytes(b"right")
    path = fetch(pin("a", b"right"), [url], tmp_path / "cache" / "deep")
    assert path.read_bytes() == b"right"
    (served / "a").unlink()
    assert fetch(pin("a", b"right"), [url], tmp_path / "cache" / "deep") == path
    assert [file.name for file in path.parent.iterdir()] == ["a"]


@pytest.mark.parametrize("content", [b"wrong", b"right and more", b"rig", b""])
def test_another_file_is_never_kept(tmp_path: Path, mirror: tuple[str, Path], content: bytes) -> None:
    url, served = mirror
    (served / "a").write_bytes(content)
    with pytest.raises(DataMissing) as caught:
        fetch(pin("a", b"right"), [url], tmp_path / "cache")
    assert str(caught.value) == (
        f"a is not in {tmp_path}/cache and could not be downloaded ({url}/a: another file than the pinned one, "
        "discarded): get it elsewhere and give the path of the data"
    )
    assert not (tmp_path / "cache" / "a").exists()


def test_a_damaged_file_of_the_cache_is_replaced_and_a_bad_mirror_passed_over(
    tmp_path: Path, mirror: tuple[str, Path]
) -> None:
    url, served = mirror
    for folder, content in (("bad", b"wrong"), ("good", b"right")):
        (served / folder).mkdir()
        (served / folder / "a").write_bytes(content)
    (tmp_path / "a").write_bytes(b"damaged")
    path = fetch(pin("a", b"right"), [f"{url}/none", f"{url}/bad", f"{url}/good/"], tmp_path)
    assert path.read_bytes() == b"right"


def test_without_a_network_one_sentence_says_so(tmp_path: Path) -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), Quiet) as server:
        closed = f"http://127.0.0.1:{server.server_address[1]}"
    with pytest.raises(DataMissing) as caught:
        fetch(pin("a", b"right"), [closed, "http://example.org"], tmp_path)
    assert str(caught.value) == (
        f"a is not in {tmp_path} and could not be downloaded ({closed}/a: [Errno 111] Connection refused; "
        "http://example.org/a: refused, because it is not https): get it elsewhere and give the path of the data"
    )


def test_mnist_is_downloaded_checked_and_read(
    tmp_path: Path, mirror: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, served = mirror
    zipped = {f"{stem}.gz": gzip.compress(content, mtime=0) for stem, content in contents().items()}
    for name, content in zipped.items():
        (served / name).write_bytes(content)
    pins = tuple(pin(name, content) for name, content in zipped.items())
    monkeypatch.setattr(mnist, "MNIST", Published("mnist", pins, (url,)))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    check(load_mnist())
    assert cache_folder() == tmp_path / "cache" / "spikeveil" / "data"
    assert sorted(path.name for path in (cache_folder() / "mnist").iterdir()) == sorted(zipped)
    for path in served.iterdir():
        path.unlink()
    check(load_mnist())


def test_pins_are_of_files_named_as_published() -> None:
    for files in (MNIST.files, FASHION_MNIST.files):
        assert [pinned.name for pinned in files] == [f"{stem}.gz" for stem in STEMS]
        assert len({pinned.sha256 for pinned in files}) == 4
        assert all(len(pinned.sha256) == 64 and int(pinned.sha256, 16) for pinned in files)


# scikit-learn's ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("load", "source", "shapes", "classes", "maximum"),
    [
        (load_digits, datasets.load_digits, ((1437, 64), (360, 64)), 10, 16),
        (load_iris, datasets.load_iris, ((120, 4), (30, 4)), 3, 255),
        (load_breast_cancer, datasets.load_breast_cancer, ((455, 30), (114, 30)), 2, 255),
    ],
)
def test_bundled_sets(
    load: Callable[[], Dataset],
    source: Callable[..., tuple[np.ndarray, np.ndarray]],
    shapes: tuple[tuple[int, int], tuple[int, int]],
    classes: int,
    maximum: int,
) -> None:
    data, (_, labels) = load(), source(return_X_y=True)
    assert (data.train_images.shape, data.test_images.shape) == shapes
    assert (data.classes, data.maximum) == (classes, maximum)
    whole = np.bincount(labels)
    both = np.concatenate([data.train_labels, data.test_labels])
    np.testing.assert_array_equal(np.bincount(both), whole)
    share = whole * len(data.test_labels) / len(labels)
    np.testing.assert_array_less(np.abs(np.bincount(data.test_labels) - share), 1)
    np.testing.assert_array_equal(load().train_images, data.train_images)
    np.testing.assert_array_equal(load_dataset(data.name).test_images, data.test_images)


@pytest.mark.parametrize(
    ("load", "source"), [(load_iris, datasets.load_iris), (load_breast_cancer, datasets.load_breast_cancer)]
)
def test_every_measurement_keeps_its_order_and_hardly_any_is_cut(
    load: Callable[[], Dataset], source: Callable[..., tuple[np.ndarray, np.ndarray]]
) -> None:
    """The published bounds are rounded extremes: nothing lies outside them by more than their last digit."""
    data, table = load(), source(return_X_y=True)[0]
    scaled = np.vstack([data.train_images, data.test_images]).astype(int)
    for feature in range(table.shape[1]):
        expected = (table[:, feature] - table[:, feature].min()) / np.ptp(table[:, feature]) * 255
        np.testing.assert_allclose(np.sort(scaled[:, feature]), np.sort(expected), atol=10)


def test_between_by_hand() -> None:
    table = [[0.0, 5.0], [1.0, 7.5], [2.0, 10.0], [-3.0, 99.0], [1 / 255, 5.0]]
    assert between(table, [(0, 2), (5, 10)]).tolist() == [[0, 0], [128, 128], [255, 255], [0, 255], [1, 0]]


@pytest.mark.parametrize(
    ("table", "bounds", "sentence"),
    [
        ([[1.0, 2.0]], [(0, 1)], "bounds must have shape (features, 2) for a table (1, 2), not (1, 2)"),
        ([[1.0]], [(1, 1)], "bounds must rise, not [1.0, 1.0]"),
        ([[np.nan]], [(0, 1)], "table must hold finite numbers, not nan"),
    ],
)
def test_between_refuses(table: object, bounds: object, sentence: str) -> None:
    with pytest.raises(ValueError) as caught:
        between(table, bounds)
    assert str(caught.value) == sentence


@pytest.mark.parametrize("name", ["iris", "breast-cancer"])
def test_missing_scikit_learn_says_what_to_install(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(DataMissing, match=r"measurements need scikit-learn: pip install '\.\[data\]' in the checkout"):
        load_dataset(name)


def test_names() -> None:
    with pytest.raises(ValueError) as caught:
        load_dataset("cifar")
    assert str(caught.value) == (
        "data set must be one of 'digits', 'iris', 'breast-cancer', 'mnist', 'fashion-mnist', 'images', not 'cifar'"
    )
    with pytest.raises(ValueError) as caught:
        load_dataset("iris", "here")
    assert str(caught.value) == "data set iris comes with scikit-learn and takes no path, not 'here'"


# one data set --------------------------------------------------------------------------------------------------------


def test_pooling_by_hand() -> None:
    image = np.array([[[0, 1, 10, 20], [2, 3, 30, 41], [5, 5, 255, 255], [5, 6, 255, 255]]], np.uint8)
    data = Dataset("tiny", image.reshape(1, 16), np.array([0]), image.reshape(1, 16), np.array([1]), (4, 4), 2)
    pooled = data.pooled(2)
    assert pooled.shape == (2, 2)
    assert pooled.train_images.tolist() == [[2, 25, 5, 255]]  # 6/4 up, 101/4, 21/4, all
    with pytest.raises(ValueError) as caught:
        data.pooled(3)
    assert str(caught.value) == "pooling side must divide an image's height and width, (4, 4), not be 3"


def test_part() -> None:
    part = load_iris().part(train=7, test=3)
    assert (part.train_images.shape, part.test_labels.shape) == ((7, 4), (3,))
    np.testing.assert_array_equal(part.train_images, load_iris().train_images[:7])
