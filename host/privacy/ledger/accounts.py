"""A data set's account: its budgets and files as its last entry leaves them, and what they still bear."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from sqlite3 import Connection

from spikeveil.host.privacy.ledger.amounts import amount, probability
from spikeveil.host.privacy.ledger.balances import Balance, check_order
from spikeveil.host.privacy.ledger.binding import (
    Binding,
    DataIdentity,
    Ranges,
    check_ranges,
    ranges_of,
    size_of,
)
from spikeveil.host.privacy.ledger.booking import Booking
from spikeveil.host.privacy.ledger.chain import Network
from spikeveil.host.privacy.ledger.charging import Effect, WrongNetwork, effect
from spikeveil.host.privacy.ledger.costs import SessionCost
from spikeveil.host.privacy.ledger.errors import LedgerError
from spikeveil.host.privacy.ledger.fields import (
    Relation,
    Rule,
    check_hash,
    check_layer,
    check_relation,
)
from spikeveil.host.privacy.ledger.session import Chargeable, ReleaseSession
from spikeveil.host.privacy.ledger.spread import TableSpread
from spikeveil.host.privacy.ledger.training_session import TrainingSession
from spikeveil.host.privacy.renyi_filter import best_order
from spikeveil.host.privacy.units import Unit


@dataclass(frozen=True)
class Standing:
    """A data set as it stands: see `Ledger.standing`.

    - `binding`: its files and subjects;
    - `worst`: unit -> number of the record (or subject) that has spent most, where named records were charged;
    - `left`: unit -> how many further single releases it has at the setting of the last charge; None: without end.
    """

    name: str
    binding: Binding
    worst: dict[Unit, int]
    left: dict[Unit, int | None]


@dataclass(frozen=True)
class Account:
    """A data set as its last entry leaves it."""

    name: str
    balances: tuple[Balance, ...]
    binding: Binding
    bound: int

    def ranges(
        self, cost: Chargeable, records: Iterable[int] | Ranges | None, data: DataIdentity | None
    ) -> Ranges | None:
        """The numbers in the data set of the records that are charged; None for every one. LedgerError, ValueError."""
        if cost.relation not in {balance.relation for balance in self.balances}:
            raise LedgerError(f"data set {self.name!r} has no {cost.relation} budget, and this is charged to no other")
        if isinstance(cost, TrainingSession) and records is not None:
            raise ValueError("a training session is for all of its data set, not for named records")
        if not self.binding.parts:
            return None  # without data, record numbers mean nothing: the charge counts for every record
        if data is None:
            if records is not None:
                raise ValueError("record numbers need the data that they count")
            return None
        first = self.binding.offset(data)
        if first is None:
            raise LedgerError(
                f"data set {self.name!r} is bound to other data: give these a data set of their own, or join them by "
                "`spikeveil budget extend --disjoint`, if nobody is in both"
            )
        if records is None:
            return None
        numbered = records if isinstance(records, tuple) else ranges_of(records)
        checked = check_ranges(numbered, data.records)
        if isinstance(cost, ReleaseSession) and size_of(checked) != cost.releases:
            raise ValueError(f"session releases must be the {size_of(checked)} records named, not {cost.releases}")
        return tuple((start + first, end + first) for start, end in checked)

    def effect(
        self,
        connection: Connection,
        costs: Sequence[SessionCost],
        relation: Relation,
        ranges: Ranges | None,
        booking: Booking,
        network: Network | None,
    ) -> Effect:
        """See `charging.effect`. LedgerError where a small unit is another network's."""
        try:
            return effect(
                self.balances,
                costs,
                relation,
                ranges,
                self.binding,
                lambda axis: TableSpread(connection, self.name, axis),
                nominal=booking.worth == "nominal",
                network=network,
            )
        except WrongNetwork as error:
            raise LedgerError(f"{error} (data set {self.name!r})") from None


def check_budget(
    unit: Unit | str,
    epsilon: object,
    delta: object,
    *,
    relation: Relation = "substitution",
    specification: str | None = None,
    layer: int | None = None,
    rule: Rule = "sum",
    order: float | None = None,
) -> Balance:
    """The budget that these arguments of `Ledger.create_budget` make, nothing spent. ValueError."""
    check_relation(relation)
    check_hash("specification", specification)
    check_layer(layer)
    fresh = Balance(
        Unit(unit),
        amount("budget epsilon", epsilon),
        probability("budget delta", delta),
        relation=relation,
        specification=specification,
        layer=layer,
    )
    if rule != "sum" or order is not None:
        fresh = _with_order(fresh, rule, order)
    if not fresh.small and (specification, layer) != (None, None):
        raise ValueError(f"a budget at {fresh.unit.value} level is for every network: name no specification")
    if (specification is None) != (layer is None):
        raise ValueError("a budget's specification and layer come together")
    if relation == "add/remove" and fresh.unit is not Unit.RECORD:
        raise ValueError(f"an add/remove budget is at record level, not at {fresh.unit.value} level")
    return fresh


def _with_order(fresh: Balance, rule: Rule, order: float | None) -> Balance:
    """`fresh` under a Rényi filter of that order, or of the best one. ValueError."""
    if rule not in ("sum", "renyi"):
        raise ValueError(f"rule must be sum or renyi, not {rule!r}")
    if rule == "sum":
        raise ValueError(f"order is for the renyi rule, not {order!r} with sum")
    if not isinstance(fresh.epsilon_limit, Fraction):
        raise ValueError("budget epsilon must be finite for the renyi rule, not inf")
    chosen = best_order(fresh.epsilon_limit, fresh.delta_limit) if order is None else order
    if isinstance(chosen, bool) or not isinstance(chosen, int | float) or not math.isfinite(chosen):
        raise ValueError(f"order must be a number above 1, at most 1000, not {order!r}")
    found = replace(fresh, order=Fraction(chosen))
    check_order(found)
    return found


def releases_left(balance: Balance, single: SessionCost) -> int | None:
    """How many more releases at `single` the worst record (or subject) has; None: without end."""
    counts = []
    for limit, spent, asked in (
        (balance.capacity, balance.spent, single.epsilon),
        (balance.delta_limit, balance.delta_spent, single.delta),
    ):
        if limit != math.inf and asked:
            counts.append(0 if asked == math.inf else int((Fraction(limit) - Fraction(spent)) // Fraction(asked)))
    return min(counts) if counts else None
