"""MNIST and Fashion-MNIST: from files that you have, from a package of the system, or downloaded and checked."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeveil.host.data.dataset import DataMissing, Dataset
from spikeveil.host.data.download import Pinned, cache_folder, fetch
from spikeveil.host.data.idx import content_digest, read_idx
from spikeveil.pysim.model.array_file import ArrayFile

CLASSES, SHAPE = 10, (28, 28)
ARRAYS = ("x_train", "y_train", "x_test", "y_test")
STEMS = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")


@dataclass(frozen=True)
class Published:
    """A data set as it was published.

    - `files`: the gzipped IDX files, in the order of `STEMS`;
    - `mirrors`: URLs of folders that hold them;
    - `installed`: the folder where a package of the system puts them, compressed in its own way, None where there is
      no such package; `contents`: SHA-256 of each file, decompressed.
    """

    name: str
    files: tuple[Pinned, ...]
    mirrors: tuple[str, ...]
    installed: Path | None = None
    contents: tuple[str, ...] = ()

    @classmethod
    def of(cls, name: str, sizes: tuple[int, ...], digests: tuple[str, ...], mirrors: tuple[str, ...]) -> "Published":
        """From the size in bytes and the SHA-256 of each file."""
        names = (f"{stem}.gz" for stem in STEMS)
        return cls(name, tuple(map(Pinned, names, sizes, digests)), mirrors)


MNIST = Published.of(
    "mnist",
    (9912422, 28881, 1648877, 4542),
    (
        "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    ),
    (
        "https://ossci-datasets.s3.amazonaws.com/mnist",
        "https://storage.googleapis.com/cvdf-datasets/mnist",
    ),
)
_FASHION_MNIST = Published.of(
    "fashion-mnist",
    (26421880, 29515, 4422102, 5148),
    (
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    ),
    (
        "https://fashion-mnist.s3.eu-central-1.amazonaws.com",
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/b2617bb6d3ffa2e429640350f613e3291e10b141/data/fashion",
    ),
)
FASHION_MNIST = replace(
    _FASHION_MNIST,
    installed=Path("/usr/share/datasets/fashion-mnist"),  # Debian: dataset-fashion-mnist
    contents=(
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
)


def load_mnist(path: Path | None = None) -> Dataset:
    """60,000 images of digits to train on and 10,000 to test, 28x28, intensities 0 to 255.

    path: a folder with the four IDX files, plain or gzipped, or a Keras .npz file; taken as it is, and any number of
    images will do. Without one, the files of the user's cache folder, downloaded there first where they are missing,
    and only ever used with the checksum that is pinned here. Raises DataMissing where there is nothing and no network,
    ValueError for files that are damaged or something else.
    """
    return _load(MNIST, path)


def load_fashion_mnist(path: Path | None = None) -> Dataset:
    """Ten kinds of clothes in the format of MNIST; see `load_mnist`.

    Without a path, the files of Debian's package dataset-fashion-mnist are used where they are installed. They are
    compressed otherwise than the published ones, so the checksums pinned for them are those of their content.
    """
    return _load(FASHION_MNIST, path)


def _load(published: Published, path: Path | None) -> Dataset:
    name = published.name
    if path is None:
        found = installed(published)
        if found is not None:
            return _dataset(name, *found)
        folder = cache_folder() / name
        paths = [fetch(pinned, published.mirrors, folder) for pinned in published.files]
        return _dataset(name, *(read_idx(file, 1 if "labels" in file.name else 3) for file in paths))
    if path.is_dir():
        return _dataset(name, *(read_idx(_found(path, stem), 1 if "labels" in stem else 3) for stem in STEMS))
    if not path.exists():
        raise DataMissing(f"{name} is not at {path}")
    return _dataset(name, *_keras(path))


def installed(published: Published) -> list[NDArray[np.uint8]] | None:
    """The arrays of the system's package; None where a file is missing or its content is not the pinned one."""
    if published.installed is None:
        return None
    paths = [published.installed / pinned.name for pinned in published.files]
    if not all(path.is_file() for path in paths):
        return None
    for path, sha256 in zip(paths, published.contents, strict=True):
        if content_digest(path) != sha256:
            return None
    return [read_idx(path, 1 if "labels" in path.name else 3) for path in paths]


def _found(folder: Path, stem: str) -> Path:
    """The file of that name, with a dash or a dot before `idx`, gzipped or not."""
    names = [f"{base}{end}" for base in (stem, stem.replace("-idx", ".idx")) for end in ("", ".gz")]
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise DataMissing(f"{folder} holds no {stem}, plain or .gz")


def _keras(path: Path) -> list[NDArray[Any]]:
    with ArrayFile(path, f"data file {path}", f"a .npz file with {', '.join(ARRAYS)}") as file:
        return [file.array(name) for name in ARRAYS]


def _dataset(
    name: str, train: NDArray[Any], train_labels: NDArray[Any], test: NDArray[Any], test_labels: NDArray[Any]
) -> Dataset:
    for images in (train, test):
        if images.shape[1:] != SHAPE or images.dtype != np.uint8:
            raise ValueError(
                f"{name} images must be uint8 of shape (records, 28, 28), not {images.dtype} {images.shape}"
            )

    train, test = (np.ascontiguousarray(images).reshape(-1, 784) for images in (train, test))
    for labels in (train_labels, test_labels):
        if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
            raise ValueError(f"{name} labels must be integers of shape (records,), not {labels.dtype} {labels.shape}")
    return Dataset(name, train, train_labels.astype(np.int64), test, test_labels.astype(np.int64), SHAPE, CLASSES)
