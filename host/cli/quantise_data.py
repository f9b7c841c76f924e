"""The records that `spikeveil quantise` chooses scales by and measures on: of a data set, or of a data file."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from spikeveil.host.cli.errors import usage_errors
from spikeveil.host.cli.options.data import read_data
from spikeveil.host.data.catalogue import NAMES, encoder, load_dataset
from spikeveil.host.data.dataset import Dataset
from spikeveil.host.data.encoders import direct
from spikeveil.host.data.spike_files import SpikeData

Spikes = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Feed:
    """How a network is fed: `encoder` and `steps` of its input spikes; `planes`: bits of a pixel, for intensities."""

    encoder: str
    steps: int
    planes: int | None
    inputs: int


@dataclass(frozen=True, eq=False)
class EncodedRecords:
    """Records as input spikes: `train(part)` and `test(part)` encode a slice of them, (records, steps, inputs).

    `labels`: of the test records, None where a file has none. `classes`: their number, 0 without labels. `digest`:
    SHA-256 of the records.
    """

    name: str
    digest: str
    labels: NDArray[np.int64] | None
    classes: int
    count: int
    train: Callable[[slice], Spikes]
    test: Callable[[slice], Spikes]

    def spike_data(self, most: int) -> SpikeData:
        """The first `most` test records."""
        labels = None if self.labels is None else self.labels[:most]
        return SpikeData(self.name, self.test(slice(most)), labels=labels, classes=self.classes or None)


def read_records(options: dict[str, Any]) -> Dataset | SpikeData:
    """The data set, or the data file, that --data names. UsageError for an unknown name."""
    name = options["data"]
    if name in NAMES or not Path(name).exists():
        with usage_errors():
            data = load_dataset(name, options["path"])
            return data.pooled(options["pool"]) if options["pool"] > 1 else data
    if options["path"] is not None or options["pool"] > 1:
        raise click.UsageError("--path and --pool are for a data set, not for a data file")
    return read_data(name, options["layout"], options["steps"])


def encoded(data: Dataset | SpikeData, feed: Feed) -> EncodedRecords:
    """The records as the network takes them. ValueError where a file's spikes do not fit."""
    if isinstance(data, Dataset):
        return _of_dataset(data, feed)
    spikes = data.spikes(feed.inputs)
    classes = 0 if data.labels is None else data.classes or int(data.labels.max()) + 1
    digest = hashlib.sha256(np.packbits(spikes).tobytes()).hexdigest()

    def part(which: slice) -> Spikes:
        return spikes[which]

    return EncodedRecords(data.name, digest, data.labels, classes, len(spikes), part, part)


def _of_dataset(data: Dataset, feed: Feed) -> EncodedRecords:
    def encode(images: NDArray[Any]) -> Spikes:
        if feed.planes is not None:
            return direct(images, feed.steps, data.maximum, feed.planes)
        return encoder(feed.encoder, feed.steps, data.maximum)(images)

    return EncodedRecords(
        data.name,
        data.digest,
        data.test_labels,
        data.classes,
        len(data.test_labels),
        lambda part: encode(data.train_images[part]),
        lambda part: encode(data.test_images[part]),
    )
