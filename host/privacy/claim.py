"""The privacy claim of a release, always in four parts: unit; epsilon and delta; randomness; spent."""

import math
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from spikeveil.host.privacy.plan import UnitCost, accuracy_ceiling
from spikeveil.host.privacy.units import Unit
from spikeveil.host.privacy.walls import DecisionWall, Wall, cheapest, walls, walls_behind
from spikeveil.host.privacy.wording import AGAINST, decision_output, up
from spikeveil.pysim.model import checks
from spikeveil.pysim.model.source import LfsrSource, TriviumSource
from spikeveil.pysim.model.spec import NetworkSpec

ASSURANCE = {source.name: source.assurance for source in (TriviumSource, LfsrSource)}


@dataclass(frozen=True)
class Claim:
    """The privacy cost of `releases` releases of the same data from a core built from `spec`; made by `of`.

    wall: the flipped layer or the decision that bounds the release, None where there is neither. Everything behind a
    flipped layer is computed from its flipped spikes (post-processing), so with several walls each one alone bounds
    the whole release, and one with those behind it bounds it further (`series`): the one with the smallest record
    epsilon is taken. costs: every unit at that layer, exact composition at `delta`, rounded up. delta: 0 where one
    decision is the wall. faults: why the epsilon is infinite, empty where it is not; the costs are then nominal.
    """

    spec: NetworkSpec
    wall: Wall | None
    delta: float
    releases: int
    costs: tuple[UnitCost, ...]
    source: str
    key_origin: str
    steps: int
    walls: tuple[Wall, ...]
    booked: str | None = None
    faults: tuple[str, ...] = field(default=())

    @classmethod
    def of(
        cls,
        spec: NetworkSpec,
        steps: int | None = None,
        *,
        source: str,
        delta: float | Fraction,
        releases: int = 1,
        schedule: str = "private",
        key_origin: str = "fresh from the operating system's generator",
        key_public: bool = False,
        booked: str | None = None,
    ) -> "Claim":
        """The claim for records of `steps` steps; a decision network's specification has them.

        source: `trivium` or `lfsr`; schedule: `private` or `fast`; delta: at least 0, under 1. ValueError otherwise.
        key_public: whether anybody can look the key up. booked: what a ledger has charged, in words; None for a
        simulation, which charges no budget.
        """
        checks.choice("claim source", source, tuple(ASSURANCE))
        checks.choice("claim schedule", schedule, ("private", "fast"))
        if not 0 <= delta < 1:
            raise ValueError(f"claim delta must be at least 0 and under 1, not {delta!r}")
        steps = _record_steps(spec, steps)
        found = walls(spec, steps)
        wall, costs = cheapest(found, releases, delta)
        shown = float(delta) if wall is None else float(wall.delta(releases, delta))
        faults = _faults(spec, wall, source, key_public=key_public, fast=schedule == "fast")
        return cls(spec, wall, shown, releases, costs, source, key_origin, steps, found, booked, faults)

    @property
    def private(self) -> bool:
        """Whether the epsilon is finite."""
        return not self.faults

    def nominal(self, unit: Unit | str) -> UnitCost:
        """The accountant's figures at `unit`, true only where the claim is `private`. ValueError without a wall."""
        for cost in self.costs:
            if cost.unit is Unit(unit):
                return cost
        raise ValueError("a network without a flipper has no figures to compose: its epsilon is infinite")

    def epsilon(self, unit: Unit | str = Unit.RECORD) -> float:
        """Epsilon of everything released, at `unit`; infinite where the claim is not `private`."""
        return self.nominal(unit).epsilon if self.private else math.inf

    def ceiling(self, classes: int) -> float:
        """How often a guess among `classes` equally likely classes can be right at best, from what is released."""
        epsilon = self.epsilon(Unit.RECORD)
        return 1.0 if math.isinf(epsilon) else accuracy_ceiling(epsilon, self.delta, classes)

    @property
    def released(self) -> str:
        """What is released."""
        last = self.spec.layers[-1]
        what = "the potentials of the last layer" if last.readout else "the spikes of the last layer"
        if self.spec.decision is not None:
            what = decision_output(self.spec.decision, self.steps)
        if self.wall is None:
            return f"{what}, unflipped"
        if self.wall.layer == len(self.spec.layers) - 1:
            return self.wall.released
        return f"{what}, computed from layer {self.wall.layer} alone: {self.wall.released}"

    @property
    def against(self) -> str:
        """The adversary against whom the figures hold."""
        return AGAINST["none" if self.faults and self.source != "lfsr" else self.source]

    @property
    def randomness(self) -> str:
        """The source of the flips and its security."""
        if self.wall is None:
            return "none is used: no layer has a flipper"
        return f"{self.source}: {ASSURANCE[self.source]}; key: {self.key_origin}"

    @property
    def spent(self) -> str:
        """What a ledger has charged."""
        if self.booked is not None:
            return self.booked
        cost = f"epsilon {up(self.epsilon(Unit.RECORD))}" if self.private else "infinite epsilon"
        charged = f"every record is charged {cost} before it is released"
        return f"nothing: a simulation charges no budget. On a device, {charged}"

    def parts(self, unit: Unit = Unit.RECORD) -> dict[str, str]:
        """The four parts in words, with the epsilon of `unit`."""
        return {
            "unit": self._unit(unit),
            "epsilon, delta": self._epsilon(unit),
            "randomness": self.randomness,
            "spent": self.spent,
        }

    def _unit(self, unit: Unit) -> str:
        if self.wall is None:
            return f"{unit.value}: neighbours differ in {unit.relation}, without any protection"
        return (
            f"{unit.value}: neighbours differ in {self.wall.relation(unit)}, layer {self.wall.layer}; "
            f"{self.wall.neighbours(self.nominal(unit))}"
        )

    def _epsilon(self, unit: Unit) -> str:
        infinite = f"INFINITE: {'; '.join(self.faults)}. " if self.faults else ""
        holds = f"Released: {self.released}. Holds against {self.against}"
        if self.wall is None:
            return infinite + holds
        cost = self.nominal(unit)
        records = "one record" if self.releases == 1 else f"{self.releases} releases of the same record"
        label = "Nominal, no guarantee: " if self.faults else ""
        return (
            f"{infinite}{label}{up(cost.epsilon)}, {up(self.delta)} for {records}: {self.wall.composition(cost)}"
            f"{self._behind}. {holds}"
        )

    @property
    def _behind(self) -> str:
        """The walls behind the claim's own, where there are any."""
        behind = () if self.wall is None else walls_behind(self.walls, self.wall)
        layers = ", ".join(str(wall.layer) for wall in behind)
        return f", bounded further by the randomised layers behind it ({layers})" if behind else ""

    def to_dict(self) -> dict[str, Any]:
        """All of it, ready for JSON; an infinite epsilon is the word "inf"."""
        wall = self.wall
        return {
            "unit": [
                {
                    "unit": cost.unit.value,
                    "neighbours_differ_in": cost.unit.relation if wall is None else wall.relation(cost.unit),
                    "layer": None if wall is None else wall.layer,
                    composed_name(wall): cost.bits,
                    "epsilon": cost.epsilon if self.private else "inf",
                    "nominal_epsilon": cost.epsilon,
                }
                for cost in self.costs
            ],
            "epsilon_delta": {
                "record_epsilon": self.epsilon(Unit.RECORD) if self.private else "inf",
                "delta": self.delta,
                "releases": self.releases,
                "mechanism": None if wall is None else wall.text,
                "released": self.released,
                "against": self.against,
                "infinite_because": list(self.faults),
            },
            "randomness": {"source": self.source, "worth": self.randomness},
            "spent": self.spent,
        }


