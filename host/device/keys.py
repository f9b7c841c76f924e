"""Keys and seeds: drawn from the operating system, kept in files that only their owner can read, never shown."""

import os
import secrets
import stat
from pathlib import Path

from spikeveil.pysim.device.messages import KEY_BYTES, SEED_BYTES, turned

MAX_SEED = (1 << 127) - 1  # an LFSR takes the lower 127 bits of its 16 bytes


def read(path: str | Path, *, private: bool = True) -> bytes:
    """The bytes that a file holds in hexadecimal. ValueError, which does not show them, where it holds anything else.

    private: the file is refused where anybody but its owner can read or write it.
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


def create(path: str | Path, size: int) -> bytes:
    """`size` bytes from the operating system's generator, on the disk in a new file for its owner alone.

    OSError where the file is there already, or cannot be made.
    """
    key = secrets.token_bytes(size)
    handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as stream:
        stream.write(key.hex() + "\n")
        stream.flush()
        os.fsync(stream.fileno())
    return key


class Secrets:
    """What opens the leases of a run: `key` for all of them, or without one fresh bytes for each.

    origin: where they come from, in words for a claim. ValueError where the key does not fit the source.
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
        """Whether anybody can look the key up: it is the one of the examples."""
        from spikeveil.host.networks.digits_example import DEMO_KEY

        return not self._lfsr and self._key == DEMO_KEY

    def __repr__(self) -> str:
        return f"Secrets({self._size} bytes hidden)"

    @classmethod
    def fresh(cls, lfsr: bool, flippers: int) -> "Secrets":
        """Kept nowhere: under Trivium one key for the run, under an LFSR new seeds for each lease."""
        key = None if lfsr else secrets.token_bytes(KEY_BYTES)
        return cls(key, lfsr, flippers, "fresh from the operating system's generator, kept nowhere")

    @classmethod
    def file(cls, path: str | Path, lfsr: bool, flippers: int, *, make: bool = False) -> "Secrets":
        """The key in a file for its owner alone; with `make`, one is made where there is no file."""
        if make and not Path(path).exists():
            try:
                key = create(path, secret_bytes(lfsr, flippers))
                return cls(key, lfsr, flippers, f"fresh from the operating system's generator, kept in {path}")
            except FileExistsError:  # another run was faster
                pass
            except OSError as error:
                raise ValueError(f"key file {path} could not be made: {error.strerror}") from None
        return cls(read(path), lfsr, flippers, f"from the file {path}")

    def next(self) -> bytes:
        """The secret of the next lease, as the ledger takes it."""
        while True:
            secret = self._key or secrets.token_bytes(self._size)
            if self._usable(secret):
                return secret

    def wire(self, secret: bytes) -> bytes:
        """A secret as an OPEN carries it."""
        if not self._lfsr:
            return turned(secret)
        return b"".join(number.to_bytes(SEED_BYTES, "little") for number in seed_numbers(secret))

    def _usable(self, secret: bytes) -> bool:
        seeds = seed_numbers(secret) if self._lfsr else [1]
        return all(seeds) and len(set(seeds)) == len(seeds)


def secret_bytes(lfsr: bool, flippers: int) -> int:
    """Bytes of a secret."""
    return SEED_BYTES * flippers if lfsr else KEY_BYTES


def seed_numbers(secret: bytes) -> list[int]:
    """The seeds of an LFSR secret: 16 bytes each, most significant first, of which the highest bit does not count."""
    return [int.from_bytes(secret[at : at + SEED_BYTES]) & MAX_SEED for at in range(0, len(secret), SEED_BYTES)]
