"""What a charge does to the budgets of a data set: to every record, or to the records and subjects it names.

The writer and the replay use the same functions, so that a file is what its entries say.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from spikeveil.host.privacy.ledger.amounts import Amount
from spikeveil.host.privacy.ledger.balances import Balance
from spikeveil.host.privacy.ledger.binding import Binding, Ranges
from spikeveil.host.privacy.ledger.booking import Booking
from spikeveil.host.privacy.ledger.chain import Network
from spikeveil.host.privacy.ledger.costs import SessionCost
from spikeveil.host.privacy.ledger.fields import Relation
from spikeveil.host.privacy.ledger.session import Chargeable, ReleaseSession
from spikeveil.host.privacy.ledger.spread import Span, Spread, apply, peaks
from spikeveil.host.privacy.ledger.stated import Stated
from spikeveil.host.privacy.units import Unit

RECORDS, SUBJECTS = 0, 1
AXES = {RECORDS: "record", SUBJECTS: "subject"}

Spreads = Callable[[int], Spread]

#: a cost stated for a whole record holds for every part of it, in whichever network
ANY_NETWORK: Network = ("", -1)


def axis_of(unit: Unit) -> int:
    """Along what a budget at `unit` counts."""
    return SUBJECTS if unit is Unit.SUBJECT else RECORDS


def axis_name(unit: Unit) -> str:
    """Whose sums a budget at `unit` keeps: "record" or "subject"."""
    return AXES[axis_of(unit)]


class WrongNetwork(ValueError):  # noqa: N818, named for what it is
    """A charge to a unit below the record names no network and layer, or another one than the budget's."""


@dataclass(frozen=True)
class Excess:
    """The first limit that a charge would break, and the record or subject that would break it ("" for every one)."""

    balance: Balance
    quantity: str
    limit: Amount
    spent: Amount
    asked: Amount
    who: str = ""


@dataclass(frozen=True)
class Effect:
    """The balances after a charge, the spans that it adds along each axis, and the limits that it breaks.

    excesses: one for each balance that is charged, None where it bears it.
    """

    after: tuple[Balance, ...]
    spans: dict[int, list[Span]]
    excesses: tuple[Excess | None, ...]

    @property
    def excess(self) -> Excess | None:
        """The first limit that is broken."""
        return next((one for one in self.excesses if one is not None), None)

    def write(self, spreads: Spreads) -> None:
        """Add the spans to the spreads."""
        for axis, spans in self.spans.items():
            apply(spreads(axis), spans)


def costs_of(
    charge: Chargeable, booking: Booking, balances: Sequence[Balance], ranges: Ranges | None, binding: Binding
) -> tuple[SessionCost, ...]:
    """What `charge` costs each budget of its relation."""
    concerned = [balance for balance in balances if balance.relation == charge.relation]
    if ranges is None:
        return tuple(booking.cost(charge, balance.unit, order=balance.order) for balance in concerned)
    return tuple(_named(charge, booking, balance, ranges, binding) for balance in concerned)


def _named(charge: Chargeable, booking: Booking, balance: Balance, ranges: Ranges, binding: Binding) -> SessionCost:
    if balance.unit is not Unit.SUBJECT or binding.subjects is None:
        return booking.cost(charge, balance.unit, 1, balance.order)
    numbers = sorted({count for _, _, count in binding.subjects.counts(ranges)})
    costs = [booking.cost(charge, balance.unit, count, balance.order) for count in numbers]
    counts = tuple((count, cost.epsilon, cost.delta) for count, cost in zip(numbers, costs, strict=True))
    return replace(costs[-1], epsilon=max(cost.epsilon for cost in costs), counts=counts)


