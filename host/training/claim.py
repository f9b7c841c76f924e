"""The claim of a DP-SGD run, in four parts, and what it does not cover."""

from dataclasses import dataclass
from typing import Any

from spikeveil.host.privacy.dpsgd import DpSgd
from spikeveil.host.privacy.wording import up
from spikeveil.host.training.config import Config
from spikeveil.host.training.dpsgd import randomness_of
from spikeveil.host.training.privacy_meter import Spent

COVERS = (
    "the TRAINING examples, in the weights and in everything computed from them. NOT the input at inference, which is "
    "what a flipper on the chip protects (randomised response): other data, another claim"
)
NOT_COVERED = "choices made by looking at the training data, and other runs on them: each owes its own epsilon"


@dataclass(frozen=True)
class TrainingClaim:
    """What the weights of a run of `config` over `dataset_size` examples are worth after the steps of `spent`."""

    config: Config
    mechanism: DpSgd
    spent: Spent
    charged: str

    @property
    def private(self) -> bool:
        """Whether the epsilon is worth anything: not where the noise follows from a seed."""
        return randomness_of(self.config).source == "os"

    def parts(self) -> dict[str, str]:
        """The four parts in words."""
        return {
            "unit": "one training example: neighbours differ by one example, added or removed",
            "epsilon, delta": self._epsilon(),
            "randomness": randomness_of(self.config).worth,
            "spent": self.charged,
        }

    def _epsilon(self) -> str:
        spent, noise = self.spent, self.mechanism
        nominal = "" if self.private else "INFINITE: the noise is known. Nominal, no guarantee: "
        return (
            f"{nominal}{up(spent.pld)} at delta {spent.delta:g} for all {spent.steps} steps of the run (privacy-loss "
            f"distribution, upper bound; Rényi {up(spent.rdp)}, upper bound; central limit {spent.clt:.4g}, mu "
            f"{spent.mu:.4g}, an APPROXIMATION and no bound). Noise multiplier {noise.noise_multiplier:g}, Poisson "
            f"sampling {noise.batch_size}/{noise.dataset_size}. Released: every weight after every step. Holds "
            "against an adversary who cannot predict the noise, whatever else they know"
        )

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            **self.parts(),
            "private": self.private,
            "protects": COVERS,
            "does_not_cover": NOT_COVERED,
            **self.spent.to_dict(),
            "noise_multiplier": self.mechanism.noise_multiplier,
            "batch_size": self.mechanism.batch_size,
            "dataset_size": self.mechanism.dataset_size,
        }
