"""What is charged: releases or a training run declared beforehand, or a cost that was computed elsewhere."""

import hashlib
import math
import re
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from functools import lru_cache
from typing import Any, Literal

from spikeveil.host.known_keys import check_secret
from spikeveil.host.privacy.binomial import check_count
from spikeveil.host.privacy.ledger.amounts import (
    Amount,
    amount,
    float_below,
    fraction_from_text,
    from_text,
    probability,
    to_text,
)
from spikeveil.host.privacy.mechanisms import RandomizedResponse
from spikeveil.host.privacy.series import series_epsilon
from spikeveil.host.privacy.units import SMALL_UNITS, Unit

#: the record number is 32 bits of the cipher's IV
MAX_RELEASES = 1 << 32

#: noise source -> whether its words are unpredictable to somebody who knows how they are made
SOURCES = {"trivium": True, "os": True, "lfsr": False, "none": False}

#: what neighbouring data sets differ by: one record (or subject) exchanged, or one added or removed
Relation = Literal["substitution", "add/remove"]
RELATIONS: tuple[Relation, ...] = ("substitution", "add/remove")

#: unit -> the units whose neighbours are neighbours under it too
_COVERS = {
    Unit.SUBJECT: frozenset(Unit),
    Unit.RECORD: SMALL_UNITS | {Unit.RECORD},
    Unit.STEP: frozenset({Unit.STEP, Unit.SPIKE}),
    Unit.NEURON: frozenset({Unit.NEURON, Unit.SPIKE}),
    Unit.SPIKE: frozenset({Unit.SPIKE}),
}


@dataclass(frozen=True)
class SessionCost:
    """What a session costs at one unit: (epsilon, delta), and how many bits were composed (0: not a bit mechanism).

    counts: at subject level, for releases of named records, (records of a subject, epsilon, delta) for each number of
    records that a subject has among them; epsilon and delta are then the largest. Empty otherwise.
    """

    unit: Unit
    bits: int
    epsilon: Amount
    delta: Fraction
    counts: tuple[tuple[int, Amount, Fraction], ...] = field(default=())


@dataclass(frozen=True)
class Session:
    """`releases` releases of one flipped layer's records, declared before the first of them leaves.

    Each record has `steps` (T) by `neurons` (N) bits, each flipped by `mechanism`, with at most `spike_limit` raw
    spikes a record and `step_spike_limit` a step (None: no limit). At a unit whose neighbours differ in m bits of a
    record (`Unit.bits`), `releases` releases of ONE record are the composition of releases * m equal randomised
    responses, so their epsilon is the exact binomial's at the session's `delta`; at delta = 0 it is
    releases * m * epsilon. Where the ledger is told which records are released, each of them once, a record is
    charged for one release. The bits may be chosen adaptively, since one pair of output distributions is the worst for
    every bit; the number of bits and the mechanism may not: they are fixed here.

    later: the flipped layers behind this one, in order, as (mechanism, bits of a record): every path from it to the
    output crosses them, and the chain may cost less than its first wall (`privacy.series`).
    `delta` is read exactly (0 to 1). layer: index of the flipped layer, which units below the record need.
    Raises ValueError for a value out of range.
    """

    mechanism: RandomizedResponse
    steps: int
    neurons: int
    releases: int
    delta: Fraction
    spike_limit: int | None = None
    step_spike_limit: int | None = None
    layer: int | None = None
    later: tuple[tuple[RandomizedResponse, int], ...] = ()

    def __post_init__(self) -> None:
        for wall, bits in self.later:
            if type(wall) is not RandomizedResponse or check_count(bits) < 1:
                raise ValueError(f"session walls behind must be a RandomizedResponse and its bits, not {wall!r}")
        if type(self.mechanism) is not RandomizedResponse:
            raise ValueError(f"session mechanism must be a RandomizedResponse, not {self.mechanism!r}")
        if isinstance(self.releases, bool) or not isinstance(self.releases, int):
            raise ValueError(f"session releases must be an integer, not {self.releases!r}")
        if not 1 <= self.releases <= MAX_RELEASES:
            raise ValueError(f"session releases must be 1 to 2^32, not {self.releases}")
        check_layer(self.layer)
        object.__setattr__(self, "delta", probability("session delta", self.delta))
        check_count(self.bits(Unit.RECORD))

    @property
    def relation(self) -> Relation:
        """What neighbours differ by."""
        return "substitution"

    def bits(self, unit: Unit, releases: int | None = None) -> int:
        """How many bits are composed at `unit`: of all releases, or of that many."""
        one = unit.bits(self.steps, self.neurons, spike_limit=self.spike_limit, step_spike_limit=self.step_spike_limit)
        return one * (self.releases if releases is None else releases)

    def cost(self, unit: Unit, releases: int | None = None) -> SessionCost:
        """The cost at `unit`, epsilon rounded up: of all releases, or of that many."""
        count = self.releases if releases is None else releases
        one = self.bits(unit, 1)
        epsilon = _composed(self.mechanism, one, self.later, count, self.delta)
        return SessionCost(unit, one * count, epsilon, self.delta)

    def to_dict(self) -> dict[str, object]:
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
            "layer": self.layer,
            "delta": to_text(self.delta),
            "composition": "exact binomial" if self.delta else "pure sum",
            **({"later": self._later_dict()} if self.later else {}),
        }

    def _later_dict(self) -> list[dict[str, int]]:
        return [{"threshold": wall.threshold, "bits": wall.bits, "record_bits": bits} for wall, bits in self.later]


