"""The privacy claim of a release, always in four parts: unit; epsilon and delta; randomness; spent."""

import math
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from spikeveil.host.privacy.mechanisms import RandomizedResponse
from spikeveil.host.privacy.plan import UnitCost, accuracy_ceiling, unit_costs
from spikeveil.host.privacy.units import Unit
from spikeveil.host.privacy.wording import AGAINST, Raster, mechanism_text, up
from spikeveil.pysim.model import checks
from spikeveil.pysim.model.source import LfsrSource, TriviumSource
from spikeveil.pysim.model.spec import NetworkSpec

ASSURANCE = {source.name: source.assurance for source in (TriviumSource, LfsrSource)}


@dataclass(frozen=True)
class Wall:
    """A flipped layer of a network, as the accountant sees it: its index, its raster and its mechanism."""

    layer: int
    raster: Raster
    mechanism: RandomizedResponse


def walls(spec: NetworkSpec, steps: int) -> tuple[Wall, ...]:
    """Every flipped layer of `spec` over records of `steps` steps (1 or more; ValueError otherwise), in layer order."""
    found = []
    for index in spec.flipped:
        layer = spec.layers[index]
        if layer.flip is not None:
            raster = Raster(steps, layer.neurons, layer.spike_limit, layer.step_spike_limit)
            found.append(Wall(index, raster, RandomizedResponse(layer.flip.threshold, layer.flip.bits)))
    return tuple(found)


def _rank(epsilon: float) -> float:
    """Epsilon to 9 digits: of walls that differ by less, the one that costs least alone is taken."""
    return float(f"{epsilon:.9g}")


def _alone(wall: Wall) -> float:
    """The pure record epsilon of a wall by itself."""
    return wall.raster.bits(Unit.RECORD) * wall.mechanism.epsilon


def walls_behind(found: tuple[Wall, ...], wall: Wall) -> tuple[tuple[Fraction, int], ...]:
    """The walls of `found` behind `wall`, as (flip probability, bits of a record)."""
    return tuple(
        (one.mechanism.flip_probability, one.raster.bits(Unit.RECORD)) for one in found if one.layer > wall.layer
    )


