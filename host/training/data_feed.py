"""Examples for the network: from integer intensities to what the network takes, a batch at a time."""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spikeveil.host.data.catalogue import encoder
from spikeveil.host.data.dataset import Dataset
from spikeveil.host.data.encoders import levels
from spikeveil.host.training.config import Config

TEST_BATCH = 500


class DataFeed:
    """Batches of a data set for a configuration: x float32 in the shape that the network takes, labels int64.

    Raises ValueError where the data do not fit the network.
    """

    def __init__(self, config: Config, data: Dataset) -> None:
        network = config.network
        self.data = data.pooled(config.data.pool) if config.data.pool > 1 else data
        if int(np.prod(network.shape)) != self.data.features:
            raise ValueError(
                f"network shape must hold {self.data.features} values, as a record of {data.name} does, "
                f"not {network.shape}"
            )
        if network.classes != data.classes:
            raise ValueError(f"network classes must be {data.classes}, those of {data.name}, not {network.classes}")
        self.shape = network.shape if network.coding == "direct" else (network.steps, *network.shape)
        self._direct = network.coding == "direct"
        self._encode = encoder(config.data.encoder, network.steps, self.data.maximum)

    @property
    def size(self) -> int:
        """Training examples."""
        return len(self.data.train_labels)

    def train(self, chosen: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """The training examples of these numbers."""
        return self._tensors(self.data.train_images[chosen], self.data.train_labels[chosen])

    def test(self) -> Iterator[tuple[Tensor, Tensor]]:
        """All test examples."""
        for start in range(0, len(self.data.test_labels), TEST_BATCH):
            part = slice(start, start + TEST_BATCH)
            yield self._tensors(self.data.test_images[part], self.data.test_labels[part])

    def _tensors(self, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        values = levels(images, self.data.maximum) if self._direct else self._encode(images)
        return torch.from_numpy(values.astype(np.float32)).reshape(-1, *self.shape), torch.from_numpy(labels)
