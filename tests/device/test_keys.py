"""Keys: fresh, for their owner alone, as the device takes them, and nowhere to be seen."""

import os
import re
import stat
from pathlib import Path

import pytest

from spikeveil.host.device import keys
from spikeveil.host.device.keys import Secrets
from spikeveil.pysim.device.core import word_source
from spikeveil.pysim.model.source import LfsrSource, TriviumSource, WordSource

KEY = bytes.fromhex("00112233445566778899")


def first_words(source: WordSource, flipper: int) -> list[int]:
    found = source.words(16, flipper=flipper, layer=0, lease=1, first_record=0, records=1, count=8)
    return [int(word) for word in found[0]]


def test_a_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "key"
    old = os.umask(0)
    try:
        made = keys.create_key(path, 10)
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    again = Secrets.file(path, False, 1)
    assert bytes.fromhex(path.read_text()) == made == again.next() == again.next()
    assert again.origin == f"from the file {path}"
    with pytest.raises(FileExistsError):
        keys.create_key(path, 10)


def test_fresh_keys_differ() -> None:
    secrets = Secrets.fresh(False, 1)  # a key for each lease
    drawn = {secrets.next() for _ in range(20)}
    assert len(drawn) == 20 and {len(one) for one in drawn} == {10}


def test_seeds_serve_one_lease() -> None:
    secrets = Secrets.fresh(True, 3)
    secrets_drawn = {secrets.next() for _ in range(20)}
    assert len(secrets_drawn) == 20 and {len(one) for one in secrets_drawn} == {48}


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o610, 0o666])
def test_a_file_for_others_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    path.write_text(KEY.hex())
    path.chmod(mode)
    sentence = f"key file {path} must be for its owner alone, not of mode {mode:03o}: chmod 600"
    with pytest.raises(ValueError, match=f"^{re.escape(sentence)}$"):
        Secrets.file(path, False, 1)
    path.chmod(0o600)
    assert keys.read_key(path) == KEY


@pytest.mark.parametrize(
    ("content", "lfsr", "sentence"),
    [
        ("not hex, the secret", False, "does not hold hexadecimal digits"),
        ("00ff", False, "the key must have 10 bytes for this device, not 2"),
        (KEY.hex(), True, "the key must have 32 bytes for this device, not 10"),
        ("00" * 32, True, "the seeds must differ from one another and from zero"),
        ("80" + "00" * 15 + "11" * 16, True, "the seeds must differ from one another and from zero"),
        ("11" * 32, True, "the seeds must differ from one another and from zero"),
    ],
)
def test_what_a_file_holds(tmp_path: Path, content: str, lfsr: bool, sentence: str) -> None:
    path = tmp_path / "key"
    path.write_text(content)
    path.chmod(0o600)
    with pytest.raises(ValueError, match=re.escape(sentence)) as caught:
        Secrets.file(path, lfsr, 2)
    assert content not in str(caught.value)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^key file \S+ could not be read: No such file or directory$"):
        Secrets.file(tmp_path / "none", False, 1)
    with pytest.raises(FileNotFoundError):
        keys.create_key(tmp_path / "none" / "key", 10)


def test_nothing_shows_a_key() -> None:
    assert repr(Secrets(KEY, False, 1, "a test")) == "Secrets(10 bytes hidden)"
    with pytest.raises(ValueError) as caught:
        Secrets(KEY, True, 1, "a test")
    assert KEY.hex() not in str(caught.value) and repr(KEY) not in str(caught.value)


def test_the_device_draws_the_words_that_the_key_promises() -> None:
    sent = Secrets(KEY, False, 1, "a test").encode(KEY)
    assert first_words(word_source(sent, lfsr=False), 0) == first_words(TriviumSource(KEY), 0)
    seeds = bytes(range(1, 33))
    sent = Secrets(seeds, True, 2, "a test").encode(seeds)
    numbers = [int.from_bytes(seeds[:16], "big"), int.from_bytes(seeds[16:], "big")]
    for flipper in (0, 1):
        assert first_words(word_source(sent, lfsr=True), flipper) == first_words(LfsrSource(numbers), flipper)
