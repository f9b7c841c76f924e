"""Charging a whole DP-SGD run to a ledger before its first step."""

from fractions import Fraction
from typing import Any

from spikeveil.host.privacy.ledger import Ledger, Stated
from spikeveil.host.privacy.units import Unit
from spikeveil.host.training.config import Config
from spikeveil.host.training.dpsgd import randomness_of
from spikeveil.host.training.loop import TrainingPlan


def charge(plan: TrainingPlan, config: Config, ledger: str, data_set: str) -> dict[str, Any]:
    """Charge every step of `plan` at record level, a record being a training example ADDED OR REMOVED.

    Gives back what was charged. Training examples are a data set of their own in the ledger. For examples EXCHANGED,
    which is a removal and an addition, (2 epsilon, (1 + e^epsilon) delta) holds.
    Raises BudgetExceeded where the budget cannot bear the whole run: then no step is made. Raises ValueError for a run
    without privacy, or on a seed, which a ledger books at infinity.
    """
    if plan.meter is None:
        raise ValueError("training charge must be of a private run, not of an ordinary one")
    spent, noise = plan.meter.spent(plan.steps), plan.meter.mechanism
    epsilon = plan.meter.epsilon(plan.steps)
    mechanism = (
        f"DP-SGD, {plan.steps} steps in all, noise {noise.noise_multiplier!r}, Poisson {noise.batch_size}/"
        f"{noise.dataset_size}, {plan.meter.method} bound; one example added or removed; configuration "
        f"{config.digest[:32]}"
    )
    stated = Stated(mechanism, Unit.RECORD, Fraction(epsilon), Fraction(str(spent.delta)))
    with Ledger(ledger, create=False) as opened:
        entry = opened.spend(data_set, stated, source=randomness_of(config).source)
    return {"ledger": ledger, "data_set": data_set, "entry": entry.sequence, "hash": entry.hash, "epsilon": epsilon}


def charge_text(receipt: dict[str, Any] | None) -> str:
    """What was charged, in words."""
    if receipt is None:
        return "no ledger was named: nothing is booked, and whoever keeps the budget has to charge the whole run"
    return (
        f"the whole run was charged before its first step: epsilon {receipt['epsilon']:.6g} of data set "
        f"{receipt['data_set']!r}, entry {receipt['entry']} of {receipt['ledger']}"
    )
