"""The ledger: what may still be released from a data set, committed to disk before anything leaves."""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from importlib import metadata
from pathlib import Path
from secrets import token_hex
from sqlite3 import Connection

from spikeveil.host.privacy.ledger import entries
from spikeveil.host.privacy.ledger.amounts import amount, probability
from spikeveil.host.privacy.ledger.binding import (
    Binding,
    DataIdentity,
    Ranges,
    Subjects,
    check_ranges,
    ranges_of,
    size_of,
)
from spikeveil.host.privacy.ledger.chain import (
    MAX_LEASE,
    SCHEMA,
    Balance,
    Content,
    Network,
    balances_of,
    charge_dict,
    charges_of,
)
from spikeveil.host.privacy.ledger.charging import Effect, WrongNetwork, costs_of, effect, network_of
from spikeveil.host.privacy.ledger.database import create as create_file
from spikeveil.host.privacy.ledger.errors import BudgetRefused, KeyReused, LedgerError
from spikeveil.host.privacy.ledger.group_commit import GroupCommit
from spikeveil.host.privacy.ledger.names import normal_name
from spikeveil.host.privacy.ledger.reader import LedgerFile
from spikeveil.host.privacy.ledger.runs import block_content, part
from spikeveil.host.privacy.ledger.session import (
    Booking,
    Chargeable,
    Evidence,
    Relation,
    Session,
    SessionCost,
    Stated,
    TrainingSession,
    check_hash,
    check_layer,
    check_relation,
    key_digest,
    session_of,
    text,
)
from spikeveil.host.privacy.ledger.spread import TableSpread
from spikeveil.host.privacy.ledger.views import Entry, Lease, Preview
from spikeveil.host.privacy.ledger.witness import Witness
from spikeveil.host.privacy.units import Unit

NO_EVIDENCE = Evidence()


