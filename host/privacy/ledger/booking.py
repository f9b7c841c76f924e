"""What a charge is worth: the noise source, and what was declared about it."""

import math
from dataclasses import dataclass, replace
from fractions import Fraction

from spikeveil.host.known_keys import check_secret
from spikeveil.host.privacy.ledger.costs import SessionCost
from spikeveil.host.privacy.ledger.decision_session import DecisionSession
from spikeveil.host.privacy.ledger.renyi_costs import renyi_cost
from spikeveil.host.privacy.ledger.session import Chargeable, Session
from spikeveil.host.privacy.units import Unit

#: noise source -> whether its words are unpredictable to somebody who knows how they are made
SOURCES = {"trivium": True, "os": True, "lfsr": False, "none": False}


@dataclass(frozen=True)
class Booking:
    """What a charge is worth: where the noise comes from, and what was declared about it; see `Ledger.spend`."""

    source: str
    unsafe: bool = False
    demonstration: bool = False

    def __post_init__(self) -> None:
        if self.source not in SOURCES:
            raise ValueError(f"noise source must be {', '.join(sorted(SOURCES))}, not {self.source!r}")

    @property
    def worth(self) -> str:
        """ "private" (against an adversary who cannot predict the source), "nominal" (a demonstration) or "none"."""
        if self.unsafe or self.source == "none" or not (SOURCES[self.source] or self.demonstration):
            return "none"
        return "nominal" if self.demonstration else "private"

    def cost(
        self, cost: Chargeable, unit: Unit, releases: int | None = None, order: Fraction | None = None
    ) -> SessionCost:
        """What is charged at `unit`, of all releases or of that many: the cost, or infinity.

        order: of the budget's Rényi filter; None for the pure-sum filter.
        """
        if self.worth == "none" and not isinstance(cost, DecisionSession):
            bits = cost.bits(unit, releases) if isinstance(cost, Session) else 0
            return SessionCost(unit, bits, math.inf, cost.delta if order is None else Fraction(0), order=order)
        found = cost.cost(unit, releases) if order is None else renyi_cost(cost, unit, releases, order)
        return replace(found, epsilon=math.inf) if self.worth == "none" else found

    @property
    def single_use(self) -> bool:
        """Whether the source's key may serve one lease only: an LFSR's stream starts anew with each."""
        return self.source == "lfsr"

    def check_key(self, key: bytes | None) -> None:
        """Raise ValueError where `key` is not what the source needs. The message never holds the key."""
        given = "none" if key is None else f"{len(key)} bytes"
        if self.source == "trivium" and (key is None or len(key) != 10):
            raise ValueError(f"a lease under trivium needs a key of 10 bytes, not {given}")
        if self.source == "lfsr" and (not key or len(key) % 16):
            raise ValueError(f"a lease under lfsr needs its seeds, 16 bytes for each flipper, not {given}")
        if self.source in ("os", "none") and key is not None:
            raise ValueError(f"a lease under {self.source} takes no key")
        if key is not None and not self.demonstration:
            check_secret(key)
