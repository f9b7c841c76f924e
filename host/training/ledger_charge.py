"""Charging a whole DP-SGD run to a ledger before its first step."""

from fractions import Fraction
from typing import Any

from spikeveil.host.privacy.ledger import Ledger, TrainingSession
from spikeveil.host.privacy.units import Unit
from spikeveil.host.training.config import Config
from spikeveil.host.training.dpsgd import randomness_of
from spikeveil.host.training.loop import TrainingPlan


def charge(plan: TrainingPlan, config: Config, ledger: str, data_set: str) -> dict[str, Any]:
    """Charge every step of `plan` at record level, a record being a training example ADDED OR REMOVED.

    It is one session, which `verify` recomputes, and falls on the data set's add/remove budgets alone. Gives back what
    was charged. For examples EXCHANGED, a removal and an addition, (2 epsilon, (1 + e^epsilon) delta) holds.
    Raises BudgetExceeded where the budget cannot bear the whole run: then no step is made. Raises ValueError for a run
    without privacy, or on a seed, which a ledger books at infinity.
    """
    if plan.meter is None:
        raise ValueError("training charge must be of a private run, not of an ordinary one")
    noise = plan.meter.mechanism
    session = TrainingSession(
        noise.noise_multiplier,
        noise.batch_size,
        noise.dataset_size,
        plan.steps,
        Fraction(str(plan.meter.delta)),
        plan.meter.method,
    )
    with Ledger(ledger, create=False) as opened:
        source, device = randomness_of(config).source, f"configuration {config.digest[:32]}"
        entry = opened.spend(data_set, session, source=source, device=device)
        name = entry.content["data_set"]
    epsilon = float(session.cost(Unit.RECORD).epsilon)
    return {"ledger": ledger, "data_set": name, "entry": entry.sequence, "hash": entry.hash, "epsilon": epsilon}


def charge_text(receipt: dict[str, Any] | None) -> str:
    """What was charged, in words."""
    if receipt is None:
        return "no ledger was named: nothing is booked, and whoever keeps the budget has to charge the whole run"
    return (
        f"the whole run was charged before its first step: epsilon {receipt['epsilon']:.6g} of data set "
        f"{receipt['data_set']!r}, entry {receipt['entry']} of {receipt['ledger']}"
    )