class Ledger(LedgerFile):
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
        if create and not path.exists():
            genesis = {
                "ledger": token_hex(16),
                "schema": SCHEMA,
                "software": _software(),
            }
            content = entries.new_content(1, "genesis", after_lease, genesis)
            create_file(path, "ledger", lambda connection: entries.fill(connection, content))
        super().__init__(path, timeout, Path(state_directory) if state_directory else None)
        self._together = GroupCommit(self._appending)

    def preview(
        self,
        data_set: str,
        cost: Chargeable,
        *,
        source: str = "trivium",
        specification: str | None = None,
        unsafe: bool = False,
        demonstration: bool = False,
        records: Iterable[int] | Ranges | None = None,
        data: DataIdentity | None = None,
    ) -> tuple[Preview, ...]:
        """What a charge (see `spend`) would do to each budget of its relation; nothing is charged."""
        booking, network = Booking(source, unsafe, demonstration), network_of(cost, specification)
        with self._reading() as connection:
            account = self._account(connection, data_set)
            ranges = account.ranges(cost, records, data)
            costs = costs_of(cost, booking, account.balances, ranges, account.binding)
            worked = account.effect(connection, costs, cost.relation, ranges, booking, network)
        concerned = [balance for balance in account.balances if balance.relation == cost.relation]
        return tuple(
            Preview(balance, one, excess is None, releases_left(balance, booking.cost(cost, balance.unit, 1)))
            for balance, one, excess in zip(concerned, costs, worked.excesses, strict=True)
        )

    def create_budget(
        self,
        data_set: str,
        unit: Unit | str,
        epsilon: object,
        delta: object,
        *,
        relation: Relation = "substitution",
        data: DataIdentity | None = None,
        subjects: Subjects | None = None,
        specification: str | None = None,
        layer: int | None = None,
    ) -> Balance:
        """Give `data_set` a budget at `unit`: at most `epsilon` and `delta` in all, read exactly (see `amount`).

        A data set has at most one budget a relation and unit, all made before its first charge, and a budget never
        changes. relation: releases are charged to substitution budgets alone, DP-SGD to add/remove budgets alone.
        data: the file that the budget is for (`identify`): then releases of different records do not add up; subjects:
        the grouping of its records, which a budget at subject level needs. specification, layer: what a budget at
        spike, neuron or step level is for; without them, the network and layer of its first charge.
        """
        normal_name(data_set)
        fresh = check_budget(unit, epsilon, delta, relation=relation, specification=specification, layer=layer)
        if subjects is not None and (data is None or subjects.ends[-1] != data.records):
            raise ValueError("subjects must cover the records of the data")
        with self._appending() as draft:
            connection, name = draft.connection, self._name(draft.connection, data_set)
            latest = entries.latest(connection, name)
            before = balances_of(latest.content) if latest else ()
            if latest and latest.kind != "budget":
                raise LedgerError(f"data set {name!r} has been charged: budgets are made before the first charge")
            if any(balance.same_budget(fresh) for balance in before):
                raise LedgerError(f"data set {name!r} already has a budget at {fresh.unit.value} level")
            binding = self._binding(connection, latest.content) if latest else Binding()
            if data is not None:
                wanted = Binding((data,), subjects or binding.subjects)
                if binding.parts and wanted != binding:
                    raise LedgerError(f"data set {name!r} is bound to other data: give its budgets one file")
                binding = wanted
                self._bind(connection, name, 0, data)
            if fresh.unit is Unit.SUBJECT and binding.subjects is None:
                raise ValueError("a budget at subject level needs the data and the column of subjects")
            balances = [one.to_dict() for one in (*before, fresh)]
            draft.append("budget", {"data_set": name, "balances": balances, **binding.to_dict()})
        return fresh

    def extend(self, data_set: str, data: DataIdentity, subjects: Subjects | None = None) -> Binding:
        """Join a further file to the data of `data_set`: the caller states that nobody is in both.

        Its records are numbered after those that are there. subjects: its own grouping, numbered from `start` =
        `binding(data_set).subjects.count`, where the data set has subjects.
        """
        with self._appending() as draft:
            connection = draft.connection
            account = self._account(connection, data_set)
            name, binding = account.name, account.binding
            if not binding.parts:
                raise LedgerError(f"data set {name!r} is bound to no data, which nothing can extend")
            if (binding.subjects is None) != (subjects is None):
                raise ValueError("data that extend others have subjects where those have them, and only there")
            self._bind(connection, name, binding.records, data)
            joined = (
                subjects
                and binding.subjects
                and Subjects(binding.subjects.column, (*binding.subjects.runs, *subjects.runs))
            )
            after = Binding((*binding.parts, data), joined or None)
            balances = [one.to_dict() for one in account.balances]
            draft.append("extend", {"data_set": name, "balances": balances, **after.to_dict()})
        return after

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
        session: Session,
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
        if not isinstance(session, Session):
            raise ValueError(f"lease session must be a Session, not {session!r}")
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

    def standing(self, data_set: str) -> "Standing":
        """What the data set's budgets mean now: its binding, the worst record, how many releases are left.

        LedgerError where there is no such data set.
        """
        with self._reading() as connection:
            account = self._account(connection, data_set)
            row = connection.execute(
                "SELECT max(sequence) FROM entries WHERE data_set = ? AND sequence > ?", (account.name, account.bound)
            ).fetchone()
            last = None if row[0] is None else entries.entry_at(connection, row[0]).content
        left: dict[Unit, int | None] = {}
        if last is not None and last["kind"] in ("spend", "lease"):
            charge = session_of(last["session"], last.get("relation", "substitution"))
            booking = Booking(last["source"], last["unsafe"], last["worth"] == "nominal")
            for balance in account.balances:
                if balance.relation == charge.relation:
                    left[balance.unit] = releases_left(balance, booking.cost(charge, balance.unit, 1))
        return Standing(account.name, account.binding, self.worst(data_set), left)

    # Inside

    def _account(self, connection: Connection, data_set: str) -> "_Account":
        name = self._name(connection, data_set)
        latest = entries.latest(connection, name)
        if latest is None:
            raise LedgerError(f"data set {name!r} has no budget in ledger {self.path}: make one before any release")
        bound = latest.sequence if latest.kind in ("budget", "extend") else int(latest.content.get("bound", 0))
        binding = self._binding(connection, latest.content)
        return _Account(name, balances_of(latest.content), binding, bound)

    @staticmethod
    def _bind(connection: Connection, name: str, first: int, data: DataIdentity) -> None:
        """Bind a file to a data set. LedgerError where it is another one's: it would have two budgets."""
        row = connection.execute("SELECT data_set, first FROM bindings WHERE digest = ?", (data.digest,)).fetchone()
        if row is None:
            connection.execute("INSERT INTO bindings VALUES (?, ?, ?, ?)", (data.digest, name, first, data.records))
        elif row != (name, first):
            raise LedgerError(f"the data are bound to data set {row[0]!r} already: a file has one set of budgets")

    def _charge(
        self,
        data_set: str,
        cost: Chargeable,
        booking: Booking,
        device: str,
        evidence: Evidence,
        records: Iterable[int] | Ranges | None,
        data: DataIdentity | None,
        *,
        lease: bool = False,
        key: bytes | None = None,
    ) -> Entry:
        if not isinstance(cost, Session | TrainingSession | Stated):
            raise ValueError(f"charge must be a Session, a TrainingSession or a Stated cost, not {cost!r}")
        if device:
            text("device", device)
        if records is not None and not isinstance(records, tuple):
            records = ranges_of(records)
        with self._reading_aside() as connection:  # the sums are computed here: nobody waits for them at the lock
            account = self._account(connection, data_set)
            costs_of(cost, booking, account.balances, account.ranges(cost, records, data), account.binding)
        return self._together.run(
            lambda draft: self._append_charge(
                draft, data_set, cost, booking, device, evidence, records, data, lease=lease, key=key
            )
        )

    def _append_charge(
        self,
        draft: entries.Draft,
        data_set: str,
        cost: Chargeable,
        booking: Booking,
        device: str,
        evidence: Evidence,
        records: Iterable[int] | Ranges | None = None,
        data: DataIdentity | None = None,
        *,
        lease: bool = False,
        key: bytes | None = None,
    ) -> Entry:
        """Charge within a transaction. BudgetRefused."""
        account = self._account(draft.connection, data_set)
        ranges, network = account.ranges(cost, records, data), network_of(cost, evidence.specification)
        costs = costs_of(cost, booking, account.balances, ranges, account.binding)
        worked = account.effect(draft.connection, costs, cost.relation, ranges, booking, network)
        if worked.excess is not None:
            one = worked.excess
            unit = one.balance.unit
            raise BudgetRefused(account.name, one.limit, one.spent, one.asked, unit, one.quantity, one.who)
        worked.write(lambda axis: TableSpread(draft.connection, account.name, axis))
        content: Content = {
            "data_set": account.name,
            "session": cost.to_dict(),
            "relation": cost.relation,
            "records": None if ranges is None else [list(one) for one in ranges],
            "bound": account.bound,
            "source": booking.source,
            "unsafe": booking.unsafe,
            "demonstration": booking.demonstration,
            "worth": booking.worth,
            "device": device,
            "evidence": evidence.to_dict(),
            "charges": [charge_dict(one) for one in costs],
            "balances": [balance.to_dict() for balance in worked.after],
        }
        if lease:
            content |= {"lease": draft.next_lease(), "key": self._claim(draft.connection, booking, key)}
        return draft.append("lease" if lease else "spend", content)

    def _claim(self, connection: Connection, booking: Booking, key: bytes | None) -> str | None:
        """The salted name of `key` in this ledger, once nothing stands against its use."""
        if key is None:
            return None
        name = key_digest(b"spikeveil ledger key", bytes.fromhex(self.identity), key)
        owner = self._writable_witness().claim(key, self.identity)
        if owner not in ("", self.identity):
            raise KeyReused("the key serves another ledger, whose lease numbers are the same: make a fresh key")
        used = owner or connection.execute("SELECT 1 FROM entries WHERE key = ?", (name,)).fetchone()
        if booking.single_use and used:
            raise KeyReused("the seed was used before, and the same seed gives the same masks: make a fresh seed")
        return name

    def _writable_witness(self) -> Witness:
        if self._witness is None:
            raise self.witness_error or LedgerError(f"ledger {self.path} has no witness")
        return self._witness

    @contextmanager
    def _appending(self) -> Iterator[entries.Draft]:
        """One entry's transaction: head and witness are checked at its start, and the witness is told at its end."""
        witness = self._writable_witness()
        with self._naming_the_file(), self._database.write() as connection:
            tip = self._tip(connection)
            mark = witness.mark(self.identity)
            if mark is not None and mark != self._mark(tip) and entries.hash_at(connection, mark.entries) != mark.head:
                raise self._rolled_back(mark, tip.sequence)
            draft = entries.Draft(connection, tip, int(tip.content["last_lease"]))
            if entries.schema_of(connection) < SCHEMA:
                entries.upgrade(connection)
                draft.append("upgrade", {"schema": SCHEMA, "software": _software()})
            yield draft
        witness.seen(self.identity, self._mark(draft.last))
        self._database.tidy()


