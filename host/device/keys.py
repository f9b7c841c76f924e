"""Keys and seeds: drawn from the operating system's generator, stored in files of mode 600, never printed."""

import os
import secrets
import stat
from pathlib import Path

from spikeveil.host.networks.digits_example import DEMO_KEY
from spikeveil.pysim.device.messages import reverse_key
from spikeveil.pysim.device.wire import SEED_BYTES
from spikeveil.pysim.model.lfsr import SEED_BITS
from spikeveil.pysim.model.trivium import KEY_BYTES

MAX_SEED = (1 << SEED_BITS) - 1  # an LFSR takes the lower 127 bits of its 16 bytes


def read_key(path: str | Path, *, private: bool = True) -> bytes:
    """The bytes that a file holds in hexadecimal. ValueError, without them, where it holds anything else.

    private: refuse a file that others than its owner can read or write.
    """
    path = Path(path)
    try:
        with path.open("rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            content = stream.read(1 << 16)
    except OSError as error:
        raise ValueError(f"key file {path} could not be read: {error.strerror}") from None
    if private and os.name == "posix" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ValueError(
            f"key file {path} must be for its owner alone, not of mode {stat.S_IMODE(mode):03o}: chmod 600"
        )
    try:
        return bytes.fromhex(content.decode("ascii").strip())
    except ValueError:
        raise ValueError(f"key file {path} does not hold hexadecimal digits") from None


def create_key(path: str | Path, size: int) -> bytes:
    """Draw `size` bytes from the operating system's generator and write them to a new file of mode 600.

    OSError where the file exists or cannot be made.
    """
    key = secrets.token_bytes(size)
    handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as stream:
        stream.write(key.hex() + "\n")
        stream.flush()
        os.fsync(stream.fileno())
    return key


class Secrets:
    """The secrets that open the leases of a run: `key` for all of them, or fresh bytes for each where it is None.

    lfsr, flippers: the source of the device, and its number of flipped layers. origin: where the key comes from, for
    the claim. ValueError where the key does not fit the source.
    """

    def __init__(self, key: bytes | None, lfsr: bool, flippers: int, origin: str) -> None:
        self._key, self._lfsr, self.origin = key, lfsr, origin
        self._size = secret_bytes(lfsr, flippers)
        if key is not None and len(key) != self._size:
            raise ValueError(f"the key must have {self._size} bytes for this device, not {len(key)}")
        if key is not None and not self._usable(key):
            raise ValueError("the seeds must differ from one another and from zero")

    @property
    def public(self) -> bool:
        """Whether the key is the published one of the examples."""
        return not self._lfsr and self._key == DEMO_KEY

    def __repr__(self) -> str:
        return f"Secrets({self._size} bytes hidden)"

    @classmethod
    def fresh(cls, lfsr: bool, flippers: int) -> "Secrets":
        """Secrets that are not stored: under Trivium one key for the run, under an LFSR new seeds for each lease."""
        key = None if lfsr else secrets.token_bytes(KEY_BYTES)
        return cls(key, lfsr, flippers, "fresh from the operating system's generator, kept nowhere")

    @classmethod
    def file(cls, path: str | Path, lfsr: bool, flippers: int, *, make: bool = False) -> "Secrets":
        """The key in a file of mode 600; with `make`, a new key where there is no file."""
        if make and not Path(path).exists():
            try:
                key = create_key(path, secret_bytes(lfsr, flippers))
                return cls(key, lfsr, flippers, f"fresh from the operating system's generator, kept in {path}")
            except FileExistsError:  # another process was faster
                pass
            except OSError as error:
                raise ValueError(f"key file {path} could not be made: {error.strerror}") from None
        return cls(read_key(path), lfsr, flippers, f"from the file {path}")

    def next(self) -> bytes:
        """The secret of the next lease: the ledger's argument `key`."""
        while True:
            secret = self._key or secrets.token_bytes(self._size)
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


def secret_bytes(lfsr: bool, flippers: int) -> int:
    """Size of a secret in bytes."""
    return SEED_BYTES * flippers if lfsr else KEY_BYTES


def seed_numbers(secret: bytes) -> list[int]:
    """The seeds in an LFSR secret: 16 bytes each, most significant first, the highest bit ignored."""
    return [
        int.from_bytes(secret[start : start + SEED_BYTES]) & MAX_SEED for start in range(0, len(secret), SEED_BYTES)
    ]
