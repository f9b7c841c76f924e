"""Budgets of a ledger: made, joined to further data, shown, and tried on a charge that is not made."""

from collections.abc import Iterable

from spikeveil.host.privacy.ledger import entries
from spikeveil.host.privacy.ledger.accounts import Standing, check_budget, releases_left
from spikeveil.host.privacy.ledger.balances import Balance, balances_of
from spikeveil.host.privacy.ledger.binding import Binding, DataIdentity, Ranges, Subjects
from spikeveil.host.privacy.ledger.booking import Booking
from spikeveil.host.privacy.ledger.charging import costs_of, network_of
from spikeveil.host.privacy.ledger.errors import LedgerError
from spikeveil.host.privacy.ledger.fields import Relation, Rule
from spikeveil.host.privacy.ledger.names import normal_name
from spikeveil.host.privacy.ledger.session import Chargeable, session_of
from spikeveil.host.privacy.ledger.views import Preview
from spikeveil.host.privacy.ledger.writer import LedgerWriter
from spikeveil.host.privacy.units import Unit


class LedgerBudgets(LedgerWriter):
    """The part of `Ledger` that makes and shows budgets."""

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
        rule: Rule = "sum",
        order: float | None = None,
    ) -> Balance:
        """Give `data_set` a budget at `unit`: at most `epsilon` and `delta` in all, read exactly (see `amount`).

        A data set has at most one budget a relation and unit, all made before its first charge, and a budget never
        changes. relation: releases are charged to substitution budgets alone, DP-SGD to add/remove budgets alone.
        data: the file that the budget is for (`identify`): then releases of different records do not add up; subjects:
        the grouping of its records, which a budget at subject level needs. specification, layer: what a budget at
        spike, neuron or step level is for; without them, the network and layer of its first charge.
        rule: the filter, "sum" (pure sum) or "renyi" (`privacy.renyi_filter`; releases alone, delta above 0), of that
        order or of the one that bears the most small releases.
        """
        normal_name(data_set)
        fresh = check_budget(
            unit, epsilon, delta, relation=relation, specification=specification, layer=layer, rule=rule, order=order
        )
        if subjects is not None and (data is None or subjects.ends[-1] != data.records):
            raise ValueError("subjects must cover the records of the data")
        with self._appending() as draft:
            self._append_budget(draft, data_set, fresh, data, subjects)
        return fresh

    def _append_budget(
        self,
        draft: entries.Draft,
        data_set: str,
        fresh: Balance,
        data: DataIdentity | None,
        subjects: Subjects | None = None,
    ) -> None:
        """Make a budget within a transaction. LedgerError, ValueError."""
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
            Preview(
                balance, one, excess is None, releases_left(balance, booking.cost(cost, balance.unit, 1, balance.order))
            )
            for balance, one, excess in zip(concerned, costs, worked.excesses, strict=True)
        )

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
                    left[balance.unit] = releases_left(balance, booking.cost(charge, balance.unit, 1, balance.order))
        return Standing(account.name, account.binding, self.worst(data_set), left)