@dataclass(frozen=True)
class Standing:
    """A data set as it stands: see `Ledger.standing`.

    - `binding`: its files and subjects;
    - `worst`: unit -> number of the record (or subject) that has spent most, where named records were charged;
    - `left`: unit -> how many further single releases it has at the setting of the last charge; None: without end.
    """

    name: str
    binding: Binding
    worst: dict[Unit, int]
    left: dict[Unit, int | None]


@dataclass(frozen=True)
class _Account:
    """A data set as its last entry leaves it."""

    name: str
    balances: tuple[Balance, ...]
    binding: Binding
    bound: int

    def ranges(
        self, cost: Chargeable, records: Iterable[int] | Ranges | None, data: DataIdentity | None
    ) -> Ranges | None:
        """The numbers in the data set of the records that are charged; None for every one. LedgerError, ValueError."""
        if cost.relation not in {balance.relation for balance in self.balances}:
            raise LedgerError(f"data set {self.name!r} has no {cost.relation} budget, and this is charged to no other")
        if isinstance(cost, TrainingSession) and records is not None:
            raise ValueError("a training session is for all of its data set, not for named records")
        if not self.binding.parts:
            return None  # without data, record numbers mean nothing: the charge counts for every record
        if data is None:
            if records is not None:
                raise ValueError("record numbers need the data that they count")
            return None
        first = self.binding.offset(data)
        if first is None:
            raise LedgerError(
                f"data set {self.name!r} is bound to other data: give these a data set of their own, or join them by "
                "`spikeveil budget extend --disjoint`, if nobody is in both"
            )
        if records is None:
            return None
        numbered = records if isinstance(records, tuple) else ranges_of(records)
        checked = check_ranges(numbered, data.records)
        if isinstance(cost, Session) and size_of(checked) != cost.releases:
            raise ValueError(f"session releases must be the {size_of(checked)} records named, not {cost.releases}")
        return tuple((start + first, end + first) for start, end in checked)

    def effect(
        self,
        connection: Connection,
        costs: Sequence[SessionCost],
        relation: Relation,
        ranges: Ranges | None,
        booking: Booking,
        network: Network | None,
    ) -> Effect:
        """See `charging.effect`. LedgerError where a small unit is another network's."""
        try:
            return effect(
                self.balances,
                costs,
                relation,
                ranges,
                self.binding,
                lambda axis: TableSpread(connection, self.name, axis),
                nominal=booking.worth == "nominal",
                network=network,
            )
        except WrongNetwork as error:
            raise LedgerError(f"{error} (data set {self.name!r})") from None