def wall_dict(wall: Wall, delta: float) -> dict[str, Any]:
    """What one record costs at this randomised layer alone, ready for JSON."""
    cost = wall.costs(1, delta)[-1]
    return {
        "layer": wall.layer,
        "mechanism": wall.text,
        composed_name(wall): cost.bits,
        "record_epsilon": cost.epsilon,
        "delta": float(wall.delta(1, delta)),
    }


def composed_name(wall: Wall | None) -> str:
    """What a report calls the number of composed responses of `wall`."""
    return "composed_decisions" if isinstance(wall, DecisionWall) else "composed_bits"


def _record_steps(spec: NetworkSpec, steps: int | None) -> int:
    """The steps of a record. ValueError for others than the specification's, or for none where it has none."""
    if steps is None and spec.steps is None:
        raise ValueError("claim steps must be given for a network whose specification has none")
    if spec.steps is not None and steps not in (None, spec.steps):
        raise ValueError(f"claim steps must be the {spec.steps} of the network's records, not {steps!r}")
    return spec.steps if steps is None else steps  # type: ignore[return-value]


def _faults(spec: NetworkSpec, wall: Wall | None, source: str, *, key_public: bool, fast: bool) -> tuple[str, ...]:
    """Why the epsilon is infinite."""
    what, flips = ("step", "flips") if spec.decision is None else ("decision", "decisions")
    faults = []
    if wall is None:
        faults.append("no layer has a flipper, so the output is a deterministic function of the input")
    if source == "lfsr":
        faults.append(f"an LFSR is linear: a few hundred known {flips} determine all others")
    if key_public:
        faults.append("the key is published")
    if fast:
        faults.append(f"on the fast schedule, the time at which a {what} is released reveals its number of spikes")
    return tuple(faults)
