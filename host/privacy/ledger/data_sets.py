"""Data sets in a replay: which budgets, files and charges may follow the entries so far."""

from collections import defaultdict
from dataclasses import dataclass, field

from spikeveil.host.privacy.ledger.balances import Balance, balances_of
from spikeveil.host.privacy.ledger.binding import Binding, DataIdentity, Ranges, check_ranges, size_of
from spikeveil.host.privacy.ledger.booking import Booking
from spikeveil.host.privacy.ledger.chain import ChainBroken, Content
from spikeveil.host.privacy.ledger.charging import effect, network_of
from spikeveil.host.privacy.ledger.costs import SessionCost, charges_of
from spikeveil.host.privacy.ledger.session import Chargeable, ReleaseSession
from spikeveil.host.privacy.ledger.spread import MemorySpread
from spikeveil.host.privacy.ledger.training_session import TrainingSession


@dataclass
class DataSetState:
    """A data set after the entries so far; its methods raise ChainBroken for an entry that cannot follow."""

    balances: tuple[Balance, ...] = ()
    binding: Binding = field(default_factory=Binding)
    bound: int = 0
    charged: bool = False
    spreads: defaultdict[int, MemorySpread] = field(default_factory=lambda: defaultdict(MemorySpread))

    def make_budget(self, number: int, after: tuple[Balance, ...], binding: Binding) -> None:
        """Entry `number` makes the last of the budgets in `after`, for the data in `binding`."""
        fresh = after[-1]
        repeated = any(fresh.same_budget(other) for other in self.balances)
        rebound = self.binding.parts and binding != self.binding
        groupless = fresh.unit.value == "subject" and binding.subjects is None
        follows = not self.charged and after[:-1] == self.balances and fresh == fresh.unspent()
        if not follows or repeated or rebound or groupless:
            raise _wrong_budget(number)
        self._bind(number, after, binding)

    def extend(self, number: int, after: tuple[Balance, ...], binding: Binding) -> None:
        """Entry `number` joins the last file in `binding`, whose subjects are numbered after those known before."""
        old = self.binding.subjects.runs if self.binding.subjects else ()
        new = binding.subjects.runs if binding.subjects else ()
        count = self.binding.subjects.count if self.binding.subjects else 0
        joins = self.binding.parts and binding.parts[:-1] == self.binding.parts and new[: len(old)] == old
        mixed = any(subject < count for _, subject in new[len(old) :])
        if not joins or mixed or after != self.balances or bool(old) != bool(new):
            raise _wrong_budget(number)
        self._bind(number, after, binding)

    def _bind(self, number: int, after: tuple[Balance, ...], binding: Binding) -> None:
        self.balances, self.binding, self.bound = after, binding, number

    def ranges(self, number: int, content: Content, charge: Chargeable) -> Ranges | None:
        """The records that the charge in entry `number` names; None for every record."""
        if content["bound"] != self.bound:
            raise ChainBroken(f"entry {number} is bound by entry {content['bound']}, not {self.bound}")
        if content["records"] is None:
            return None
        ranges = check_ranges(content["records"], self.binding.records)
        if isinstance(charge, ReleaseSession) and size_of(ranges) != charge.releases:
            raise ChainBroken(f"entry {number} releases {charge.releases} records and names {size_of(ranges)}")
        if isinstance(charge, TrainingSession):
            raise ChainBroken(f"entry {number} trains on named records")
        return ranges

    def charge(
        self, number: int, content: Content, charge: Chargeable, booking: Booking, ranges: Ranges | None
    ) -> tuple[SessionCost, ...]:
        """What entry `number` charges to every budget of its relation, once the balances have proved to follow."""
        costs, relation = charges_of(content), charge.relation
        concerned = [(one.unit, one.order) for one in self.balances if one.relation == relation]
        if [(cost.unit, cost.order) for cost in costs] != concerned:
            raise _not_every_budget(number)
        worked = effect(
            self.balances,
            costs,
            relation,
            ranges,
            self.binding,
            self.spreads.__getitem__,
            nominal=booking.worth == "nominal",
            network=network_of(charge, content["evidence"].get("specification")),
        )
        worked.write(self.spreads.__getitem__)
        self._take_balances(number, content, worked.after)
        return costs

    def charge_schema_1(self, number: int, content: Content, booking: Booking) -> tuple[SessionCost, ...]:
        """`charge` of schema 1, where every charge counts for every record and nothing is bound."""
        costs = charges_of(content)
        if [cost.unit for cost in costs] != [balance.unit for balance in self.balances]:
            raise _not_every_budget(number)
        nominal = booking.worth == "nominal"
        after = tuple(one.charged(cost, nominal) for one, cost in zip(self.balances, costs, strict=True))
        self._take_balances(number, content, after)
        self.bound = 0
        return costs

    def _take_balances(self, number: int, content: Content, after: tuple[Balance, ...]) -> None:
        if after != balances_of(content) or not all(balance.within for balance in after):
            raise ChainBroken(f"entry {number} has balances that do not add up")
        self.balances, self.charged = after, True


def numbered_parts(binding: Binding) -> list[tuple[int, DataIdentity]]:
    """The files of a binding, each with the number of its first record."""
    parts, first = [], 0
    for part in binding.parts:
        parts.append((first, part))
        first += part.records
    return parts


def _wrong_budget(number: int) -> ChainBroken:
    return ChainBroken(f"entry {number} makes a budget that cannot follow")


def _not_every_budget(number: int) -> ChainBroken:
    return ChainBroken(f"entry {number} does not charge every budget of its data set")
