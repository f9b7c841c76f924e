"""What is charged: a pre-declared session of releases, or a cost stated by somebody who computed it elsewhere."""

import hashlib
import math
import re
from dataclasses import asdict, dataclass
from fractions import Fraction
from functools import lru_cache

from spikeveil.host.privacy.binomial import check_count
from spikeveil.host.privacy.ledger.amounts import Amount, amount, float_below, probability, to_text
from spikeveil.host.privacy.mechanisms import RandomizedResponse
from spikeveil.host.privacy.units import Unit

#: the record number is 32 bits of the cipher's IV
MAX_RELEASES = 1 << 32

#: noise source -> whether its words are unpredictable to somebody who knows how they are made
SOURCES = {"trivium": True, "os": True, "lfsr": False, "none": False}

#: unit -> the units whose neighbours are neighbours under it too
_COVERS = {
    Unit.RECORD: frozenset(Unit),
    Unit.STEP: frozenset({Unit.STEP, Unit.SPIKE}),
    Unit.NEURON: frozenset({Unit.NEURON, Unit.SPIKE}),
    Unit.SPIKE: frozenset({Unit.SPIKE}),
}


@dataclass(frozen=True)
class SessionCost:
    """What a session costs at one unit: (epsilon, delta), and how many bits were composed (0: not a bit mechanism)."""

    unit: Unit
    bits: int
    epsilon: Amount
    delta: Fraction


@dataclass(frozen=True)
class Session:
    """`releases` releases of one flipped layer's records, declared before the first of them leaves.

    Each record has `steps` (T) by `neurons` (N) bits, each flipped by `mechanism`, with at most `spike_limit` raw
    spikes a record and `step_spike_limit` a step (None: no limit). At a unit whose neighbours differ in m bits of a
    record (`Unit.bits`), the session is the composition of releases * m equal randomised responses, so its epsilon
    is the exact binomial's at the session's `delta`; at delta = 0 it is releases * m * epsilon. The bits may be
    chosen adaptively, since one pair of output distributions is the worst for every bit; the number of bits and
    the mechanism may not: they are fixed here.

    `delta` is read exactly (0 to 1). Raises ValueError for a value out of range.
    """

    mechanism: RandomizedResponse
    steps: int
    neurons: int
    releases: int
    delta: Fraction
    spike_limit: int | None = None
    step_spike_limit: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.mechanism, RandomizedResponse):
            raise ValueError(f"session mechanism must be a RandomizedResponse, not {self.mechanism!r}")
        if isinstance(self.releases, bool) or not isinstance(self.releases, int):
            raise ValueError(f"session releases must be an integer, not {self.releases!r}")
        if not 1 <= self.releases <= MAX_RELEASES:
            raise ValueError(f"session releases must be 1 to 2^32, not {self.releases}")
        object.__setattr__(self, "delta", probability("session delta", self.delta))
        check_count(self.bits(Unit.RECORD))

    def bits(self, unit: Unit) -> int:
        """How many bits the session composes at `unit`."""
        one = unit.bits(self.steps, self.neurons, spike_limit=self.spike_limit, step_spike_limit=self.step_spike_limit)
        return one * self.releases

    def cost(self, unit: Unit) -> SessionCost:
        """The session's cost at `unit`, epsilon rounded up."""
        bits = self.bits(unit)
        return SessionCost(unit, bits, _composed(self.mechanism, bits, self.delta), self.delta)

    def record(self) -> dict[str, object]:
        """The session as it stands in an entry."""
        return {
            "kind": "randomised response",
            "threshold": self.mechanism.threshold,
            "bits": self.mechanism.bits,
            "steps": self.steps,
            "neurons": self.neurons,
            "releases": self.releases,
            "spike_limit": self.spike_limit,
            "step_limit": self.step_spike_limit,
            "delta": to_text(self.delta),
            "composition": "exact binomial" if self.delta else "pure sum",
        }


@lru_cache(maxsize=256)
def _composed(mechanism: RandomizedResponse, bits: int, delta: Fraction) -> Fraction:
    """Epsilon of `bits` equal releases at a float delta that is not above the wanted one, which rounds epsilon up."""
    return Fraction(mechanism.epsilon_composed(bits, float_below(delta)))


