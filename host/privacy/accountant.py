"""The accountant of one subject's budget in memory: a filter (may this be spent?) and an odometer (what has been?)."""

from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, localcontext
from fractions import Fraction
from threading import Lock
from typing import Literal

from spikeveil.host.privacy.binomial import check_count, check_delta, log_ratio
from spikeveil.host.privacy.bounds import pure_rdp
from spikeveil.host.privacy.budget import BudgetExceeded, exact_amount
from spikeveil.host.privacy.composition import Composition, compose
from spikeveil.host.privacy.events import Event, UnsupportedEvent, binary_flip, pure
from spikeveil.host.privacy.renyi_filter import best_order, capacity, divergence, largest_pure
from spikeveil.host.privacy.units import Unit

__all__ = ["Accountant", "Amount", "BudgetExceeded", "Cost"]

Rule = Literal["sum", "renyi"]


@dataclass(frozen=True)
class Amount:
    """An exact (epsilon, delta) and its unit. `str` prints all of it to 6 digits, up unless `rounding` differs."""

    epsilon: Fraction
    delta: Fraction
    unit: Unit
    rounding: str = ROUND_CEILING

    def __str__(self) -> str:
        with localcontext() as context:
            context.prec, context.rounding = 6, self.rounding
            parts = [float(Decimal(part.numerator) / part.denominator) for part in (self.epsilon, self.delta)]
        return f"epsilon {parts[0]:.6g}, delta {parts[1]:.6g}, {self.unit.value} level"


@dataclass(frozen=True)
class Cost:
    """What a spend is charged, exactly, in the accountant's own measure.

    quantity: "epsilon" (sum rule) or "Rényi divergence" (renyi rule), of which `charge` is added to what was spent;
    delta: added likewise (0 under the renyi rule). fits: whether the budget allows it now.
    """

    quantity: str
    charge: Fraction
    delta: Fraction
    unit: Unit
    fits: bool


