"""Epsilon: mechanisms, exact composition, the accountant and its ledger. A name is imported when it is first used."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spikeveil.host.privacy.budget import BudgetExceeded as BudgetExceeded
    from spikeveil.host.privacy.ledger import Evidence as Evidence
    from spikeveil.host.privacy.ledger import Ledger as Ledger
    from spikeveil.host.privacy.ledger import LedgerError as LedgerError
    from spikeveil.host.privacy.ledger import Session as Session
    from spikeveil.host.privacy.ledger import Stated as Stated
    from spikeveil.host.privacy.mechanisms import RandomizedResponse as RandomizedResponse
    from spikeveil.host.privacy.units import Unit as Unit

#: public name -> the module of this package that defines it
_HOMES = {
    "BudgetExceeded": "budget",
    "Evidence": "ledger",
    "Ledger": "ledger",
    "LedgerError": "ledger",
    "RandomizedResponse": "mechanisms",
    "Session": "ledger",
    "Stated": "ledger",
    "Unit": "units",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(_HOMES)
