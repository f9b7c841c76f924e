"""A ledger whose new budget, and whose new file, appear with the first charge: a refused charge leaves nothing."""

import contextlib
import secrets
from pathlib import Path
from sqlite3 import Connection
from typing import Any

from numpy.typing import ArrayLike

from spikeveil.host.privacy.ledger import entries
from spikeveil.host.privacy.ledger.accounts import Account, check_budget
from spikeveil.host.privacy.ledger.balances import Balance
from spikeveil.host.privacy.ledger.binding import Binding, DataKey
from spikeveil.host.privacy.ledger.database import publish
from spikeveil.host.privacy.ledger.errors import LedgerError, file_error
from spikeveil.host.privacy.ledger.ledger import Ledger
from spikeveil.host.privacy.ledger.views import Entry


class PendingLedger(Ledger):
    """The ledger at `path`, in which `data_set` gets a record budget together with its first charge.

    records: the data that the budget is bound to; epsilon, delta: its limits; other arguments as of `Ledger`. Where
    there is no file at `path`, it is made under another name, which `publish` (the first charge, or a caller) changes
    to `path`; `close` removes one that was never published. For one thread, until then.
    """

    def __init__(self, path: str | Path, data_set: str, epsilon: object, delta: object, records: ArrayLike) -> None:
        target = Path(path)
        self._unpublished = not target.exists()
        self._fresh: Balance | None = check_budget("record", epsilon, delta)
        draft = target.with_name(f".{target.name}.{secrets.token_hex(8)}.new") if self._unpublished else target
        self._draft, self._data_set, self._key_made = draft, data_set, False
        super().__init__(draft, create=self._unpublished)
        self.path = self._database.name = self._reader.name = target
        self._key_made = not DataKey(target).path.exists()
        try:
            self._data = self.identify(records, create=True)
        except BaseException:
            self.close()
            raise

    def publish(self) -> None:
        """Give the new file its name. LedgerError where another program made one there meanwhile."""
        if not self._unpublished:
            return
        self._database.close()
        self._reader.close()
        try:
            published = publish(self._draft, self.path)
        except OSError as error:
            raise file_error(self.path, error) from error
        if not published:
            raise LedgerError(f"another program made ledger {self.path} meanwhile: nothing may be released; try again")
        self._unpublished = False
        self._draft.unlink(missing_ok=True)
        self._open_databases(self.path)

    def binding(self, data_set: str) -> Binding:
        """See `Ledger.binding`; of the pending budget, its own."""
        known = super().binding(data_set)
        return known if known.parts or self._fresh is None else Binding((self._data,))

    def _account(self, connection: Connection, data_set: str) -> Account:
        name = self._name(connection, data_set)
        if self._fresh is None or entries.latest(connection, name) is not None:
            return super()._account(connection, data_set)
        return Account(name, (self._fresh,), Binding((self._data,)), 0)

    def _append_charge(self, draft: entries.Draft, data_set: str, *details: Any, **options: Any) -> Entry:
        if self._fresh is not None:
            self._append_budget(draft, self._data_set, self._fresh, self._data)
        return super()._append_charge(draft, data_set, *details, **options)

    def _charge(self, *details: Any, **options: Any) -> Entry:
        entry = super()._charge(*details, **options)
        self._fresh, self._key_made = None, False
        self.publish()
        return entry

    def close(self) -> None:
        """Close the file, and remove it where it was never published."""
        super().close()
        leftovers = [DataKey(self.path).path] if self._key_made and self._fresh is not None else []
        if self._unpublished:
            leftovers += [self._draft, *(Path(f"{self._draft}-{log}") for log in ("wal", "shm"))]
        for path in leftovers:
            with contextlib.suppress(OSError):
                path.unlink()
