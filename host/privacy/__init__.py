"""Privacy loss: mechanisms, exact composition, accountants, ledger. A name is imported when it is first used."""

from typing import TYPE_CHECKING

import lazy_loader

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

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "accountant": ["Accountant"],
        "budget": ["BudgetExceeded"],
        "composition": ["compose"],
        "dpsgd": ["DpSgd"],
        "events": ["Event", "NotPrivate", "UnsupportedEvent"],
        "ledger": ["Evidence", "Ledger", "LedgerError", "Session", "Stated"],
        "mechanisms": ["KaryRandomizedResponse", "RandomizedResponse", "SpikeSubsampling"],
        "units": ["Unit"],
    },
)
