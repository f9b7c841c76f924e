"""Charging a whole DP-SGD run to a ledger before its first step."""

import secrets
from fractions import Fraction
from typing import Any

from spikeveil.host.privacy.ledger import Ledger, LedgerError, TrainingSession
from spikeveil.host.privacy.units import Unit
from spikeveil.host.training.config import Config
from spikeveil.host.training.dpsgd import randomness_of
from spikeveil.host.training.plan import TrainingPlan


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
    receipt = {"ledger": ledger, "data_set": name, "entry": entry.sequence, "hash": entry.hash, "epsilon": epsilon}
    return receipt | {"token": entry.hash}


def begin_block(receipt: dict[str, Any] | None, start: int, steps: int) -> dict[str, Any] | None:
    """Lease the next steps from the checkpoint that `receipt` names; the receipt with the block's entry.

    A receipt without a token, of an older checkpoint or of no ledger, stays as it is. LedgerError where the checkpoint
    has a successor already; BudgetExceeded where its steps were leased before and cannot be paid again.
    """
    if receipt is None or "token" not in receipt:
        return receipt
    with Ledger(receipt["ledger"], create=False) as opened:
        return {**receipt, "block": opened.begin_block(receipt["entry"], receipt["token"], start, steps)}


def next_checkpoint(receipt: dict[str, Any] | None) -> dict[str, Any] | None:
    """The receipt of the checkpoint after the block: a new token."""
    return {**receipt, "token": secrets.token_hex(32)} if receipt is not None and "block" in receipt else receipt


def finish_block(receipt: dict[str, Any] | None) -> None:
    """Record the checkpoint that `receipt` names as the successor of its block's; doing so again changes nothing.

    LedgerError where another copy of the checkpoint before it finished first.
    """
    if receipt is not None and "block" in receipt:
        with Ledger(receipt["ledger"], create=False) as opened:
            opened.finish_block(receipt["entry"], receipt["block"], receipt["token"])


def charge_text(receipt: dict[str, Any] | None) -> str:
    """What was charged, in words."""
    if receipt is None:
        return "no ledger was named: nothing is booked, and whoever keeps the budget has to charge the whole run"
    repeated = _repeated(receipt)
    more = f"; {repeated} steps were run again from a copy, each a further charge" if repeated else ""
    return (
        f"the whole run was charged before its first step: epsilon {receipt['epsilon']:.6g} of data set "
        f"{receipt['data_set']!r}, entry {receipt['entry']} of {receipt['ledger']}{more}"
    )


def _repeated(receipt: dict[str, Any]) -> int:
    if "token" not in receipt:
        return 0
    try:
        with Ledger(receipt["ledger"], create=False) as opened:
            return opened.run(receipt["entry"]).repeated
    except LedgerError:
        return 0