@lru_cache(maxsize=256)
def _composed(
    mechanism: RandomizedResponse,
    bits: int,
    later: tuple[tuple[RandomizedResponse, int], ...],
    releases: int,
    delta: Fraction,
) -> Fraction:
    """Epsilon of the releases at a float delta that is not above the wanted one, which rounds epsilon up."""
    behind = tuple((wall.flip_probability, count) for wall, count in later)
    return Fraction(series_epsilon((mechanism.flip_probability, bits), behind, releases, float_below(delta)))


@dataclass(frozen=True)
class TrainingSession:
    """A whole run of DP-SGD, declared before its first step; see `DpSgd` for its conditions.

    noise_multiplier, batch_size (expected), dataset_size: of every step; steps: ALL steps of the run; delta: read
    exactly; method: the bound, `pld` or `rdp`. Neighbours differ by one example added or removed: it is charged to
    add/remove budgets alone. Raises ValueError for a value out of range.
    """

    noise_multiplier: float
    batch_size: int
    dataset_size: int
    steps: int
    delta: Fraction
    method: Literal["pld", "rdp"] = "pld"

    def __post_init__(self) -> None:
        from spikeveil.host.privacy.dpsgd import DpSgd

        mechanism = DpSgd(self.noise_multiplier, self.batch_size, self.dataset_size)
        object.__setattr__(self, "noise_multiplier", mechanism.noise_multiplier)
        if isinstance(self.steps, bool) or not isinstance(self.steps, int) or not 1 <= self.steps <= 10**9:
            raise ValueError(f"training steps must be an integer from 1 to 10^9, not {self.steps!r}")
        if self.method not in ("pld", "rdp"):
            raise ValueError(
                f"training method must be pld or rdp, not {self.method!r}: an approximation bounds nothing"
            )
        object.__setattr__(self, "delta", probability("training delta", self.delta))

    @property
    def relation(self) -> Relation:
        """What neighbours differ by."""
        return "add/remove"

    def cost(self, unit: Unit, releases: int | None = None) -> SessionCost:
        """The cost of the whole run for one example; infinite at any other unit."""
        if unit is not Unit.RECORD:
            return SessionCost(unit, 0, math.inf, self.delta)
        key = (self.noise_multiplier, self.batch_size, self.dataset_size, self.steps, self.delta, self.method)
        return SessionCost(unit, 0, _trained(*key), self.delta)

    def to_dict(self) -> dict[str, object]:
        """The session as it stands in an entry."""
        return {
            "kind": "dp-sgd",
            "noise_multiplier": to_text(Fraction(self.noise_multiplier)),
            "batch_size": self.batch_size,
            "dataset_size": self.dataset_size,
            "steps": self.steps,
            "delta": to_text(self.delta),
            "method": self.method,
        }


@lru_cache(maxsize=64)
def _trained(noise: float, batch: int, size: int, steps: int, delta: Fraction, method: Literal["pld", "rdp"]) -> Amount:
    from spikeveil.host.privacy.dpsgd import DpSgd

    epsilon = DpSgd(noise, batch, size).epsilon(steps, float_below(delta), method)
    return Fraction(epsilon) if math.isfinite(epsilon) else math.inf


