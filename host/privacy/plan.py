"""From a privacy target to the flipper that meets it, and to what accuracy it can leave at best."""

import math
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal, localcontext
from fractions import Fraction

from spikeveil.host.privacy.binomial import check_count
from spikeveil.host.privacy.budget import exact_amount
from spikeveil.host.privacy.mechanisms import RandomizedResponse
from spikeveil.host.privacy.units import RECORD_UNITS, Unit
from spikeveil.host.privacy.wording import Raster
from spikeveil.pysim.model.flipper import MAX_BITS


@dataclass(frozen=True)
class PrivacyPlan:
    """The weakest noise that keeps `releases` releases of one subject's data within the target.

    target, delta: the wanted epsilon and delta of all releases together at `unit`. mechanism: the smallest threshold
    whose realised `epsilon` is at or under the target. bits: composed bits of the whole session at `unit`.
    epsilon_one: one release alone, at `unit`; record_epsilon and record_epsilon_one: the same at record level. All
    are rounded up and use the plan's delta.
    """

    raster: Raster
    unit: Unit
    target: Fraction
    delta: Fraction
    releases: int
    mechanism: RandomizedResponse

    @property
    def bits(self) -> int:
        """Composed bits of all releases at the plan's unit."""
        return self.raster.bits(self.unit) * self.releases

    @property
    def epsilon(self) -> float:
        """The realised epsilon of all releases at the plan's unit."""
        return self._epsilon(self.unit, self.releases)

    @property
    def epsilon_one(self) -> float:
        """The realised epsilon of one release at the plan's unit."""
        return self._epsilon(self.unit, 1)

    @property
    def record_epsilon(self) -> float:
        """The epsilon of all releases at record level."""
        return self._epsilon(Unit.RECORD, self.releases)

    @property
    def record_epsilon_one(self) -> float:
        """The epsilon of one release at record level."""
        return self._epsilon(Unit.RECORD, 1)

    def ceiling(self, classes: int, releases: int) -> float:
        """No classifier that sees `releases` releases of a record is right more often (see `accuracy_ceiling`)."""
        return accuracy_ceiling(self._epsilon(Unit.RECORD, releases), self.delta, classes)

    def _epsilon(self, unit: Unit, releases: int) -> float:
        return _epsilon(self.mechanism, self.raster.bits(unit) * releases, self.delta)


def make_privacy_plan(
    epsilon: object, delta: object, unit: Unit | str, raster: Raster, releases: int, bits: int = MAX_BITS
) -> PrivacyPlan:
    """The plan for `releases` releases of the same data within (`epsilon`, `delta`) at `unit`, with `bits`-bit words.

    epsilon, delta: read as the decimals that were typed. Threshold 2^(bits-1), where the released bits say nothing, is
    the answer where nothing else fits. Raises ValueError for a value out of range.
    """
    target, slack, unit = exact_amount("target epsilon", epsilon), exact_amount("delta", delta), Unit(unit)
    if slack >= 1:
        raise ValueError(f"delta must be under 1, not {delta!r}")
    if isinstance(releases, bool) or not isinstance(releases, int) or releases < 1:
        raise ValueError(f"releases must be an integer of 1 or more, not {releases!r}")
    count = check_count(raster.bits(unit) * releases)
    low, high = 1, 1 << (RandomizedResponse(1, bits).bits - 1)
    while low < high:
        middle = (low + high) // 2
        if Fraction(_epsilon(RandomizedResponse(middle, bits), count, slack)) <= target:
            high = middle
        else:
            low = middle + 1
    return PrivacyPlan(raster, unit, target, slack, releases, RandomizedResponse(low, bits))


@dataclass(frozen=True)
class UnitCost:
    """What releases cost at `unit`: `bits` composed and the `epsilon` of one release, and of all of them together."""

    unit: Unit
    bits_one: int
    epsilon_one: float
    bits: int
    epsilon: float


def unit_costs(
    mechanism: RandomizedResponse,
    raster: Raster,
    releases: int,
    delta: float | Fraction,
    later: tuple[tuple[Fraction, int], ...] = (),
) -> tuple[UnitCost, ...]:
    """The cost of `releases` pre-declared releases at every unit, exact composition at `delta`, rounded up.

    later: the walls behind this one, in order, as (flip probability, bits of a record): see `series`.
    """
    from spikeveil.host.privacy.series import series_epsilon

    costs = []
    for unit in RECORD_UNITS:
        one = raster.bits(unit)
        count = check_count(one * releases)
        own = (mechanism.flip_probability, one)
        epsilons = [series_epsilon(own, later, number, Fraction(delta)) for number in (1, releases)]
        costs.append(UnitCost(unit, one, epsilons[0], count, epsilons[1]))
    return tuple(costs)


def accuracy_ceiling(epsilon: float, delta: float | Fraction, classes: int) -> float:
    """(e^E + (c-1) delta) / (e^E + c - 1), rounded up: how often any (E, delta)-private guess of a class can be right.

    epsilon: E at RECORD level, of everything that the guess sees; classes: c >= 2 equally likely ones. From
    P[i | i] <= e^E P[i | j] + delta for the guess i and every other class j, summed over all i and j. ValueError for
    a number of classes under 2 or a negative epsilon.
    """
    if isinstance(classes, bool) or not isinstance(classes, int) or classes < 2:
        raise ValueError(f"classes must be an integer of 2 or more, not {classes!r}")
    if not epsilon >= 0:
        raise ValueError(f"epsilon must be 0 or more, not {epsilon!r}")
    with localcontext() as context:
        context.prec, context.rounding = 40, ROUND_CEILING
        slack = Fraction(delta)
        odds = Decimal(-epsilon).exp() * (classes - 1)  # divided through by e^E, which may be beyond any float
        if epsilon > 0:
            odds *= 1 - Decimal("1e-35")  # exp() rounds to nearest, and fewer odds against raise the ceiling
        ceiling = (1 + odds * (Decimal(slack.numerator) / slack.denominator)) / (1 + odds)
        nearest = float(ceiling)
        return min(1.0, nearest if Decimal(nearest) >= ceiling else math.nextafter(nearest, 2.0))


def _epsilon(mechanism: RandomizedResponse, count: int, delta: Fraction) -> float:
    from spikeveil.host.privacy.binomial import epsilon_of_delta

    return epsilon_of_delta(mechanism.flip_probability, count, delta)
