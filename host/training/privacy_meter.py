"""What a DP-SGD run has cost so far, and how far it may go."""

from dataclasses import dataclass
from typing import Any, Literal

from spikeveil.host.privacy.dpsgd import METHODS, DpSgd


@dataclass(frozen=True)
class Spent:
    """The cost of `steps` steps at `delta`: two upper bounds, and the central limit's APPROXIMATION, which is none."""

    steps: int
    delta: float
    pld: float
    rdp: float
    clt: float
    mu: float

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "steps": self.steps,
            "delta": self.delta,
            "epsilon_pld": self.pld,
            "epsilon_rdp": self.rdp,
            "epsilon_clt_approximation": self.clt,
            "mu_clt_approximation": self.mu,
        }


@dataclass(frozen=True)
class PrivacyMeter:
    """Counts a run's steps in epsilon at `delta`; `method` is the bound that decides. See `DpSgd` for its unit."""

    mechanism: DpSgd
    delta: float
    method: Literal["pld", "rdp"] = "pld"

    def epsilon(self, steps: int) -> float:
        """The bound that decides, of `steps` steps."""
        return self.mechanism.epsilon(steps, self.delta, self.method)

    def spent(self, steps: int) -> Spent:
        """Every figure of `steps` steps."""
        pld, rdp, clt = (self.mechanism.epsilon(steps, self.delta, method) for method in METHODS)  # type: ignore[arg-type]
        return Spent(steps, self.delta, pld, rdp, clt, self.mechanism.mu(steps))

    def max_steps(self, limit: float, planned: int) -> int:
        """The largest number of steps, at most `planned`, whose epsilon is at most `limit`; 0 where none is."""
        if self.epsilon(planned) <= limit:
            return planned
        low, high = 0, planned  # epsilon(low) <= limit < epsilon(high)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.epsilon(middle) <= limit else (low, middle)
        return low
