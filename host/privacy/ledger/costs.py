"""What a charge costs at one unit, and how it stands in an entry."""

from dataclasses import dataclass, field
from fractions import Fraction

from spikeveil.host.privacy.ledger.amounts import Amount, fraction_from_text, from_text, to_text
from spikeveil.host.privacy.ledger.chain import Content
from spikeveil.host.privacy.units import Unit

DIVERGENCE = "Rényi divergence"


@dataclass(frozen=True)
class SessionCost:
    """What a session costs at one unit: (epsilon, delta), and how many bits or decisions were composed (0: neither).

    counts: at subject level, for releases of named records, (records of a subject, epsilon, delta) for each number of
    records that a subject has among them; epsilon and delta are then the largest. Empty otherwise.
    order: of a budget under a Rényi filter; `epsilon` is then the Rényi divergence of that order, in nats, and delta 0.
    """

    unit: Unit
    bits: int
    epsilon: Amount
    delta: Fraction
    counts: tuple[tuple[int, Amount, Fraction], ...] = field(default=())
    order: Fraction | None = None

    @property
    def quantity(self) -> str:
        """What `epsilon` is: "epsilon" or "Rényi divergence"."""
        return "epsilon" if self.order is None else DIVERGENCE


def charge_dict(cost: SessionCost) -> Content:
    """One budget's charge as it stands in an entry."""
    found: Content = {
        "unit": cost.unit.value,
        "bits": cost.bits,
        "epsilon": to_text(cost.epsilon),
        "delta": to_text(cost.delta),
    }
    if cost.counts:
        found["counts"] = [[count, to_text(epsilon), to_text(delta)] for count, epsilon, delta in cost.counts]
    if cost.order is not None:
        found |= {"order": to_text(cost.order), "divergence": found.pop("epsilon")}
    return found


def charges_of(content: Content) -> tuple[SessionCost, ...]:
    """The charges that an entry made, one for each budget of its relation."""
    return tuple(_charge(one) for one in content["charges"])


def _charge(one: Content) -> SessionCost:
    counts = tuple((n, from_text(epsilon), fraction_from_text(delta)) for n, epsilon, delta in one.get("counts", ()))
    order = fraction_from_text(one["order"]) if "order" in one else None
    charged = from_text(one["epsilon" if order is None else "divergence"])
    cost = SessionCost(Unit(one["unit"]), one["bits"], charged, fraction_from_text(one["delta"]), counts, order)
    if charge_dict(cost) != one:
        raise ValueError("a charge is not in canonical form")
    return cost
