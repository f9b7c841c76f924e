"""Keys that anybody can guess or look up: published ones, and patterns. Refused wherever a key enters private use.

The patterns together match fewer than 1 in 10^6 uniformly random secrets of 10 bytes; who draws a key draws again.
"""

import itertools
import secrets as system

#: a PUBLISHED key, so that the figures of the examples can be reproduced; it protects nothing
DEMO_KEY = b"spikeveil!"

#: keys that are printed somewhere; those of Trivium's test vectors are constant, count, or have one bit set
PUBLISHED = frozenset(
    {
        DEMO_KEY,
        bytes.fromhex("0123456789ABCDEF0123"),
        bytes.fromhex("0123456789ABCDEF1234"),
        bytes.fromhex("DEADBEEFDEADBEEFDEAD"),
        bytes.fromhex("DEADBEEFCAFEBABE1234"),
    }
)
_WORDS = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 ")


def weakness(secret: bytes) -> str | None:
    """Why `secret` (a key, or seeds one after the other) protects nothing, in words; None where nothing is known."""
    if secret in PUBLISHED or secret[::-1] in PUBLISHED:
        return "it is published"
    if len(set(secret)) < 4:
        return "it has fewer than four different bytes"
    steps = {(b - a) % 256 for a, b in itertools.pairwise(secret)}
    if len(steps) == 1:
        return "it counts"
    if all(byte in _WORDS for byte in secret.rstrip(b"\0")):
        return "it is text"
    if sum(byte.bit_count() for byte in secret) <= 1 or sum(8 - byte.bit_count() for byte in secret) <= 1:
        return "all its bits but one are equal"
    if any(secret == (secret[:period] * len(secret))[: len(secret)] for period in range(1, len(secret) // 2)):
        return "it repeats itself"
    return None


def check_secret(secret: bytes) -> None:
    """Raise ValueError, without the secret, where anybody could know it."""
    why = weakness(secret)
    if why is not None:
        raise ValueError(f"a key must come from the operating system's generator, and this one does not: {why}")


def draw_secret(size: int) -> bytes:
    """`size` random bytes that `weakness` finds nothing in."""
    while weakness(secret := system.token_bytes(size)) is not None:
        pass
    return secret