def check_budget(
    unit: Unit | str,
    epsilon: object,
    delta: object,
    *,
    relation: Relation = "substitution",
    specification: str | None = None,
    layer: int | None = None,
) -> Balance:
    """The budget that these arguments of `Ledger.create_budget` make, nothing spent. ValueError."""
    check_relation(relation)
    check_hash("specification", specification)
    check_layer(layer)
    fresh = Balance(
        Unit(unit),
        amount("budget epsilon", epsilon),
        probability("budget delta", delta),
        relation=relation,
        specification=specification,
        layer=layer,
    )
    if not fresh.small and (specification, layer) != (None, None):
        raise ValueError(f"a budget at {fresh.unit.value} level is for every network: name no specification")
    if (specification is None) != (layer is None):
        raise ValueError("a budget's specification and layer come together")
    if relation == "add/remove" and fresh.unit is not Unit.RECORD:
        raise ValueError(f"an add/remove budget is at record level, not at {fresh.unit.value} level")
    return fresh


def releases_left(balance: Balance, single: SessionCost) -> int | None:
    """How many more releases at `single` the worst record (or subject) has; None: without end."""
    counts = []
    for limit, spent, asked in (
        (balance.epsilon_limit, balance.epsilon_spent, single.epsilon),
        (balance.delta_limit, balance.delta_spent, single.delta),
    ):
        if limit != math.inf and asked:
            counts.append(0 if asked == math.inf else int((Fraction(limit) - Fraction(spent)) // Fraction(asked)))
    return min(counts) if counts else None


def _software() -> str:
    return f"spikeveil {metadata.version('spikeveil')}"
