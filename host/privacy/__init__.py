"""Epsilon: mechanisms, exact composition, the accountant and its ledger. A name is imported when it is first used."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spikeveil.host.privacy.accountant import Accountant as Accountant
    from spikeveil.host.privacy.budget import BudgetExceeded as BudgetExceeded
    from spikeveil.host.privacy.composition import compose as compose
    from spikeveil.host.privacy.dpsgd import DpSgd as DpSgd
    from spikeveil.host.privacy.events import Event as Event
    from spikeveil.host.privacy.events import NotPrivate as NotPrivate
    from spikeveil.host.privacy.events import UnsupportedEvent as UnsupportedEvent
    from spikeveil.host.privacy.ledger import Evidence as Evidence
    from spikeveil.host.privacy.ledger import Ledger as Ledger
    from spikeveil.host.privacy.ledger import LedgerError as LedgerError
    from spikeveil.host.privacy.ledger import Session as Session
    from spikeveil.host.privacy.ledger import Stated as Stated
    from spikeveil.host.privacy.mechanisms import KaryRandomizedResponse as KaryRandomizedResponse
    from spikeveil.host.privacy.mechanisms import RandomizedResponse as RandomizedResponse
    from spikeveil.host.privacy.mechanisms import SpikeSubsampling as SpikeSubsampling
    from spikeveil.host.privacy.units import Unit as Unit

#: public name -> the module of this package that defines it
_HOMES = {
    "Accountant": "accountant",
    "BudgetExceeded": "budget",
    "DpSgd": "dpsgd",
    "Event": "events",
    "Evidence": "ledger",
    "KaryRandomizedResponse": "mechanisms",
    "Ledger": "ledger",
    "LedgerError": "ledger",
    "NotPrivate": "events",
    "RandomizedResponse": "mechanisms",
    "Session": "ledger",
    "SpikeSubsampling": "mechanisms",
    "Stated": "ledger",
    "Unit": "units",
    "UnsupportedEvent": "events",
    "compose": "composition",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(_HOMES)
