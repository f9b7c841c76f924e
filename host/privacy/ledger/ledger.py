"""The ledger: what may still be released from a data set, committed to disk before anything leaves."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from secrets import token_hex

from spikeveil.host.privacy.ledger import entries
from spikeveil.host.privacy.ledger.binding import DataIdentity, Ranges
from spikeveil.host.privacy.ledger.booking import Booking
from spikeveil.host.privacy.ledger.budgets import LedgerBudgets
from spikeveil.host.privacy.ledger.chain import MAX_LEASE, SCHEMA
from spikeveil.host.privacy.ledger.costs import charges_of
from spikeveil.host.privacy.ledger.database import create as create_file
from spikeveil.host.privacy.ledger.errors import LedgerError
from spikeveil.host.privacy.ledger.fields import Evidence
from spikeveil.host.privacy.ledger.runs import block_content, part
from spikeveil.host.privacy.ledger.session import Chargeable, ReleaseSession
from spikeveil.host.privacy.ledger.views import Entry, Lease
from spikeveil.host.privacy.ledger.witness import Witness, default_directory
from spikeveil.host.privacy.ledger.writer import NO_EVIDENCE, software


class Ledger(LedgerBudgets):
    """Budgets, leases and spends in the file at `path`; several processes may have it open.

    The filter: within a data set, every charge is added to every budget of its relation, each at its own unit, as the
    pure sum of (epsilon, delta) of pre-declared sessions in exact fractions (basic composition, which holds for
    adaptively chosen sessions); a session's own epsilon is the exact binomial's at the session's delta. Where the data
    set is bound to data and a charge names the records that it releases, each record (and each subject) has a sum of
    its own, and the largest counts. A charge that any budget cannot bear is refused whole, with BudgetExceeded, before
    anything is written. What is charged is never given back.

    path: made where it is missing, unless `create` is false. timeout: seconds to wait for other processes.
    after_lease: a new file's first lease is the next number (for a device that has used up earlier ones).
    state_directory: where the witness lies (see `witness`), by default the user's state directory.

    Raises LedgerError, of which there is a subclass for each cause, and ValueError for bad arguments.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        create: bool = True,
        timeout: float = 10.0,
        after_lease: int = 0,
        state_directory: str | Path | None = None,
    ) -> None:
        if str(path) == ":memory:":
            raise ValueError("ledger path must name a file, not ':memory:': a ledger outlives its process")
        if isinstance(after_lease, bool) or not isinstance(after_lease, int) or not 0 <= after_lease < MAX_LEASE:
            raise ValueError(f"after_lease must be 0 to 2^39 - 2, not {after_lease!r}")
        path = Path(path)
        directory = Path(state_directory) if state_directory else None
        if create and not path.exists():
            Witness(directory or default_directory(), timeout).close()  # without one, nothing could be written to it
            genesis = {
                "ledger": token_hex(16),
                "schema": SCHEMA,
                "software": software(),
            }
            content = entries.new_content(1, "genesis", after_lease, genesis)
            create_file(path, "ledger", lambda connection: entries.fill(connection, content))
        super().__init__(path, timeout, directory)

    def spend(
        self,
        data_set: str,
        cost: Chargeable,
        *,
        source: str,
        device: str = "",
        evidence: Evidence = NO_EVIDENCE,
        unsafe: bool = False,
        demonstration: bool = False,
        records: Iterable[int] | Ranges | None = None,
        data: DataIdentity | None = None,
    ) -> Entry:
        """Charge `cost` to every budget of its relation, for a release without a lease; on the disk when this returns.

        source: where the noise comes from: "os" (the operating system's generator), "trivium", "lfsr" or "none". The
        last two give no privacy and are booked at infinity. `demonstration` says that an insecure demonstration is
        meant: then the nominal cost is charged, of an LFSR too, and the budget is marked nominal for good.
        unsafe: the specification has a path around the flipper; infinite in any case.
        records: numbers of the records in the file `data` (`identify`), each released once: they alone are charged,
        where the data set is bound to that file. Without them the charge counts for every record.
        Raises BudgetExceeded (BudgetRefused), LedgerError, ValueError.
        """
        return self._charge(data_set, cost, Booking(source, unsafe, demonstration), device, evidence, records, data)

    def lease(
        self,
        data_set: str,
        session: ReleaseSession,
        *,
        key: bytes | None,
        specification: str,
        source: str = "trivium",
        device: str = "",
        evidence: Evidence = NO_EVIDENCE,
        unsafe: bool = False,
        demonstration: bool = False,
        records: Iterable[int] | Ranges | None = None,
        data: DataIdentity | None = None,
    ) -> Lease:
        """Charge `session` as `spend` does and grant the next lease number for it; on the disk when this returns.

        key: the cipher's 10 bytes, or under lfsr the seeds (16 bytes for each flipper), from the operating system's
        generator; None for other sources. Only a salted hash of it is kept. A key that serves another ledger, and a
        seed that was used before, raise KeyReused; a published or patterned one is a ValueError.
        specification: the network specification's SHA-256, hexadecimal.
        """
        if not isinstance(session, ReleaseSession):
            raise ValueError(f"lease session must be a Session or a DecisionSession, not {session!r}")
        booking = Booking(source, unsafe, demonstration)
        booking.check_key(key)
        proof = replace(evidence, specification=specification)
        if evidence.specification not in (None, proof.specification):
            raise ValueError(f"evidence specification must be the lease's own, not {evidence.specification!r}")
        entry = self._charge(data_set, session, booking, device, proof, records, data, lease=True, key=key)
        number, name = int(entry.content["lease"]), str(entry.content["data_set"])
        return Lease(self.identity, number, name, session, source, booking.worth, charges_of(entry.content), entry)

    def begin_block(self, run: int, token: str, start: int, steps: int) -> int:
        """Lease `steps` steps of the training run of entry `run`, from its checkpoint `token`; the block's entry.

        Steps that were leased before are charged again, as a session of their own. LedgerError where the checkpoint has
        a successor; BudgetRefused.
        """
        with self._appending() as draft:
            state = self._run(draft.connection, run)
            again = state.again(start)
            with self._run_rules(run):
                state.begin(draft.last.sequence + 1, token, start, steps)
            if again:
                charge = entries.entry_at(draft.connection, run).content
                booking = Booking(charge["source"], charge["unsafe"], charge["demonstration"])
                evidence = Evidence(**charge["evidence"])
                session = part(state.session, steps)
                self._append_charge(draft, charge["data_set"], session, booking, charge["device"], evidence)
            return draft.append("block", block_content(run, token, start, steps, again)).sequence

    def finish_block(self, run: int, block: int, token: str) -> None:
        """Record `token` as the checkpoint after `block`; doing so again changes nothing. LedgerError where another
        copy of the checkpoint before has finished first."""
        with self._reading() as connection:
            if token in self._run(connection, run).known:
                return
        with self._appending() as draft:
            state = self._run(draft.connection, run)
            with self._run_rules(run):
                state.finish(block, token)
            draft.append("checkpoint", {"run": run, "block": block, "key": state.parents[block], "token": token})

    @contextmanager
    def _run_rules(self, run: int) -> Iterator[None]:
        try:
            yield
        except ValueError as error:
            raise LedgerError(f"training run of entry {run} in ledger {self.path}: {error}") from None
