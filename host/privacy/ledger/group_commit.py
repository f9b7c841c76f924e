"""Group commit: charges of several threads that wait for the disk share one transaction, and so one sync."""

import threading
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from spikeveil.host.privacy.budget import BudgetExceeded
from spikeveil.host.privacy.ledger.chain import ChainBroken
from spikeveil.host.privacy.ledger.entries import Draft
from spikeveil.host.privacy.ledger.errors import LedgerError
from spikeveil.host.privacy.ledger.views import Entry

MOST = 64  # charges of one transaction


@dataclass
class _Request:
    """A charge that waits: `append` adds it to a draft; then it has an `entry`, or the `error` that refused it."""

    append: Callable[[Draft], Entry]
    entry: Entry | None = None
    error: BaseException | None = None


class GroupCommit:
    """Runs appends one after the other, each durable when `run` returns.

    appending: opens a transaction with a draft (see `Ledger`). Whoever gets the turn commits its own request and all
    that wait. A refused request leaves nothing behind and does not touch the others; where the transaction itself
    fails, every request of it fails alike.
    """

    def __init__(self, appending: Callable[[], AbstractContextManager[Draft]]) -> None:
        self._appending = appending
        self._waiting: deque[_Request] = deque()
        self._turn = threading.Lock()

    def run(self, append: Callable[[Draft], Entry]) -> Entry:
        """The entry that `append` made, on the disk. Raises whatever refused it."""
        request = _Request(append)
        self._waiting.append(request)
        with self._turn:
            if request.entry is None and request.error is None:
                self._commit([self._waiting.popleft() for _ in range(min(MOST, len(self._waiting)))])
        if request.error is not None:
            raise request.error
        if request.entry is None:
            raise RuntimeError("a charge was neither made nor refused")
        return request.entry

    def _commit(self, requests: list[_Request]) -> None:
        made: list[tuple[_Request, Entry]] = []
        try:
            with self._appending() as draft:
                for request in requests:
                    entry = self._append(draft, request)
                    if entry is not None:
                        made.append((request, entry))
        except BaseException as error:
            for request in requests:
                request.error = request.error or error
            return
        for request, entry in made:
            request.entry = entry

    @staticmethod
    def _append(draft: Draft, request: _Request) -> Entry | None:
        state = draft.state
        draft.connection.execute("SAVEPOINT charge")
        try:
            entry = request.append(draft)
        except ChainBroken:
            raise  # the file, and so the whole transaction
        except (BudgetExceeded, LedgerError, ValueError) as error:
            draft.connection.execute("ROLLBACK TO charge")
            draft.connection.execute("RELEASE charge")
            draft.state = state
            request.error = error
            return None
        draft.connection.execute("RELEASE charge")
        return entry
