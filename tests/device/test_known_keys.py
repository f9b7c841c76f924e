"""Keys that anybody can guess or look up are refused; random ones are not."""

import os
import re
from fractions import Fraction
from pathlib import Path

import pytest
from support.paths import TESTS

from spikeveil.host.device.keys import Secrets
from spikeveil.host.known_keys import DEMO_KEY, check_secret, draw_secret, weakness
from spikeveil.host.privacy import RandomizedResponse
from spikeveil.host.privacy.ledger import Ledger, Session

VECTORS = sorted(set(re.findall(r"key = ([0-9A-F]{20})", (TESTS / "data" / "trivium-80.80.txt").read_text())))
KNOWN = [
    DEMO_KEY,
    DEMO_KEY[::-1],
    bytes(range(10)),
    bytes(range(250, 240, -1)),
    bytes(10),
    b"\xff" * 10,
    b"\x00\x01" * 5,
    b"password12",
    b"correct ho",
    b"secret\0\0\0\0",
    bytes.fromhex("00112233445566778899"),
    bytes.fromhex("deadbeefdeadbeefdead"),
    *map(bytes.fromhex, VECTORS),
]


@pytest.mark.parametrize("key", KNOWN, ids=bytes.hex)
def test_a_known_key_is_refused(key: bytes, tmp_path: Path) -> None:
    assert weakness(key) is not None
    with pytest.raises(ValueError, match="must come from the operating system's generator") as refusal:
        check_secret(key)
    assert key.hex() not in str(refusal.value)
    assert Secrets(key, False, 1, "a test").public
    with Ledger(tmp_path / "my.ledger", state_directory=tmp_path) as ledger:
        ledger.create_budget("digits", "record", 100, 0)
        session = Session(RandomizedResponse(1, 2), 2, 2, 1, Fraction(0))
        with pytest.raises(ValueError, match="must come from the operating system's generator"):
            ledger.lease("digits", session, key=key, specification="5a" * 32)
        assert ledger.last_lease == 0
        ledger.lease("digits", session, key=key, specification="5a" * 32, demonstration=True)


def test_the_vectors_of_trivium_are_all_known() -> None:
    assert len(VECTORS) == 42


def test_random_keys_are_hardly_ever_refused() -> None:
    """Fewer than 1 in 10^6 by count of the patterns; here 200,000 draws, of which 1 at the most may be hit."""
    words = 63  # letters, digits, the blank
    assert Fraction(words, 256) ** 10 < Fraction(1, 10**6)
    drawn = os.urandom(10 * 200_000)
    hits = sum(weakness(drawn[start : start + 10]) is not None for start in range(0, len(drawn), 10))
    assert hits <= 2
    assert len({draw_secret(10) for _ in range(50)}) == 50