@dataclass(frozen=True)
class Claim:
    """The privacy cost of `releases` releases of the same data from a core built from `spec`; made by `of`.

    wall: the flipped layer that bounds the release, None where there is none. Everything behind a flipped layer is
    computed from its flipped spikes (post-processing), so with several of them each one alone bounds the whole
    release, and one with those behind it bounds it further (`series`): the one with the smallest record epsilon is
    taken. costs: every unit at that layer, exact composition at `delta`, rounded up. faults: why the epsilon is
    infinite, empty where it is not; the costs are then nominal.
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
        steps: int,
        *,
        source: str,
        delta: float | Fraction,
        releases: int = 1,
        schedule: str = "private",
        key_origin: str = "fresh from the operating system's generator",
        key_public: bool = False,
        booked: str | None = None,
    ) -> "Claim":
        """The claim for records of `steps` steps.

        source: `trivium` or `lfsr`; schedule: `private` or `fast`; delta: at least 0, under 1. ValueError otherwise.
        key_public: whether anybody can look the key up. booked: what a ledger has charged, in words; None for a
        simulation, which charges no budget.
        """
        checks.choice("claim source", source, tuple(ASSURANCE))
        checks.choice("claim schedule", schedule, ("private", "fast"))
        if not 0 <= delta < 1:
            raise ValueError(f"claim delta must be at least 0 and under 1, not {delta!r}")
        found = walls(spec, steps)
        costed = [
            (wall, unit_costs(wall.mechanism, wall.raster, releases, delta, walls_behind(found, wall)))
            for wall in found
        ]
        wall, costs = min(
            costed,
            key=lambda pair: (_rank(pair[1][-1].epsilon), pair[0].raster.bits(Unit.RECORD) * pair[0].mechanism.epsilon),
            default=(None, ()),
        )
        faults = []
        if wall is None:
            faults.append("no layer has a flipper, so the output is a deterministic function of the input")
        if source == "lfsr":
            faults.append("an LFSR is linear: a few hundred known flips determine all others")
        if key_public:
            faults.append("the key is published")
        if schedule == "fast":
            faults.append("on the fast schedule, the time at which a step is released reveals its number of spikes")
        return cls(spec, wall, float(delta), releases, costs, source, key_origin, steps, found, booked, tuple(faults))

    @property
    def private(self) -> bool:
        """Whether the epsilon is finite."""
        return not self.faults

    def nominal(self, unit: Unit) -> UnitCost:
        """The accountant's figures at `unit`, true only where the claim is `private`. ValueError without a wall."""
        for cost in self.costs:
            if cost.unit is unit:
                return cost
        raise ValueError("a network without a flipper has no figures to compose: its epsilon is infinite")

    def epsilon(self, unit: Unit) -> float:
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
        if self.wall is None:
            return f"{what}, unflipped"
        if self.wall.layer == len(self.spec.layers) - 1:
            return self.wall.raster.released
        return f"{what}, computed from layer {self.wall.layer} alone: {self.wall.raster.released}"

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
        return f"nothing: a simulation charges no budget. On a device, every record is charged {cost} beforehand"

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
            f"{unit.value}: neighbours differ in {unit.relation}, layer {self.wall.layer}; up to "
            f"{self.nominal(unit).bits_one} released bits of a record may differ"
        )

    def _epsilon(self, unit: Unit) -> str:
        infinite = f"INFINITE: {'; '.join(self.faults)}. " if self.faults else ""
        holds = f"Released: {self.released}. Holds against {self.against}"
        if self.wall is None:
            return infinite + holds
        cost, p = self.nominal(unit), self.wall.mechanism.flip_probability
        records = "one record" if self.releases == 1 else f"{self.releases} records of the same data"
        label = "Nominal, no guarantee: " if self.faults else ""
        return (
            f"{infinite}{label}{up(cost.epsilon)}, {up(self.delta)} for {records}: exact composition of {cost.bits} "
            f"bit{'s' * (cost.bits > 1)} of randomised response, p = {p.numerator}/{p.denominator}{self._behind}. "
            f"{holds}"
        )

    @property
    def _behind(self) -> str:
        """The walls behind the claim's own, where there are any."""
        behind = [wall.layer for wall in self.walls if self.wall is not None and wall.layer > self.wall.layer]
        return f", or less with the flipped layers behind it ({', '.join(map(str, behind))})" if behind else ""

    def to_dict(self) -> dict[str, Any]:
        """All of it, ready for JSON; an infinite epsilon is the word "inf"."""
        wall = self.wall
        return {
            "unit": [
                {
                    "unit": cost.unit.value,
                    "neighbours_differ_in": cost.unit.relation,
                    "layer": None if wall is None else wall.layer,
                    "composed_bits": cost.bits,
                    "epsilon": cost.epsilon if self.private else "inf",
                    "nominal_epsilon": cost.epsilon,
                }
                for cost in self.costs
            ],
            "epsilon_delta": {
                "record_epsilon": self.epsilon(Unit.RECORD) if self.private else "inf",
                "delta": self.delta,
                "releases": self.releases,
                "mechanism": None if wall is None else mechanism_text(wall.mechanism),
                "released": self.released,
                "against": self.against,
                "infinite_because": list(self.faults),
            },
            "randomness": {"source": self.source, "worth": self.randomness},
            "spent": self.spent,
        }


def wall_dict(wall: Wall, delta: float) -> dict[str, Any]:
    """What one record costs at this flipped layer alone, ready for JSON."""
    cost = unit_costs(wall.mechanism, wall.raster, 1, delta)[-1]
    return {
        "layer": wall.layer,
        "mechanism": mechanism_text(wall.mechanism),
        "composed_bits": cost.bits,
        "record_epsilon": cost.epsilon,
        "delta": delta,
    }
