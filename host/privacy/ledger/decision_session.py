"""Decisions declared before the first of them, as they are charged."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from spikeveil.host.privacy.decisions import MAX_EXACT, epsilon_of_decisions
from spikeveil.host.privacy.ledger.amounts import float_below, fraction_from_text, probability, to_text
from spikeveil.host.privacy.ledger.costs import SessionCost
from spikeveil.host.privacy.ledger.fields import Relation, check_layer
from spikeveil.host.privacy.units import Unit
from spikeveil.pysim.model import checks
from spikeveil.pysim.model.decision import Decision, OneHotDecision, describe, from_description
from spikeveil.pysim.model.spec import MAX_STEPS

#: the record number is 32 bits of the cipher's IV
MAX_RELEASES = 1 << 32


@dataclass(frozen=True)
class DecisionSession:
    """`releases` decisions of one network, one a record, declared before the first of them leaves.

    | field | bound | meaning |
    |---|---|---|
    | `decision` | `Decision` or `OneHotDecision` | the mechanism |
    | `steps` | 1 or more | steps of a record |
    | `releases` | 1 to 2^32 | decisions |
    | `delta` | 0 to 1, read exactly | of all decisions about one record together; one alone costs delta 0 |
    | `layer` | 0 to 255, or None | index of the output layer, which units below the record need |

    A decision costs its epsilon at every unit. Decisions about ONE record are composed exactly (`privacy.decisions`):
    all of them, where no record is named. Where the ledger is told which records are released, each of them once, a
    record is charged for one decision. Anything out of bounds raises ValueError.
    """

    decision: Decision | OneHotDecision
    steps: int
    releases: int
    delta: Fraction
    layer: int | None = None

    def __post_init__(self) -> None:
        if type(self.decision) not in (Decision, OneHotDecision):
            raise ValueError(f"session decision must be a Decision or a OneHotDecision, not {self.decision!r}")
        checks.integer("session steps", self.steps, 1, MAX_STEPS)
        checks.integer("session releases", self.releases, 1, MAX_RELEASES)
        check_layer(self.layer)
        object.__setattr__(self, "delta", probability("session delta", self.delta))

    @property
    def relation(self) -> Relation:
        """What neighbours differ by."""
        return "substitution"

    @property
    def quota(self) -> int:
        """What a device's guard counts down: decisions."""
        return self.releases

    def cost(self, unit: Unit, releases: int | None = None) -> SessionCost:
        """The cost at `unit`, epsilon rounded up: of all decisions about one record, or of that many."""
        count = self.releases if releases is None else releases
        delta = self.delta if count > 1 else Fraction(0)
        epsilon = epsilon_of_decisions(self.decision, count, float_below(delta))
        return SessionCost(unit, count, Fraction(epsilon), delta)

    def to_dict(self) -> dict[str, object]:
        """The session as it stands in an entry."""
        exact = "exact trinomial" if self.releases <= MAX_EXACT else "binomial of the dominating response"
        return {
            "kind": "decision",
            "decision": describe(self.decision),
            "steps": self.steps,
            "releases": self.releases,
            "layer": self.layer,
            "delta": to_text(self.delta),
            "composition": exact if self.delta else "pure sum",
        }

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "DecisionSession":
        """The session that `to_dict` wrote. ValueError, TypeError or KeyError for anything else."""
        decision: Any = from_description(content["decision"])
        delta = fraction_from_text(content["delta"])
        return cls(decision, content["steps"], content["releases"], delta, content["layer"])