@dataclass(frozen=True)
class Stated:
    """A cost computed elsewhere (a label mechanism, another library): `epsilon` and `delta` at `unit`, by `mechanism`.

    The text `mechanism` says what was done and which theorem gave the figures. The cost holds for every unit whose
    neighbours are neighbours at the stated one (a record's cost bounds a spike's, never the other way round), and for
    budgets of its `relation` alone. Nobody can recompute it: `verify` accepts it only where it is told to.
    Raises ValueError for a value out of range.
    """

    mechanism: str
    unit: Unit
    epsilon: Amount
    delta: Fraction
    relation: Relation = "substitution"

    def __post_init__(self) -> None:
        text("stated mechanism", self.mechanism)
        object.__setattr__(self, "unit", Unit(self.unit))
        object.__setattr__(self, "epsilon", amount("stated epsilon", self.epsilon))
        object.__setattr__(self, "delta", probability("stated delta", self.delta))
        check_relation(self.relation)

    def cost(self, unit: Unit, releases: int | None = None) -> SessionCost:
        """The cost at `unit`; infinite where the statement says nothing about that unit.

        At subject level, of a subject with that many of the records: group privacy, for delta = 0 alone.
        """
        if unit is Unit.SUBJECT and self.unit is Unit.RECORD and releases is not None and self.delta == 0:
            return SessionCost(unit, 0, releases * self.epsilon, self.delta)
        return SessionCost(unit, 0, self.epsilon if unit in _COVERS[self.unit] else math.inf, self.delta)

    def to_dict(self) -> dict[str, object]:
        """The statement as it stands in an entry."""
        return {
            "kind": "stated",
            "mechanism": self.mechanism,
            "unit": self.unit.value,
            "epsilon": to_text(self.epsilon),
            "delta": to_text(self.delta),
        }


Chargeable = Session | TrainingSession | Stated


def session_of(content: dict[str, Any], relation: Relation = "substitution") -> Chargeable:
    """The session that wrote `content`. ValueError or TypeError where it is none, or not the one text of it."""
    kind, delta = content["kind"], fraction_from_text(content["delta"])
    found: Chargeable
    if kind == "randomised response":
        mechanism = RandomizedResponse(content["threshold"], content["bits"])
        shape = (content["steps"], content["neurons"], content["releases"], delta)
        later = tuple(
            (RandomizedResponse(one["threshold"], one["bits"]), one["record_bits"]) for one in content.get("later", ())
        )
        found = Session(mechanism, *shape, content["spike_limit"], content["step_limit"], content.get("layer"), later)
    elif kind == "dp-sgd":
        noise = float(fraction_from_text(content["noise_multiplier"]))
        sizes = (content["batch_size"], content["dataset_size"], content["steps"])
        found = TrainingSession(noise, *sizes, delta, content["method"])
    elif kind == "stated":
        found = Stated(content["mechanism"], Unit(content["unit"]), from_text(content["epsilon"]), delta, relation)
    else:
        raise ValueError(f"session kind {kind!r} is unknown")
    written = found.to_dict()
    if "layer" not in content and written.get("layer", 0) is None:
        del written["layer"]  # as schema 1 wrote it
    if written != content or found.relation != relation:
        raise ValueError("the session contradicts itself")
    return found


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
        """ "private" (against an adversary who cannot predict the source), "nominal" (a demonstration) or "none"."""
        if self.unsafe or self.source == "none" or not (SOURCES[self.source] or self.demonstration):
            return "none"
        return "nominal" if self.demonstration else "private"

    def cost(self, cost: Chargeable, unit: Unit, releases: int | None = None) -> SessionCost:
        """What is charged at `unit`, of all releases or of that many: the cost, or infinity."""
        if self.worth == "none":
            bits = cost.bits(unit, releases) if isinstance(cost, Session) else 0
            return SessionCost(unit, bits, math.inf, cost.delta)
        return cost.cost(unit, releases)

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
        if key is not None and not self.demonstration:
            check_secret(key)


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
            check_hash(name, getattr(self, name))
        if self.versions is not None:
            text("versions", self.versions, 2000)

    def to_dict(self) -> dict[str, object]:
        """The evidence as it stands in an entry: what is known, and nothing else."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def check_hash(name: str, value: object) -> None:
    """Raise ValueError unless `value` is None or a SHA-256 in hexadecimal."""
    if value is not None and not (isinstance(value, str) and re.fullmatch(r"[0-9a-f]{64}", value)):
        raise ValueError(f"{name} hash must be 64 lower-case hexadecimal digits, not {value!r}")


def check_layer(value: object) -> None:
    """Raise ValueError unless `value` is None or the index of a layer."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 256):
        raise ValueError(f"layer must be 0 to 255, not {value!r}")


def check_relation(value: object) -> None:
    """Raise ValueError unless `value` is one of `RELATIONS`."""
    if value not in RELATIONS:
        raise ValueError(f"relation must be substitution or add/remove, not {value!r}")


def text(name: str, value: object, longest: int = 200) -> str:
    """`value` if it is printable text of 1 to `longest` characters, else ValueError."""
    if not isinstance(value, str) or not 1 <= len(value) <= longest or not value.isprintable():
        raise ValueError(f"{name} must be 1 to {longest} printable characters, not {value!r}")
    return value


def key_digest(purpose: bytes, salt: bytes, key: bytes) -> str:
    """A name for `key` (80 random bits or more) that cannot be turned back: 128 bits of SHA-256 under a salt."""
    return hashlib.sha256(purpose + b"\0" + salt + b"\0" + key).hexdigest()[:32]