def effect(
    balances: Sequence[Balance],
    costs: Sequence[SessionCost],
    relation: Relation,
    ranges: Ranges | None,
    binding: Binding,
    spreads: Spreads,
    *,
    nominal: bool,
    network: Network | None,
) -> Effect:
    """The effect of `costs`, one for each balance of `relation`. WrongNetwork, ValueError."""
    concerned = [index for index, balance in enumerate(balances) if balance.relation == relation]
    if [(balances[index].unit, balances[index].order) for index in concerned] != [
        (one.unit, one.order) for one in costs
    ]:
        raise ValueError("the charges are not those of every budget of their relation")
    bound = [bind_network(balances[index], network) for index in concerned]
    after, spans, excesses = list(balances), dict[int, list[Span]](), dict[int, Excess | None]()
    if ranges is None:
        for index, balance, cost in zip(concerned, bound, costs, strict=True):
            excesses[index] = _excess(balance, cost)
            after[index] = balance.charged(cost, nominal)
    else:
        for axis in AXES:
            members = [at for at, balance in enumerate(bound) if axis_of(balance.unit) == axis]
            if not members:
                continue
            spans[axis] = _spans(axis, [costs[at] for at in members], ranges, binding)
            epsilons, deltas = peaks(spreads(axis), spans[axis])
            for place, at in enumerate(members):
                balance, who = bound[at], AXES[axis]
                excesses[concerned[at]] = _excess_named(balance, costs[at], epsilons[place], deltas[place], who)
                after[concerned[at]] = balance.raised(epsilons[place][0], deltas[place][0], nominal)
    return Effect(tuple(after), spans, tuple(excesses[index] for index in concerned))


def network_of(charge: Chargeable, specification: str | None) -> Network | None:
    """The network and layer that a charge is for; None where it names none."""
    if isinstance(charge, Stated) and charge.unit in (Unit.RECORD, Unit.SUBJECT):
        return ANY_NETWORK
    layer = charge.layer if isinstance(charge, ReleaseSession) else None
    return None if specification is None or layer is None else (specification, layer)


def bind_network(balance: Balance, network: Network | None) -> Balance:
    """`balance`, bound to `network` (specification, layer) if its unit needs one. WrongNetwork."""
    if not balance.small or network == ANY_NETWORK:
        return balance
    name = f"budget at {balance.unit.value} level"
    if network is None:
        raise WrongNetwork(f"a {name} needs the specification and the layer of every charge")
    if balance.specification is not None and (balance.specification, balance.layer) != network:
        raise WrongNetwork(
            f"the {name} is for layer {balance.layer} of network {balance.specification[:12]}, not for layer "
            f"{network[1]} of {network[0][:12]}: sums over different networks bound nothing"
        )
    return replace(balance, specification=network[0], layer=network[1])


def _spans(axis: int, costs: Sequence[SessionCost], ranges: Ranges, binding: Binding) -> list[Span]:
    if axis == RECORDS:
        amounts = tuple((cost.epsilon, cost.delta) for cost in costs)
        return [Span(first, end, amounts) for first, end in ranges]
    if binding.subjects is None:
        raise ValueError("a budget at subject level needs the subjects of its data")
    by_count = [{count: (epsilon, delta) for count, epsilon, delta in cost.counts} for cost in costs]
    groups = binding.subjects.counts(ranges)
    if any(sorted({count for _, _, count in groups}) != sorted(one) for one in by_count):
        raise ValueError("the charges are not those of its subjects")
    return [Span(first, end, tuple(one[count] for one in by_count)) for first, end, count in groups]


def _excess(balance: Balance, cost: SessionCost) -> Excess | None:
    """Whether charging every record breaks a limit."""
    if balance.spent + cost.epsilon > balance.capacity:
        return Excess(balance, balance.quantity, balance.capacity, balance.spent, cost.epsilon)
    if balance.delta_spent + cost.delta > balance.delta_limit:
        return Excess(balance, "delta", balance.delta_limit, balance.delta_spent, cost.delta)
    return None


def _excess_named(
    balance: Balance, cost: SessionCost, epsilon: tuple[Amount, int], delta: tuple[Fraction, int], axis: str
) -> Excess | None:
    """Whether the worst of the charged records (or subjects) breaks a limit."""
    after, number = balance.every + epsilon[0], epsilon[1]
    if after > balance.capacity:
        asked = min(cost.epsilon, epsilon[0])
        spent = after - asked if after != float("inf") else balance.every
        return Excess(balance, balance.quantity, balance.capacity, spent, asked, f"{axis} {number}")
    if balance.delta_every + delta[0] > balance.delta_limit:
        spent = balance.delta_every + delta[0] - cost.delta
        return Excess(balance, "delta", balance.delta_limit, spent, cost.delta, f"{axis} {delta[1]}")
    return None
