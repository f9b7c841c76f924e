"""Grey images of your own: a folder with one subfolder of PGM files for each class, or an .npz file."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikeveil.host.data.dataset import DataMissing, Dataset
from spikeveil.pysim.model.array_file import ArrayFile

ARRAYS = ("x_train", "y_train", "x_test", "y_test")
TEST_SHARE = (128, 576)  # of the images of a class; DPSNN tests on 128 of the 576 images of each subject
LARGEST_SIDE = 4096


def load_images(path: Path | None = None) -> Dataset:
    """Grey images of any size, intensities 0 to 255, all of one size.

    path: an .npz file with x_train, y_train, x_test, y_test (images uint8 (records, height, width), labels integers
    from 0), or a folder with one subfolder of binary PGM files (P5, maximum 255) for each class, classes in the order
    of their names. Of a folder, 128 of 576 images of each class are for testing: those whose names have the smallest
    SHA-256, so that the split depends on nothing else. Raises DataMissing without a path or where nothing is there,
    ValueError for files that are something else.
    """
    if path is None:
        raise DataMissing("data set images needs a path: a folder with a subfolder for each class, or an .npz file")
    if not path.exists():
        raise DataMissing(f"images are not at {path}")
    train, train_labels, test, test_labels = _folder(path) if path.is_dir() else _arrays(path)
    for images, labels in ((train, train_labels), (test, test_labels)):
        _check(path, images, labels)
    if train.shape[1:] != test.shape[1:]:
        raise ValueError(f"images of {path} must all be of one size, not of {train.shape[1:]} and {test.shape[1:]}")
    classes = int(max(train_labels.max(), test_labels.max())) + 1
    train_rows, test_rows = (np.ascontiguousarray(part).reshape(len(part), -1) for part in (train, test))
    train_labels, test_labels = train_labels.astype(np.int64), test_labels.astype(np.int64)
    return Dataset("images", train_rows, train_labels, test_rows, test_labels, train.shape[1:], classes)


def _check(path: Path, images: NDArray[Any], labels: NDArray[Any]) -> None:
    if images.dtype != np.uint8 or images.ndim != 3 or not len(images):
        raise ValueError(
            f"images of {path} must be uint8 of shape (records, height, width), not {images.dtype} {images.shape}"
        )
    if not np.issubdtype(labels.dtype, np.integer) or labels.shape != (len(images),):
        raise ValueError(f"labels of {path} must be {len(images)} integers, not {labels.dtype} {labels.shape}")


def read_pgm(path: Path) -> NDArray[np.uint8]:
    """The image of a binary PGM file, (height, width); ValueError for another format or a damaged file."""
    content = path.read_bytes()
    words: list[bytes] = []
    position = 0
    while len(words) < 4 and position < len(content):
        word, position = _word(content, position)
        if word:
            words.append(word)
    if len(words) < 4 or words[0] != b"P5" or words[3] != b"255" or not (words[1] + words[2]).isdigit():
        raise ValueError(f"image {path} must be a binary PGM file of maximum 255")
    width, height = int(words[1]), int(words[2])
    pixels = np.frombuffer(content, np.uint8, offset=position)
    if not 1 <= max(width, height) <= LARGEST_SIDE or len(pixels) != width * height:
        raise ValueError(f"image {path} must hold the {width} x {height} bytes of its header, not {len(pixels)}")
    return pixels.reshape(height, width)


def _word(content: bytes, position: int) -> tuple[bytes, int]:
    """The next word of a PGM header, "" for a comment, and the position after the white space that ends it."""
    end = position
    if content[position : position + 1] == b"#":
        while end < len(content) and content[end : end + 1] != b"\n":
            end += 1
        return b"", end + 1
    while end < len(content) and not content[end : end + 1].isspace():
        end += 1
    return content[position:end], end + 1


def _folder(path: Path) -> list[NDArray[Any]]:
    classes = sorted(folder for folder in path.iterdir() if folder.is_dir())
    if len(classes) < 2:
        raise DataMissing(f"{path} must hold a subfolder for each of 2 or more classes, not {len(classes)}")
    parts: list[list[Any]] = [[], [], [], []]
    for label, folder in enumerate(classes):
        files = sorted(folder.glob("*.pgm"), key=lambda file: hashlib.sha256(file.name.encode()).digest())
        testing = len(files) * TEST_SHARE[0] // TEST_SHARE[1]
        for index, file in enumerate(files):
            images, labels = (2, 3) if index < testing else (0, 1)
            parts[images].append(read_pgm(file))
            parts[labels].append(label)
    if not parts[0] or not parts[2]:
        raise DataMissing(f"{path} holds too few .pgm files to train on some and test on others")
    sizes = {image.shape for image in (*parts[0], *parts[2])}
    if len(sizes) != 1:
        raise ValueError(f"images of {path} must all be of one size, not of {sorted(sizes)}")
    return [np.array(part) for part in parts]


def _arrays(path: Path) -> list[NDArray[Any]]:
    with ArrayFile(path, f"data file {path}", f"a .npz file with {', '.join(ARRAYS)}") as file:
        return [file.array(name) for name in ARRAYS]
