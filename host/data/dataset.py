"""Labelled records in integers with a fixed split; every loader returns a Dataset."""

import hashlib
from dataclasses import dataclass, replace
from math import prod

import numpy as np
from numpy.typing import NDArray

from spikeveil.pysim.model import checks


class DataMissing(ImportError):  # noqa: N818, named for what it is
    """A data set is not available; the message gives the reason."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """Records (records, features) uint8, intensities 0 to `maximum`; labels (records,) int64, 0 to `classes` - 1.

    `shape` is the shape of a record's features, row by row: (28, 28) for an image, (4,) for a table. The split into
    training and test records is the loader's and never changes. ValueError where the parts do not fit together.
    """

    name: str
    train_images: NDArray[np.uint8]
    train_labels: NDArray[np.int64]
    test_images: NDArray[np.uint8]
    test_labels: NDArray[np.int64]
    shape: tuple[int, ...]
    classes: int
    maximum: int = 255

    def __post_init__(self) -> None:
        for part in ("train", "test"):
            images, labels = getattr(self, f"{part}_images"), getattr(self, f"{part}_labels")
            field = f"{self.name} {part}"
            checks.integers(f"{field} images", images, ("records", self.features), 0, self.maximum)
            checks.integers(f"{field} labels", labels, ("records",), 0, self.classes - 1)
            if len(images) != len(labels):
                raise ValueError(f"{field} labels must be {len(images)}, one an image, not {len(labels)}")

    @property
    def features(self) -> int:
        """Intensities of one record."""
        return prod(self.shape)

    @property
    def digest(self) -> str:
        """SHA-256 over all records and labels, as 64 hexadecimal digits: which data a figure was measured on."""
        digest = hashlib.sha256()
        for array in (self.train_images, self.train_labels, self.test_images, self.test_labels):
            digest.update(str(array.shape).encode() + np.ascontiguousarray(array).astype("<i8").tobytes())
        return digest.hexdigest()

    def pooled(self, side: int) -> "Dataset":
        """Images reduced to the means of squares of `side` x `side` pixels, halves up: 28x28 by 2 gives 14x14.

        ValueError for records that are no images, or whose height and width `side` does not divide.
        """
        checks.integer("pooling side", side, 1, 255)
        if len(self.shape) != 2 or any(length % side for length in self.shape):
            raise ValueError(f"pooling side must divide an image's height and width, {self.shape}, not be {side}")
        height, width = (length // side for length in self.shape)

        def pooled_images(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
            squares = images.reshape(-1, height, side, width, side).sum(axis=(2, 4), dtype=np.int64)
            means: NDArray[np.uint8] = ((2 * squares + side**2) // (2 * side**2)).astype(np.uint8)
            return means.reshape(len(images), -1)

        return replace(
            self,
            train_images=pooled_images(self.train_images),
            test_images=pooled_images(self.test_images),
            shape=(height, width),
        )

    def part(self, train: int | None = None, test: int | None = None) -> "Dataset":
        """The first `train` training and the first `test` test records; None keeps all."""
        return replace(
            self,
            train_images=self.train_images[:train],
            train_labels=self.train_labels[:train],
            test_images=self.test_images[:test],
            test_labels=self.test_labels[:test],
        )
