"""The ledger of privacy budgets: durable, hash-chained, charged before anything is released (docs/ledger.md)."""

from spikeveil.host.privacy.ledger.amounts import amount, probability, shown_down, shown_up
from spikeveil.host.privacy.ledger.chain import MAX_LEASE, Balance
from spikeveil.host.privacy.ledger.errors import (
    BudgetRefused,
    KeyReused,
    LeasesExhausted,
    LedgerCorrupt,
    LedgerError,
    LedgerForeign,
    LedgerFull,
    LedgerLocked,
    LedgerMissing,
    LedgerNewer,
    LedgerReadOnly,
    LedgerRolledBack,
    LedgerUnavailable,
)
from spikeveil.host.privacy.ledger.exports import verify_export
from spikeveil.host.privacy.ledger.ledger import Ledger
from spikeveil.host.privacy.ledger.session import SOURCES, Evidence, Session, SessionCost, Stated
from spikeveil.host.privacy.ledger.views import Entry, Lease, Mark, Preview, Verified

__all__ = [
    "MAX_LEASE",
    "SOURCES",
    "Balance",
    "BudgetRefused",
    "Entry",
    "Evidence",
    "KeyReused",
    "Lease",
    "LeasesExhausted",
    "Ledger",
    "LedgerCorrupt",
    "LedgerError",
    "LedgerForeign",
    "LedgerFull",
    "LedgerLocked",
    "LedgerMissing",
    "LedgerNewer",
    "LedgerReadOnly",
    "LedgerRolledBack",
    "LedgerUnavailable",
    "Mark",
    "Preview",
    "Session",
    "SessionCost",
    "Stated",
    "Verified",
    "amount",
    "probability",
    "shown_down",
    "shown_up",
    "verify_export",
]
