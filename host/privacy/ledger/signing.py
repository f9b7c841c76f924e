"""Signatures of a ledger's head: who vouches for it, not that it is the latest.

The signed text is "spikeveil ledger head 1", the ledger's identity, the number of entries and the head's hash, one a
line, with a line feed after each. Keys are Ed25519; the secret one is 32 bytes in hexadecimal in a file of mode 600.
"""

import contextlib
from dataclasses import dataclass
from pathlib import Path

from spikeveil.host.privacy.ledger.errors import LedgerError
from spikeveil.host.privacy.ledger.witness import default_directory
from spikeveil.host.secret_files import create_secret, read_secret

SECRET_BYTES = 32


def signed_text(ledger: str, entries: int, head: str) -> bytes:
    """What a signature is of."""
    return f"spikeveil ledger head 1\n{ledger}\n{entries}\n{head}\n".encode("ascii")


@dataclass(frozen=True)
class Signature:
    """A signature of a head: the public `key` and the `signature`, in hexadecimal."""

    key: str
    signature: str

    def holds(self, ledger: str, entries: int, head: str) -> bool:
        """Whether it is this key's signature of this head."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(self.key))
            key.verify(bytes.fromhex(self.signature), signed_text(ledger, entries, head))
        except (InvalidSignature, ValueError):
            return False
        return True


class Signer:
    """A signing key in a file of mode 600; by default one of this user's own, made on first use."""

    def __init__(self, path: str | Path | None = None, *, state_directory: Path | None = None) -> None:
        self.path = Path(path) if path else (state_directory or default_directory()) / "signing.key"
        try:
            if path is None and not self.path.exists():
                self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                with contextlib.suppress(FileExistsError):
                    create_secret(self.path, SECRET_BYTES)
            secret = read_secret(self.path, "signing key")
        except (ValueError, OSError) as error:
            raise LedgerError(f"the signing key cannot be used: {error}") from error
        if len(secret) != SECRET_BYTES:
            raise LedgerError(f"signing key file {self.path} must hold {SECRET_BYTES} bytes, not {len(secret)}")
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        self._key = Ed25519PrivateKey.from_private_bytes(secret)
        self.public = self._key.public_key().public_bytes_raw().hex()

    def __repr__(self) -> str:
        return f"Signer({self.public})"

    def sign(self, ledger: str, entries: int, head: str) -> Signature:
        """The signature of a head."""
        return Signature(self.public, self._key.sign(signed_text(ledger, entries, head)).hex())
