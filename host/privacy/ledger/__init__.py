"""The ledger of privacy budgets: durable, hash-chained, charged before anything is released (docs/ledger.md)."""

from spikeveil.host.privacy.ledger.accounts import Standing, check_budget
from spikeveil.host.privacy.ledger.amounts import Amount, amount, probability, shown_down, shown_up
from spikeveil.host.privacy.ledger.balances import Balance
from spikeveil.host.privacy.ledger.binding import Binding, DataIdentity, Subjects, ranges_of
from spikeveil.host.privacy.ledger.booking import SOURCES
from spikeveil.host.privacy.ledger.chain import MAX_LEASE
from spikeveil.host.privacy.ledger.charging import axis_name
from spikeveil.host.privacy.ledger.costs import SessionCost
from spikeveil.host.privacy.ledger.decision_session import DecisionSession
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
from spikeveil.host.privacy.ledger.exports import countersign, verify_export
from spikeveil.host.privacy.ledger.fields import RELATIONS, Evidence
from spikeveil.host.privacy.ledger.ledger import Ledger
from spikeveil.host.privacy.ledger.names import normal_name
from spikeveil.host.privacy.ledger.pending import PendingLedger
from spikeveil.host.privacy.ledger.session import ReleaseSession, Session
from spikeveil.host.privacy.ledger.signing import Signer
from spikeveil.host.privacy.ledger.stated import Stated
from spikeveil.host.privacy.ledger.training_session import TrainingSession
from spikeveil.host.privacy.ledger.views import Entry, Lease, Mark, Preview, Verified

__all__ = [
    "MAX_LEASE",
    "RELATIONS",
    "SOURCES",
    "Amount",
    "Balance",
    "Binding",
    "BudgetRefused",
    "DataIdentity",
    "DecisionSession",
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
    "PendingLedger",
    "Preview",
    "ReleaseSession",
    "Session",
    "SessionCost",
    "Signer",
    "Standing",
    "Stated",
    "Subjects",
    "TrainingSession",
    "Verified",
    "amount",
    "axis_name",
    "check_budget",
    "countersign",
    "normal_name",
    "probability",
    "ranges_of",
    "shown_down",
    "shown_up",
    "verify_export",
]
