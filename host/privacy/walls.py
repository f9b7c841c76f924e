"""The walls of a network and their privacy costs: its flipped layers, and the decision at its end."""

from dataclasses import dataclass
from fractions import Fraction

from spikeveil.host.privacy.binomial import float_up, log_ratio, precise
from spikeveil.host.privacy.decisions import dominating_flip, epsilon_of_decisions
from spikeveil.host.privacy.mechanisms import RandomizedResponse
from spikeveil.host.privacy.plan import UnitCost, unit_costs
from spikeveil.host.privacy.series import Bits
from spikeveil.host.privacy.units import RECORD_UNITS, Unit
from spikeveil.host.privacy.wording import Raster, decision_output, decision_text, mechanism_text
from spikeveil.pysim.model.decision import Decision, OneHotDecision
from spikeveil.pysim.model.spec import NetworkSpec


@dataclass(frozen=True)
class FlippedWall:
    """A flipped layer: its index, the released bits of one record, and the randomised response on each bit."""

    layer: int
    raster: Raster
    mechanism: RandomizedResponse

    @property
    def bits(self) -> Bits:
        """(flip probability, bits of a record that may differ): the argument of `series`."""
        return self.mechanism.flip_probability, self.raster.bits(Unit.RECORD)

    def relation(self, unit: Unit) -> str:
        """What neighbours at `unit` differ in, as a phrase."""
        return unit.relation

    @property
    def text(self) -> str:
        """The mechanism in one line."""
        return mechanism_text(self.mechanism)

    @property
    def released(self) -> str:
        """What is released, as a phrase."""
        return self.raster.released

    def costs(self, releases: int, delta: float | Fraction, later: tuple[Bits, ...] = ()) -> tuple[UnitCost, ...]:
        """The cost of `releases` releases of one record, at every unit; `later`: `bits` of the walls behind this one.

        See `plan.unit_costs`.
        """
        return unit_costs(self.mechanism, self.raster, releases, delta, later)

    def delta(self, releases: int, delta: float | Fraction) -> float | Fraction:
        """The delta charged for `releases` releases: `delta`."""
        return delta

    def neighbours(self, cost: UnitCost) -> str:
        """How much of a release may differ between neighbours."""
        return f"up to {cost.bits_one} released bits of a record may differ"

    def composition(self, cost: UnitCost) -> str:
        """How the figures of `cost` were composed."""
        p, plural = self.mechanism.flip_probability, "s" * (cost.bits > 1)
        return f"exact composition of {cost.bits} bit{plural} of randomised response, p = {p.numerator}/{p.denominator}"


@dataclass(frozen=True)
class DecisionWall:
    """The decision of a network: index of the output layer, steps of a record, and the mechanism.

    However different two records are, only the winner can change. So a decision costs the same epsilon at every unit,
    at delta 0. Several decisions about one record are composed exactly (`decisions`).
    """

    layer: int
    steps: int
    mechanism: Decision | OneHotDecision

    @property
    def bits(self) -> Bits:
        """(flip probability, 1): one binary response that dominates the decision; the argument of `series`."""
        return dominating_flip(self.mechanism), 1

    def relation(self, unit: Unit) -> str:
        """What neighbours at `unit` differ in, as a phrase."""
        return unit.relation.replace("flipped layer", "output layer")

    @property
    def text(self) -> str:
        """The mechanism in one line."""
        return decision_text(self.mechanism)

    @property
    def released(self) -> str:
        """What is released, as a phrase."""
        return decision_output(self.mechanism, self.steps)

    def costs(self, releases: int, delta: float | Fraction, later: tuple[Bits, ...] = ()) -> tuple[UnitCost, ...]:
        """The cost of `releases` decisions about one record, the same at every unit.

        `bits` and `bits_one` count decisions. `later` is empty, since no wall is behind the decision.
        """
        epsilon = epsilon_of_decisions(self.mechanism, releases, self.delta(releases, delta))
        return tuple(UnitCost(unit, 1, self.mechanism.epsilon, releases, epsilon) for unit in RECORD_UNITS)

    def delta(self, releases: int, delta: float | Fraction) -> float | Fraction:
        """The delta charged for `releases` decisions about one record: 0 for one decision, otherwise `delta`."""
        return delta if releases > 1 else Fraction(0)

    def neighbours(self, cost: UnitCost) -> str:
        """How much of a release may differ between neighbours."""
        return "the decision about a record may differ"

    def composition(self, cost: UnitCost) -> str:
        """How the figures of `cost` were composed."""
        if cost.bits == 1:
            return self.text
        return f"exact composition of {cost.bits} decisions, {self.text}"


Wall = FlippedWall | DecisionWall


def walls(spec: NetworkSpec, steps: int) -> tuple[Wall, ...]:
    """Every randomised layer of `spec` over records of `steps` steps, in layer order; the decision is the last.

    Raises ValueError for steps under 1.
    """
    result: list[Wall] = []
    for index in spec.flipped:
        layer = spec.layers[index]
        if layer.flip is not None:
            raster = Raster(steps, layer.neurons, layer.spike_limit, layer.step_spike_limit)
            result.append(FlippedWall(index, raster, RandomizedResponse(layer.flip.threshold, layer.flip.bits)))
    if isinstance(spec.decision, Decision | OneHotDecision):
        result.append(DecisionWall(len(spec.layers) - 1, steps, spec.decision))
    return tuple(result)


def walls_behind(all_walls: tuple[Wall, ...], wall: Wall) -> tuple[Wall, ...]:
    """The walls that the output of `wall` passes through."""
    return tuple(other for other in all_walls if other.layer > wall.layer)


def cheapest(
    all_walls: tuple[Wall, ...], releases: int, delta: float | Fraction
) -> tuple[Wall | None, tuple[UnitCost, ...]]:
    """The wall with the smallest record epsilon, composed in series with the walls behind it, and its costs.

    Among walls whose epsilons agree to 9 digits, the one with the smallest epsilon by itself. (None, ()) if there is no
    wall.
    """
    costed = [
        (wall, wall.costs(releases, delta, tuple(later.bits for later in walls_behind(all_walls, wall))))
        for wall in all_walls
    ]
    return min(
        costed, key=lambda pair: (float(f"{pair[1][-1].epsilon:.9g}"), _pure_epsilon(pair[0])), default=(None, ())
    )


def _pure_epsilon(wall: Wall) -> float:
    """Record epsilon of a wall by itself, at delta 0."""
    p, bits = wall.bits
    with precise():
        return float_up(bits * log_ratio(p))
