"""Images of the user's own: PGM folders and .npz files, their split, their refusals, and the preset that takes them."""

from pathlib import Path

import numpy as np
import pytest

from spikeveil.host.data import DataMissing, load_dataset, load_fashion_mnist
from spikeveil.host.data import mnist as mnist_module
from spikeveil.host.data.images import load_images, read_pgm


def write_pgm(path: Path, image: np.ndarray, comment: bytes = b"") -> None:
    height, width = image.shape
    path.write_bytes(b"P5\n" + comment + f"{width} {height}\n255\n".encode() + image.tobytes())


def faces(folder: Path, classes: int = 3, count: int = 9, shape: tuple[int, int] = (8, 6)) -> dict[str, np.ndarray]:
    """A folder of random images, `count` for each class; every image by its file name."""
    dice, found = np.random.default_rng(1), {}
    for label in range(classes):
        subject = folder / f"subject{label:02}"
        subject.mkdir(parents=True)
        for index in range(count):
            name = f"s{label}_{index}.pgm"
            found[name] = dice.integers(0, 256, shape, np.uint8)
            write_pgm(subject / name, found[name], b"# a comment\n" if index % 2 else b"")
    return found


def test_a_folder_is_split_by_the_names_of_its_files(tmp_path: Path) -> None:
    """128 of 576 of each class, here 2 of 9, are for testing; which ones depends on names alone."""
    known = faces(tmp_path)
    data = load_images(tmp_path)
    assert (data.shape, data.classes, data.maximum) == ((8, 6), 3, 255)
    assert np.bincount(data.train_labels).tolist() == [7, 7, 7]
    assert np.bincount(data.test_labels).tolist() == [2, 2, 2]
    rows = {image.tobytes() for image in (*data.train_images, *data.test_images)}
    assert rows == {image.tobytes() for image in known.values()}
    assert load_dataset("images", tmp_path).digest == data.digest


def test_an_npz_file(tmp_path: Path) -> None:
    images, labels = np.arange(4 * 6, dtype=np.uint8).reshape(4, 2, 3), np.array([0, 1, 1, 0])
    np.savez(tmp_path / "own.npz", x_train=images[:3], y_train=labels[:3], x_test=images[3:], y_test=labels[3:])
    data = load_images(tmp_path / "own.npz")
    assert data.train_images.tolist() == images[:3].reshape(3, 6).tolist()
    assert (data.test_labels.tolist(), data.shape, data.classes) == ([0], (2, 3), 2)


@pytest.mark.parametrize(
    "content",
    [b"P2\n2 1\n255\n1 2", b"P5\n2 1\n65535\n1234", b"P5\n2 1\n255\n1", b"P5\n2", b"", b"P5\n-2 1\n255\n12"],
)
def test_what_is_no_pgm_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.pgm").write_bytes(content)
    with pytest.raises(ValueError, match=r"must be a binary PGM file of maximum 255|must hold the 2 x 1 bytes"):
        read_pgm(tmp_path / "x.pgm")


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(DataMissing, match="data set images needs a path"):
        load_images()
    with pytest.raises(DataMissing, match="images are not at"):
        load_images(tmp_path / "nothing")
    (tmp_path / "one").mkdir()
    with pytest.raises(DataMissing, match="must hold a subfolder for each of 2 or more classes, not 1"):
        load_images(tmp_path)
    (tmp_path / "two").mkdir()
    with pytest.raises(DataMissing, match=r"holds too few \.pgm files"):
        load_images(tmp_path)
    faces(tmp_path / "mixed")
    write_pgm(tmp_path / "mixed/subject00/other.pgm", np.zeros((3, 3), np.uint8))
    with pytest.raises(ValueError, match=r"must all be of one size, not of \[\(3, 3\), \(8, 6\)\]"):
        load_images(tmp_path / "mixed")
    flat, labels = np.zeros((2, 6), np.uint8), np.zeros(2, np.int64)
    np.savez(tmp_path / "flat.npz", x_train=flat, y_train=labels, x_test=flat, y_test=labels)
    with pytest.raises(ValueError, match="must be uint8 of shape"):
        load_images(tmp_path / "flat.npz")
    cube = flat.reshape(2, 2, 3)
    np.savez(tmp_path / "labels.npz", x_train=cube, y_train=labels[:1], x_test=cube, y_test=labels)
    with pytest.raises(ValueError, match="must be 2 integers"):
        load_images(tmp_path / "labels.npz")


def test_fashion_mnist_of_the_system_is_used_only_with_the_pinned_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Recompressed files of other content are passed over; a folder without them too."""
    published = mnist_module.FASHION_MNIST
    assert len(published.contents) == len(published.files) == 4
    assert all(len(bytes.fromhex(sha256)) == 32 for sha256 in published.contents)
    for pinned in published.files:
        (tmp_path / pinned.name).write_bytes(b"something else")
    assert mnist_module.installed(mnist_module.replace(published, installed=tmp_path)) is None
    assert mnist_module.installed(mnist_module.replace(published, installed=tmp_path / "none")) is None
    assert mnist_module.installed(mnist_module.MNIST) is None


@pytest.mark.skipif(
    not Path("/usr/share/datasets/fashion-mnist").is_dir(), reason="Debian's dataset-fashion-mnist is not installed"
)
def test_debian_s_fashion_mnist() -> None:
    data = load_fashion_mnist()
    assert (len(data.train_images), len(data.test_images)) == (60_000, 10_000)
    assert np.bincount(data.train_labels).tolist() == [6000] * 10
