"""Keys and seeds: drawn from the operating system's generator, stored in files of mode 600, never printed."""

from pathlib import Path

from spikeveil.host.known_keys import draw_secret, weakness
from spikeveil.host.secret_files import create_secret, read_secret
from spikeveil.pysim.device.messages import reverse_key
from spikeveil.pysim.device.wire import SEED_BYTES
from spikeveil.pysim.model.lfsr import SEED_BITS
from spikeveil.pysim.model.trivium import KEY_BYTES

MAX_SEED = (1 << SEED_BITS) - 1  # an LFSR takes the lower 127 bits of its 16 bytes


def read_key(path: str | Path) -> bytes:
    """The bytes that a key file of mode 600 holds in hexadecimal. ValueError, without them, for anything else."""
    return read_secret(path, "key")


def create_key(path: str | Path, size: int) -> bytes:
    """Draw a secret of `size` bytes and write it to a new file of mode 600. OSError where it cannot be made."""
    return create_secret(path, size, draw_secret)


class Secrets:
    """The secrets that open the leases of a run: `key` for all of them, or fresh bytes for each where it is None.

    lfsr, word_sources: the kind and the number of the device's word sources. origin: where the key comes from, for
    the claim. ValueError where the key does not fit the source.
    """

    def __init__(self, key: bytes | None, lfsr: bool, word_sources: int, origin: str) -> None:
        self._key, self._lfsr, self.origin = key, lfsr, origin
        self._size = secret_bytes(lfsr, word_sources)
        if key is not None and len(key) != self._size:
            raise ValueError(f"the key must have {self._size} bytes for this device, not {len(key)}")
        if key is not None and not self._usable(key):
            raise ValueError("the seeds must differ from one another and from zero")

    @property
    def public(self) -> bool:
        """Whether anybody can know the key: a published one, or a pattern."""
        return self._key is not None and weakness(self._key) is not None

    def __repr__(self) -> str:
        return f"Secrets({self._size} bytes hidden)"

    @classmethod
    def fresh(cls, lfsr: bool, word_sources: int) -> "Secrets":
        """New secrets for each lease, which are not stored: after the run nobody can take the flips off again."""
        return cls(None, lfsr, word_sources, "fresh from the operating system's generator for each lease, kept nowhere")

    @classmethod
    def file(cls, path: str | Path, lfsr: bool, word_sources: int) -> "Secrets":
        """The key in a file of mode 600, for every lease of the run."""
        return cls(read_key(path), lfsr, word_sources, f"from the file {path}")

    def next(self) -> bytes:
        """The secret of the next lease: the ledger's argument `key`."""
        while True:
            secret = self._key or draw_secret(self._size)
            if self._usable(secret):
                return secret

    def encode(self, secret: bytes) -> bytes:
        """A secret as it is sent in OPEN."""
        if not self._lfsr:
            return reverse_key(secret)
        return b"".join(number.to_bytes(SEED_BYTES, "little") for number in seed_numbers(secret))

    def _usable(self, secret: bytes) -> bool:
        seeds = seed_numbers(secret) if self._lfsr else [1]
        return all(seeds) and len(set(seeds)) == len(seeds)


def secret_bytes(lfsr: bool, word_sources: int) -> int:
    """Size of a secret in bytes."""
    return SEED_BYTES * word_sources if lfsr else KEY_BYTES


def seed_numbers(secret: bytes) -> list[int]:
    """The seeds in an LFSR secret: 16 bytes each, most significant first, the highest bit ignored."""
    return [
        int.from_bytes(secret[start : start + SEED_BYTES]) & MAX_SEED for start in range(0, len(secret), SEED_BYTES)
    ]
