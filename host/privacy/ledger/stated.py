"""A cost that was computed elsewhere, as it is charged."""

import math
from dataclasses import dataclass
from fractions import Fraction

from spikeveil.host.privacy.ledger.amounts import Amount, amount, probability, to_text
from spikeveil.host.privacy.ledger.costs import SessionCost
from spikeveil.host.privacy.ledger.fields import Relation, check_relation, text
from spikeveil.host.privacy.units import SMALL_UNITS, Unit

#: unit -> the units whose neighbours are neighbours under it too
_COVERS = {
    Unit.SUBJECT: frozenset(Unit),
    Unit.RECORD: SMALL_UNITS | {Unit.RECORD},
    Unit.STEP: frozenset({Unit.STEP, Unit.SPIKE}),
    Unit.NEURON: frozenset({Unit.NEURON, Unit.SPIKE}),
    Unit.SPIKE: frozenset({Unit.SPIKE}),
}


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