class Accountant:
    """Budget (`epsilon`, `delta`) for releases of the same data, every mechanism chosen as one goes.

    unit: what the epsilon protects; required, because an epsilon without its unit means nothing. rule:

    - "sum" (pure-sum filter): a spend is allowed while the sums of all epsilons and of all deltas stay within the
      limits; exact rational arithmetic. Valid for adaptively chosen mechanisms AND parameters (Rogers, Roth, Ullman,
      Vadhan 2016). Its odometer, `spent`, is valid at any time, whenever one stops.
    - "renyi" (Rényi filter of one order a; Feldman, Zrnic 2021): a spend is allowed while the sum of the Rényi
      divergences of order a stays within B = epsilon - ln(1 - 1/a) + ln(a delta) / (a - 1). Then everything together is
      (a, B)-RDP and so (epsilon, delta)-DP (Canonne, Kamath, Steinke 2020, proposition 12). Conditions: the order is
      fixed before the first release, delta > 0, and every mechanism is purely private (its divergence is bounded by
      that of randomised response). What has been released up to a moment that the releases themselves chose is
      (epsilon, delta)-DP at the LIMIT only: `spent` reports that, and `spent_share` how much of B is gone.
      By default a is the order of `rdp.ORDERS` with the largest B / a.

    One call of `spend` may cover a pre-declared session: `count` equal bits, or a `Composition`, at a delta of its
    own, at the exact composed epsilon (sum rule). Numbers are read as the decimals that were typed (`exact_amount`):
    ten spends of 0.1 exhaust a budget of 1 exactly. Safe for threads; for processes, crashes and devices use `Ledger`.

    Raises ValueError for a limit that is negative, infinite or no number, a delta of 1 or more, a missing unit.
    """

    def __init__(
        self,
        epsilon: float | Fraction | Decimal,
        delta: float | Fraction | Decimal = 0,
        *,
        unit: Unit | str | None = None,
        rule: Rule = "sum",
        order: float | None = None,
    ) -> None:
        if unit is None:
            raise ValueError("unit is missing: an epsilon means nothing without spike, neuron, step or record")
        limit_delta = exact_amount("delta limit", delta)
        if limit_delta >= 1:
            raise ValueError(f"delta limit must be under 1, not {delta!r}")
        if rule not in ("sum", "renyi"):
            raise ValueError(f"rule must be sum or renyi, not {rule!r}")
        if rule == "sum" and order is not None:
            raise ValueError(f"order is for the renyi rule, not {order!r} with sum")
        self.limit = Amount(exact_amount("epsilon limit", epsilon), limit_delta, Unit(unit))
        self.rule = rule
        self.order = (
            None if rule == "sum" else (best_order(self.limit.epsilon, self.limit.delta) if order is None else order)
        )
        self._capacity = (
            self.limit.epsilon if self.order is None else capacity(self.limit.epsilon, self.limit.delta, self.order)
        )
        self._charged, self._delta, self._lock = Fraction(0), Fraction(0), Lock()

    def __repr__(self) -> str:
        return f"<Accountant: {self.spent} spent of {self.limit}; {self.filter}>"

    @property
    def filter(self) -> str:
        """The filter in words, to stand beside every number of this accountant."""
        if self.order is None:
            return "pure-sum filter (exact), mechanisms chosen adaptively"
        return f"Rényi filter of order {self.order:g}, fixed beforehand; mechanisms chosen adaptively"

    @property
    def spent(self) -> Amount:
        """The odometer: what everything released so far costs. Under the renyi rule, the limit after any spend."""
        if self.order is None:
            return Amount(self._charged, self._delta, self.limit.unit)
        return self.limit if self._charged else Amount(Fraction(0), Fraction(0), self.limit.unit)

    @property
    def remaining(self) -> Amount:
        """What may still be spent (renyi rule: as ONE release of pure epsilon; many small ones get further)."""
        left = self._capacity - self._charged
        delta = self.limit.delta - self._delta if self.order is None else Fraction(0)
        epsilon = left if self.order is None else largest_pure(left, self.order)
        return Amount(epsilon, delta, self.limit.unit, ROUND_FLOOR)

    @property
    def spent_share(self) -> Fraction:
        """The used share of the filter's capacity, 0 to 1 (1 where the capacity is 0)."""
        return self._charged / self._capacity if self._capacity else Fraction(1)

    def preview(
        self, asked: object, *, count: int = 1, delta: float | Fraction = 0, unit: Unit | str | None = None
    ) -> Cost:
        """What `spend` with these arguments would be charged, and whether it fits; changes nothing."""
        if unit is not None and Unit(unit) is not self.limit.unit:
            raise ValueError(
                f"this budget is at {self.limit.unit.value} level, not {Unit(unit).value}: "
                f"count the bits that its unit may change with Unit.bits"
            )
        charge, own = self._cost(asked, check_count(count), exact_amount("delta", delta))
        fits = self._charged + charge <= self._capacity and (
            self.order is not None or self._delta + own <= self.limit.delta
        )
        return Cost("epsilon" if self.order is None else "Rényi divergence", charge, own, self.limit.unit, fits)

    def spend(
        self, asked: object, *, count: int = 1, delta: float | Fraction = 0, unit: Unit | str | None = None
    ) -> Cost:
        """Charge a release BEFORE it is made; returns what was charged.

        asked: a mechanism (`count` bits or labels of it that may differ between neighbours, at `delta` for all of
        them together), a `Composition` (at `delta`), or a number: the epsilon of a mechanism of the caller's, with
        its `delta`, `count` times. unit, if given, must be the budget's.

        Raises `BudgetExceeded` where it does not fit, `NotPrivate` for a mechanism of infinite epsilon,
        `UnsupportedEvent` for one that this rule cannot bound, ValueError for a negative, infinite or fractional
        argument; nothing is charged then.
        """
        with self._lock:
            cost = self.preview(asked, count=count, delta=delta, unit=unit)
            if self._charged + cost.charge > self._capacity:
                raise BudgetExceeded(self._capacity, self._charged, cost.charge, self.limit.unit, cost.quantity)
            if not cost.fits:
                raise BudgetExceeded(self.limit.delta, self._delta, cost.delta, self.limit.unit, "delta")
            self._charged += cost.charge
            self._delta += cost.delta
            return cost

    def _cost(self, asked: object, count: int, delta: Fraction) -> tuple[Fraction, Fraction]:
        _check_composition(asked)
        if isinstance(asked, Composition) and count != 1:
            raise ValueError(f"count is for a mechanism or a number: a Composition has its own, not {count}")
        if self.order is not None:
            if delta:
                raise UnsupportedEvent(
                    f"a Rényi filter takes purely private mechanisms (delta = 0), not delta {float(delta):g}"
                )
            return self._renyi_cost(asked, count, self.order), Fraction(0)
        check_delta(delta)
        if isinstance(asked, Composition):
            return Fraction(asked.epsilon(delta)), delta
        if not hasattr(asked, "epsilon"):
            return exact_amount("epsilon", asked) * count, delta * count
        mechanism = pure(asked)
        if delta == 0:
            return Fraction(mechanism.epsilon) * count, delta
        return Fraction(compose([Event(mechanism, count)]).epsilon(delta)), delta

    def _renyi_cost(self, asked: object, count: int, order: float) -> Fraction:
        if isinstance(asked, Composition):
            return sum((n * Fraction(pure_rdp(log_ratio(p), order)) for p, n in asked.dominating_groups), Fraction(0))
        if hasattr(asked, "epsilon"):
            return count * Fraction(pure_rdp(log_ratio(binary_flip(pure(asked))), order))
        return count * divergence(exact_amount("epsilon", asked), order)


def _check_composition(asked: object) -> None:
    """Raise UnsupportedEvent for a subclass of Composition, whose figures may be anybody's."""
    if isinstance(asked, Composition) and type(asked) is not Composition:
        raise UnsupportedEvent(f"accountant takes a Composition itself, not {type(asked).__name__}")
