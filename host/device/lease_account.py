"""Takes a run's leases out of the ledger: they are charged, on disk, before anything is released under them."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from importlib import metadata

from spikeveil.host.privacy.claim import Wall
from spikeveil.host.privacy.ledger import Balance, Evidence, Lease, Ledger, Session, SessionCost, shown_down, shown_up
from spikeveil.host.privacy.ledger.amounts import probability


@dataclass(frozen=True)
class LeaseAccount:
    """Leases for one run.

    | attribute | meaning |
    |---|---|
    | `ledger`, `data_set` | the budgets that pay |
    | `wall` | the flipped layer whose releases are charged |
    | `source` | `trivium` or `lfsr` |
    | `specification` | fingerprint of the network |
    | `delta` | of each lease |
    | `demonstration` | charge nominal figures, and mark the budget as insecure for good |
    """

    ledger: Ledger
    data_set: str
    wall: Wall
    source: str
    specification: str
    delta: Fraction
    demonstration: bool = False

    def __post_init__(self) -> None:
        probability("delta", self.delta)

    def lease(self, releases: int, secret: bytes, device: str) -> Lease:
        """A new lease for `releases` records, on disk when this returns. LedgerError, BudgetRefused."""
        raster, versions = self.wall.raster, f"spikeveil {metadata.version('spikeveil')}"
        session = Session(
            self.wall.mechanism,
            raster.steps,
            raster.neurons,
            releases,
            self.delta,
            raster.spike_limit,
            raster.step_spike_limit,
        )
        return self.ledger.lease(
            self.data_set,
            session,
            key=secret,
            specification=self.specification,
            source=self.source,
            device=device,
            evidence=Evidence(versions=versions),
            demonstration=self.demonstration,
        )

    def booked(self, leases: Sequence[Lease]) -> str:
        """One sentence with the charges of the leases and what remains of the budgets."""
        balances = self.ledger.budgets(self.data_set)[self.data_set]
        numbers = sorted(lease.number for lease in leases)
        names = f"{len(leases)} leases, {numbers[0]} to {numbers[-1]}," if len(leases) > 1 else f"lease {numbers[0]}"
        charged = zip(*(lease.charges for lease in leases), strict=True)
        sums = [_sum(charges, balance) for charges, balance in zip(charged, balances, strict=True)]
        nominal = ", nominal: an insecure demonstration" if self.demonstration else ""
        return f"{names} of data set {self.data_set!r} in ledger {self.ledger.path}{nominal}: {'; '.join(sums)}"


def _sum(charges: Sequence[SessionCost], balance: Balance) -> str:
    epsilon = sum((charge.epsilon for charge in charges), Fraction(0))
    delta = sum((charge.delta for charge in charges), Fraction(0))
    epsilon_remaining = balance.epsilon_limit - balance.epsilon_spent
    delta_remaining = balance.delta_limit - balance.delta_spent
    return (
        f"epsilon {shown_up(epsilon)}, delta {shown_up(delta)} charged at {balance.unit.value} level, "
        f"{shown_down(epsilon_remaining)} and {shown_down(delta_remaining)} left of "
        f"{shown_down(balance.epsilon_limit)} and {shown_down(balance.delta_limit)}"
    )
