"""The key or the seeds of a simulation, for the golden model and the gateware alike; never printed."""

import secrets
from dataclasses import dataclass, field

import click

from spikeveil.host.cosim.job import LeasePorts
from spikeveil.host.device.keys import read_key, secret_bytes, seed_numbers
from spikeveil.host.known_keys import DEMO_KEY, draw_secret
from spikeveil.pysim.model.source import FIRST_SIMULATED_LEASE, MAX_LEASE, LfsrSource, TriviumSource, WordSource
from spikeveil.pysim.model.trivium import port_value

KEY_BYTES = 10
FRESH = "fresh from the operating system's generator"
PUBLIC = "the public demonstration key, which protects nothing"


@dataclass(frozen=True)
class Opening:
    """The secret and the numbers that a simulated lease is opened with.

    - `source`: "trivium" or "lfsr";
    - `number`, `record`: the lease, and the number of its first record;
    - `origin`: a phrase that says where the secret is from;
    - `key`: 10 bytes under trivium; `seeds`: one a flipper under lfsr.
    """

    source: str
    number: int
    record: int
    origin: str
    key: bytes = field(default=b"", repr=False)
    seeds: tuple[int, ...] = field(default=(), repr=False)

    def words(self) -> WordSource:
        """The word source of the golden model."""
        return TriviumSource(self.key) if self.source == "trivium" else LfsrSource(self.seeds)

    def lease(self) -> LeasePorts:
        """The port values of the gateware."""
        key = port_value(self.key, "key") if self.key else 0
        return LeasePorts(number=self.number, record=self.record, key=key, seeds=self.seeds)


def draw_lease() -> int:
    """A random lease number for a simulation: no ledger grants it."""
    return FIRST_SIMULATED_LEASE + secrets.randbelow(FIRST_SIMULATED_LEASE)


def check_lease(number: int) -> int:
    """`number`, if it belongs to simulations. ClickException."""
    if not FIRST_SIMULATED_LEASE <= number <= MAX_LEASE:
        raise click.ClickException(
            f"lease of a simulation must be 2^39 to 2^40 - 1, not {number}: a ledger may grant it to a device, and two "
            "outputs under one mask cancel it"
        )
    return number


def fresh(source: str, flippers: int, number: int | None = None, record: int = 0) -> Opening:
    """A key, or seeds, from the operating system's generator; `number` by default random."""
    number = draw_lease() if number is None else check_lease(number)
    if source == "trivium":
        return Opening(source, number, record, FRESH, key=draw_secret(KEY_BYTES))
    top = (1 << 127) - 1
    return Opening(source, number, record, FRESH, seeds=tuple(1 + secrets.randbelow(top) for _ in range(flippers)))


def demonstration(source: str, flippers: int, number: int | None = None, record: int = 0) -> Opening:
    """The published key, or seeds made from it; `number` by default 2^39, as there is nothing to hide."""
    number = check_lease(FIRST_SIMULATED_LEASE if number is None else number)
    if source == "trivium":
        return Opening(source, number, record, PUBLIC, key=DEMO_KEY)
    seeds = tuple(int.from_bytes(DEMO_KEY + index.to_bytes(2, "big")) for index in range(flippers))
    return Opening(source, number, record, PUBLIC, seeds=seeds)


def from_file(path: str, source: str, flippers: int, number: int | None = None, record: int = 0) -> Opening:
    """The key in a file, in hexadecimal: 10 bytes, or 16 for each flipper under lfsr; `number` by default random.

    ClickException where it holds anything else; the message does not show the content.
    """
    number = draw_lease() if number is None else check_lease(number)
    size = secret_bytes(source == "lfsr", flippers)
    try:
        content = read_key(path)
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    if len(content) != size:
        raise click.ClickException(
            f"key file {path} must hold {size} bytes in hexadecimal for {source}, not {len(content)}"
        )
    origin = "from a file; simulated, not leased"
    if source == "trivium":
        return Opening(source, number, record, origin, key=content)
    return Opening(source, number, record, origin, seeds=tuple(seed_numbers(content)))