@dataclass(frozen=True)
class Stated:
    """A cost computed elsewhere (DP-SGD, a label mechanism): `epsilon` and `delta` at `unit`, by `mechanism`.

    The text `mechanism` says what was done and which theorem gave the figures. The cost holds for every unit whose
    neighbours are neighbours at the stated one (a record's cost bounds a spike's, never the other way round).
    Raises ValueError for a value out of range.
    """

    mechanism: str
    unit: Unit
    epsilon: Amount
    delta: Fraction

    def __post_init__(self) -> None:
        text("stated mechanism", self.mechanism)
        object.__setattr__(self, "unit", Unit(self.unit))
        object.__setattr__(self, "epsilon", amount("stated epsilon", self.epsilon))
        object.__setattr__(self, "delta", probability("stated delta", self.delta))

    def cost(self, unit: Unit) -> SessionCost:
        """The cost at `unit`; infinite where the statement says nothing about that unit."""
        return SessionCost(unit, 0, self.epsilon if unit in _COVERS[self.unit] else math.inf, self.delta)

    def record(self) -> dict[str, object]:
        """The statement as it stands in an entry."""
        return {
            "kind": "stated",
            "mechanism": self.mechanism,
            "unit": self.unit.value,
            "epsilon": to_text(self.epsilon),
            "delta": to_text(self.delta),
        }


@dataclass(frozen=True)
class Booking:
    """What a charge is worth: where the noise comes from, and what was declared about it; see `Ledger.spend`."""

    source: str
    unsafe: bool = False
    demonstration: bool = False

    def __post_init__(self) -> None:
        if self.source not in SOURCES:
            raise ValueError(f"noise source must be {', '.join(sorted(SOURCES))}, not {self.source!r}")

    @property
    def worth(self) -> str:
        """ "private" (against whoever cannot predict the source), "nominal" (a demonstration) or "none"."""
        if self.unsafe or self.source == "none" or not (SOURCES[self.source] or self.demonstration):
            return "none"
        return "nominal" if self.demonstration else "private"

    def cost(self, cost: "Session | Stated", unit: Unit) -> SessionCost:
        """What is charged at `unit`: the cost, or infinity."""
        if self.worth == "none":
            bits = cost.bits(unit) if isinstance(cost, Session) else 0
            return SessionCost(unit, bits, math.inf, cost.delta)
        return cost.cost(unit)

    @property
    def single_use(self) -> bool:
        """Whether the source's key may serve one lease only: an LFSR's stream starts anew with each."""
        return self.source == "lfsr"

    def check_key(self, key: bytes | None) -> None:
        """Raise ValueError where `key` is not what the source needs. The message never holds the key."""
        given = "none" if key is None else f"{len(key)} bytes"
        if self.source == "trivium" and (key is None or len(key) != 10):
            raise ValueError(f"a lease under trivium needs a key of 10 bytes, not {given}")
        if self.source == "lfsr" and (not key or len(key) % 16):
            raise ValueError(f"a lease under lfsr needs its seeds, 16 bytes for each flipper, not {given}")
        if self.source in ("os", "none") and key is not None:
            raise ValueError(f"a lease under {self.source} takes no key")
        if key is not None and not self.demonstration and len(set(key)) < 4:
            raise ValueError("a key must come from the operating system's generator, and this one is a pattern")


@dataclass(frozen=True)
class Evidence:
    """What was built and run: SHA-256 of the specification, the Verilog and the bitstream (64 hexadecimal digits),
    and the versions of the tools, each optional. Raises ValueError."""

    specification: str | None = None
    verilog: str | None = None
    bitstream: str | None = None
    versions: str | None = None

    def __post_init__(self) -> None:
        for name in ("specification", "verilog", "bitstream"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, str) and re.fullmatch(r"[0-9a-f]{64}", value)):
                raise ValueError(f"{name} hash must be 64 lower-case hexadecimal digits, not {value!r}")
        if self.versions is not None:
            text("versions", self.versions, 2000)

    def record(self) -> dict[str, object]:
        """The evidence as it stands in an entry: what is known, and nothing else."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def text(name: str, value: object, longest: int = 200) -> str:
    """`value` if it is printable text of 1 to `longest` characters, else ValueError."""
    if not isinstance(value, str) or not 1 <= len(value) <= longest or not value.isprintable():
        raise ValueError(f"{name} must be 1 to {longest} printable characters, not {value!r}")
    return value


def key_digest(purpose: bytes, salt: bytes, key: bytes) -> str:
    """A name for `key` (80 random bits or more) that cannot be turned back: 128 bits of SHA-256 under a salt."""
    return hashlib.sha256(purpose + b"\0" + salt + b"\0" + key).hexdigest()[:32]
