"""Takes a run's leases out of the ledger: they are charged, on disk, before anything is released under them."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from importlib import metadata

import numpy as np
from numpy.typing import NDArray

from spikeveil.host.privacy.ledger import (
    Amount,
    Balance,
    DataIdentity,
    Evidence,
    Lease,
    Ledger,
    axis_name,
    ranges_of,
    shown_down,
    shown_up,
)
from spikeveil.host.privacy.ledger.amounts import probability
from spikeveil.host.privacy.wall_session import wall_session
from spikeveil.host.privacy.walls import Wall


@dataclass(frozen=True)
class LeaseAccount:
    """Leases for one run.

    | attribute | meaning |
    |---|---|
    | `ledger`, `data_set` | the budgets that pay |
    | `wall` | the flipped layer, or the decision, whose releases are charged |
    | `source` | `trivium` or `lfsr` |
    | `specification` | fingerprint of the network |
    | `delta` | of each lease |
    | `demonstration` | charge nominal figures, and mark the budget as insecure for good |
    | `later` | the walls behind it |
    | `data`, `first_record` | the file of the records, and the number of the first; None: every record is charged |
    """

    ledger: Ledger
    data_set: str
    wall: Wall
    source: str
    specification: str
    delta: Fraction
    demonstration: bool = False
    data: DataIdentity | None = None
    first_record: int = 0
    later: tuple[Wall, ...] = ()

    def __post_init__(self) -> None:
        probability("delta", self.delta)

    def lease(self, records: NDArray[np.int64], secret: bytes, device: str) -> Lease:
        """A new lease for the run's records of those numbers, on disk when this returns. LedgerError, BudgetRefused."""
        versions = f"spikeveil {metadata.version('spikeveil')}"
        return self.ledger.lease(
            self.data_set,
            wall_session(self.wall, self.later, len(records), self.delta),
            key=secret,
            specification=self.specification,
            source=self.source,
            device=device,
            evidence=Evidence(versions=versions),
            demonstration=self.demonstration,
            records=None if self.data is None else ranges_of(records + self.first_record),
            data=self.data,
        )

    def booked(self, leases: Sequence[Lease]) -> str:
        """One sentence with the charges of the leases and what remains of the budgets."""
        ((name, balances),) = self.ledger.budgets(self.data_set).items()
        balances = tuple(balance for balance in balances if balance.relation == "substitution")
        numbers = sorted(lease.number for lease in leases)
        names = f"{len(leases)} leases, {numbers[0]} to {numbers[-1]}," if len(leases) > 1 else f"lease {numbers[0]}"
        files = len(self.ledger.binding(self.data_set).parts)
        stated = f"; {files} files joined as disjoint, which their owner states" if files > 1 else ""
        nominal = ", nominal: an insecure demonstration" if self.demonstration else ""
        shown = "; ".join(self._spent(leases, place, balance) for place, balance in enumerate(balances))
        return f"{names} of data set {name!r} in ledger {self.ledger.path}{nominal}: {shown}{stated}"

    def _spent(self, leases: Sequence[Lease], place: int, balance: Balance) -> str:
        """What the leases charged to one budget: in all, where they name no record; else to each record once."""
        charges = [lease.charges[place] for lease in leases]
        amounts = [charge.epsilon for charge in charges]
        deltas = [charge.delta for charge in charges]
        level = f"at {balance.unit.value} level"
        if self.data is None:
            what = f"{_pair(balance, sum(amounts, Fraction(0)), sum(deltas, Fraction(0)))} charged {level}"
        else:
            spent = shown_up(balance.spent) + (f" and {shown_up(balance.delta_spent)}" if balance.order is None else "")
            what = f"{_pair(balance, max(amounts), max(deltas))} charged to each record"
            what += f", the worst {axis_name(balance.unit)} has spent {spent} {level}"
        if balance.order is not None:
            limits = f"epsilon {shown_up(balance.epsilon_limit)}, delta {shown_up(balance.delta_limit)} in all"
            left = f"{shown_down(balance.capacity - balance.spent)} left of {shown_down(balance.capacity)}"
            return f"{what}, {left}: {limits} ({balance.filter})"
        left = (
            f"{shown_down(balance.epsilon_remaining)} and {shown_down(balance.delta_limit - balance.delta_spent)} left"
        )
        return f"{what}, {left} of {shown_down(balance.epsilon_limit)} and {shown_down(balance.delta_limit)}"


def _pair(balance: Balance, amount: Amount, delta: Fraction) -> str:
    """A charge to the budget in words."""
    return f"{balance.quantity} {shown_up(amount)}" + (f", delta {shown_up(delta)}" if balance.order is None else "")
