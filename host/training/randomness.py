"""Where DP-SGD's randomness comes from: which examples enter a batch, and the noise on their sum.

`OsRandomness` reads the operating system's generator: nothing can be replayed, and nothing has to be kept secret
afterwards. `SeededRandomness` is a function of (seed, purpose, step): a run can be repeated bit for bit, and an
adversary who knows the seed subtracts the noise, so it gives no privacy. There is nothing between the two: a saved
generator state would be a secret on the disk, and replayed noise under another gradient reveals the difference of the
two.
"""

import hashlib
import os
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from spikeveil.pysim.model import checks

TERMS = 4  # Gaussians summed for one where `secure` is asked for
MANTISSA = (1 << 53) - 1


@dataclass(frozen=True)
class Randomness(ABC):
    """Independent bytes for every purpose at every step (counted from 0)."""

    @abstractmethod
    def words(self, purpose: str, step: int, count: int) -> NDArray[np.uint64]:
        """`count` uniform 64-bit words."""

    @property
    @abstractmethod
    def source(self) -> str:
        """The ledger's name for it: "os" or "none"."""

    @property
    @abstractmethod
    def worth(self) -> str:
        """What a claim that rests on it is worth, in words."""

    def batch(self, step: int, batch_size: int, dataset_size: int) -> NDArray[np.int64]:
        """A Poisson-sampled batch: each of `dataset_size` examples on its own with probability batch_size /
        dataset_size, rounded down to a multiple of 2^-32 (a smaller rate only costs less). It may be empty.
        """
        if batch_size == dataset_size:
            return np.arange(dataset_size, dtype=np.int64)
        words = self.words("batch", step, -(-dataset_size // 2)).view(np.uint32)[:dataset_size]
        chosen: NDArray[np.int64] = np.flatnonzero(words < np.uint32((batch_size << 32) // dataset_size))
        return chosen

    def gaussians(self, step: int, count: int, *, secure: bool = False) -> Tensor:
        """`count` standard normal numbers, float32, by Box-Muller in float64 from 53-bit uniforms.

        secure: each is the sum of four such numbers over 2, the remedy of arXiv 2107.10138 (section 5.1, which Opacus'
        secure mode takes over) against reading the noise from the gaps between floating-point numbers. It makes that
        attack costly; it is not a discrete mechanism with a proof.
        """
        terms = TERMS if secure else 1
        half = -(-terms * count // 2)
        words = torch.from_numpy(self.words("noise", step, 2 * half).view(np.int64) & MANTISSA)
        uniform = words.double().add_(0.5).mul_(2.0**-53).view(2, half)  # inside (0, 1)
        radius, angle = uniform[0].log().mul_(-2).sqrt_(), uniform[1].mul(2 * torch.pi)
        found = torch.cat([angle.cos().mul_(radius), angle.sin().mul_(radius)])[: terms * count]
        return found.view(terms, count).sum(dim=0).mul_(terms**-0.5).float()


@dataclass(frozen=True)
class OsRandomness(Randomness):
    """The operating system's generator, read afresh for every step."""

    def words(self, purpose: str, step: int, count: int) -> NDArray[np.uint64]:
        return np.frombuffer(os.urandom(8 * count), dtype=np.uint64)

    @property
    def source(self) -> str:
        return "os"

    @property
    def worth(self) -> str:
        return "os: the operating system's generator, read afresh at every step; computational"


@dataclass(frozen=True)
class SeededRandomness(Randomness):
    """Words from (seed, purpose, step) alone. For tests and demonstrations."""

    seed: int

    def __post_init__(self) -> None:
        checks.integer("randomness seed", self.seed, 0, (1 << 63) - 1)

    def words(self, purpose: str, step: int, count: int) -> NDArray[np.uint64]:
        key = hashlib.sha256(f"spikeveil training {self.seed} {purpose} {step}".encode()).digest()
        generator = np.random.Generator(np.random.PCG64(int.from_bytes(key, "little")))
        return generator.integers(0, 1 << 64, count, dtype=np.uint64)

    @property
    def source(self) -> str:
        return "none"

    @property
    def worth(self) -> str:
        return "none: the noise follows from a seed that stands in the configuration; a demonstration"
