"""Releases declared before the first of them, as they are charged; the sessions that entries hold."""

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

from spikeveil.host.privacy.binomial import check_count
from spikeveil.host.privacy.events import binary_flip
from spikeveil.host.privacy.ledger.amounts import float_below, fraction_from_text, from_text, probability, to_text
from spikeveil.host.privacy.ledger.costs import SessionCost
from spikeveil.host.privacy.ledger.decision_session import MAX_RELEASES, DecisionSession
from spikeveil.host.privacy.ledger.fields import Relation, check_layer
from spikeveil.host.privacy.ledger.stated import Stated
from spikeveil.host.privacy.ledger.training_session import TrainingSession
from spikeveil.host.privacy.mechanisms import RandomizedResponse
from spikeveil.host.privacy.series import series_epsilon
from spikeveil.host.privacy.units import Unit
from spikeveil.pysim.model.decision import Decision, OneHotDecision, RandomisedDecision, describe, from_description

#: a randomised layer behind another, and the bits of a record
LaterWall = tuple[RandomizedResponse | Decision | OneHotDecision, int]


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

    later: the randomised layers behind this one, in order, as (mechanism, bits of a record): every path from it to the
    output crosses them, and the chain may cost less than its first wall (`privacy.series`). The last may be a decision,
    which counts as 1 bit.
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
    later: tuple[LaterWall, ...] = ()

    def __post_init__(self) -> None:
        for wall, bits in self.later:
            if type(wall) not in (RandomizedResponse, Decision, OneHotDecision) or check_count(bits) < 1:
                raise ValueError(f"session walls behind must be a RandomizedResponse and its bits, not {wall!r}")
        if any(isinstance(wall, RandomisedDecision) for wall, _ in self.later[:-1]):
            raise ValueError("session walls behind must hold a decision as the last one only")
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

    @property
    def quota(self) -> int:
        """What a device's guard counts down: steps; records, where a decision ends each."""
        decides = bool(self.later) and isinstance(self.later[-1][0], RandomisedDecision)
        return self.releases * (1 if decides else self.steps)

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
            **({"later": [_later_dict(*one) for one in self.later]} if self.later else {}),
        }


@lru_cache(maxsize=256)
def _composed(
    mechanism: RandomizedResponse,
    bits: int,
    later: tuple[LaterWall, ...],
    releases: int,
    delta: Fraction,
) -> Fraction:
    """Epsilon of the releases at a float delta that is not above the wanted one, which rounds epsilon up."""
    behind = tuple((binary_flip(wall), count) for wall, count in later)
    return Fraction(series_epsilon((mechanism.flip_probability, bits), behind, releases, float_below(delta)))


def _later_dict(wall: RandomizedResponse | Decision | OneHotDecision, bits: int) -> dict[str, object]:
    if isinstance(wall, RandomizedResponse):
        return {"threshold": wall.threshold, "bits": wall.bits, "record_bits": bits}
    return {"decision": describe(wall), "record_bits": bits}


def _later_of(content: dict[str, Any]) -> LaterWall:
    """The wall that `_later_dict` wrote."""
    if "decision" in content:
        decision: Any = from_description(content["decision"])
        return decision, content["record_bits"]
    return RandomizedResponse(content["threshold"], content["bits"]), content["record_bits"]


#: what a device releases under a lease
ReleaseSession = Session | DecisionSession
Chargeable = ReleaseSession | TrainingSession | Stated


def session_of(content: dict[str, Any], relation: Relation = "substitution") -> Chargeable:
    """The session that wrote `content`. ValueError or TypeError where it is none, or not the one text of it."""
    kind, delta = content["kind"], fraction_from_text(content["delta"])
    found: Chargeable
    if kind == "randomised response":
        mechanism = RandomizedResponse(content["threshold"], content["bits"])
        shape = (content["steps"], content["neurons"], content["releases"], delta)
        later = tuple(_later_of(one) for one in content.get("later", ()))
        found = Session(mechanism, *shape, content["spike_limit"], content["step_limit"], content.get("layer"), later)
    elif kind == "decision":
        found = DecisionSession.from_dict(content)
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
