"""A whole run of DP-SGD, as it is charged."""

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Literal

from spikeveil.host.privacy.ledger.amounts import Amount, float_below, probability, to_text
from spikeveil.host.privacy.ledger.costs import SessionCost
from spikeveil.host.privacy.ledger.fields import Relation
from spikeveil.host.privacy.units import Unit

#: a second or two and 300 MiB; both grow with the root of the steps and more
MAX_PLD_STEPS = 10**7


@dataclass(frozen=True)
class TrainingSession:
    """A whole run of DP-SGD, declared before its first step; see `DpSgd` for its conditions.

    noise_multiplier, batch_size (expected), dataset_size: of every step; steps: ALL steps of the run; delta: read
    exactly; method: the bound, `pld` or `rdp`. Neighbours differ by one example added or removed: it is charged to
    add/remove budgets alone. Raises ValueError for a value out of range.
    """

    noise_multiplier: float
    batch_size: int
    dataset_size: int
    steps: int
    delta: Fraction
    method: Literal["pld", "rdp"] = "pld"

    def __post_init__(self) -> None:
        from spikeveil.host.privacy.dpsgd import DpSgd

        mechanism = DpSgd(self.noise_multiplier, self.batch_size, self.dataset_size)
        object.__setattr__(self, "noise_multiplier", mechanism.noise_multiplier)
        if isinstance(self.steps, bool) or not isinstance(self.steps, int) or not 1 <= self.steps <= 10**9:
            raise ValueError(f"training steps must be an integer from 1 to 10^9, not {self.steps!r}")
        if self.method == "pld" and self.steps > MAX_PLD_STEPS:
            raise ValueError(f"training steps must be at most 10^7 for method pld, not {self.steps}: use method rdp")
        if self.method not in ("pld", "rdp"):
            raise ValueError(
                f"training method must be pld or rdp, not {self.method!r}: an approximation bounds nothing"
            )
        object.__setattr__(self, "delta", probability("training delta", self.delta))

    @property
    def relation(self) -> Relation:
        """What neighbours differ by."""
        return "add/remove"

    def cost(self, unit: Unit, releases: int | None = None) -> SessionCost:
        """The cost of the whole run for one example; infinite at any other unit."""
        if unit is not Unit.RECORD:
            return SessionCost(unit, 0, math.inf, self.delta)
        key = (self.noise_multiplier, self.batch_size, self.dataset_size, self.steps, self.delta, self.method)
        return SessionCost(unit, 0, _trained(*key), self.delta)

    def to_dict(self) -> dict[str, object]:
        """The session as it stands in an entry."""
        return {
            "kind": "dp-sgd",
            "noise_multiplier": to_text(Fraction(self.noise_multiplier)),
            "batch_size": self.batch_size,
            "dataset_size": self.dataset_size,
            "steps": self.steps,
            "delta": to_text(self.delta),
            "method": self.method,
        }


@lru_cache(maxsize=64)
def _trained(noise: float, batch: int, size: int, steps: int, delta: Fraction, method: Literal["pld", "rdp"]) -> Amount:
    from spikeveil.host.privacy.dpsgd import DpSgd

    epsilon = DpSgd(noise, batch, size).epsilon(steps, float_below(delta), method)
    return Fraction(epsilon) if math.isfinite(epsilon) else math.inf
