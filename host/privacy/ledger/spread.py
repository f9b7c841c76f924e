"""What each record (or subject) of a data set has spent: a step function over their numbers, stored as intervals."""

import itertools
import json
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from operator import attrgetter, itemgetter
from sqlite3 import Connection
from typing import Protocol

from spikeveil.host.privacy.ledger.amounts import Amount, fraction_from_text, from_text, to_text

#: (epsilon, delta) of each budget that counts along the axis, in the order of the budgets
Amounts = tuple[tuple[Amount, Fraction], ...]


@dataclass(frozen=True)
class Span:
    """Records (or subjects) `first` to `end` - 1 and what each of them has spent, or is charged."""

    first: int
    end: int
    amounts: Amounts


class Spread(Protocol):
    """The spans of one data set and axis: disjoint, sorted, maximal; where there is none, nothing is spent."""

    def touching(self, first: int, end: int) -> list[Span]:
        """The spans that overlap `first` to `end` or end next to it, in order."""
        ...

    def replace(self, old: Sequence[Span], new: Sequence[Span]) -> None:
        """Put `new` where `old` (from `touching`) was."""
        ...


def added(one: Amounts, other: Amounts) -> Amounts:
    """The sum, budget by budget."""
    if not one:
        return other
    return tuple((a[0] + b[0], a[1] + b[1]) for a, b in zip(one, other, strict=True))


def overlay(spans: Sequence[Span], charge: Span) -> list[Span]:
    """The maximal spans after `charge` on `spans`, which are all that `touching` found for it."""
    edges = {charge.first, charge.end}
    for span in spans:
        edges |= {span.first, span.end}
    cuts, found = sorted(edges), list[Span]()
    index = 0
    for first, end in itertools.pairwise(cuts):
        while index < len(spans) and spans[index].end <= first:
            index += 1
        inside = index < len(spans) and spans[index].first <= first
        amounts = spans[index].amounts if inside else ()
        if charge.first <= first and end <= charge.end:
            amounts = added(amounts, charge.amounts)
        if not any(part for pair in amounts for part in pair):
            continue
        if found and found[-1].end == first and found[-1].amounts == amounts:
            found[-1] = Span(found[-1].first, end, amounts)
        else:
            found.append(Span(first, end, amounts))
    return found


def apply(spread: Spread, charges: Iterable[Span]) -> None:
    """Add `charges` to `spread`."""
    for charge in charges:
        old = spread.touching(charge.first, charge.end)
        spread.replace(old, overlay(old, charge))


def peaks(spread: Spread, charges: Sequence[Span]) -> tuple[list[tuple[Amount, int]], list[tuple[Fraction, int]]]:
    """For each budget, the largest epsilon, and delta, among the charged after `charges`, and whose number it is.

    `charges` are disjoint and not empty.
    """
    first, budgets = charges[0].first, len(charges[0].amounts)
    epsilons: list[tuple[Amount, int]] = [(Fraction(0), first)] * budgets
    deltas: list[tuple[Fraction, int]] = [(Fraction(0), first)] * budgets
    for charge in charges:
        for span in overlay(spread.touching(charge.first, charge.end), charge):
            number = max(span.first, charge.first)
            if number >= min(span.end, charge.end):
                continue
            for budget, (epsilon, delta) in enumerate(span.amounts):
                epsilons[budget] = max(epsilons[budget], (epsilon, number), key=itemgetter(0))
                deltas[budget] = max(deltas[budget], (delta, number), key=itemgetter(0))
    return epsilons, deltas


class MemorySpread:
    """A spread in memory, for a replay."""

    def __init__(self) -> None:
        self.spans: list[Span] = []

    def touching(self, first: int, end: int) -> list[Span]:
        low = bisect_left(self.spans, first, key=attrgetter("end"))
        return self.spans[low : bisect_right(self.spans, end, lo=low, key=attrgetter("first"))]

    def replace(self, old: Sequence[Span], new: Sequence[Span]) -> None:
        if old or new:
            low = bisect_left(self.spans, min(one.first for one in (*old, *new)), key=attrgetter("first"))
            self.spans[low : low + len(old)] = new


class TableSpread:
    """A spread in the table `spent` of a ledger."""

    _ROWS = 'SELECT first, "end", amounts FROM spent WHERE data_set = ? AND axis = ? AND first '

    def __init__(self, connection: Connection, data_set: str, axis: int) -> None:
        self._connection, self._place = connection, (data_set, axis)

    def touching(self, first: int, end: int) -> list[Span]:
        before = self._connection.execute(f"{self._ROWS} < ? ORDER BY first DESC LIMIT 1", (*self._place, first))
        found = before.fetchall()
        found += self._connection.execute(f"{self._ROWS} BETWEEN ? AND ? ORDER BY first", (*self._place, first, end))
        return [span_of(row) for row in found if row[1] >= first]

    def first_at(self, budget: int, epsilon: Amount) -> int | None:
        """The first record (or subject) that has spent exactly `epsilon` of the budget with that index."""
        query = 'SELECT first, "end", amounts FROM spent WHERE data_set = ? AND axis = ? AND instr(amounts, ?) > 0'
        found = self._connection.execute(f"{query} ORDER BY first", (*self._place, f'"{to_text(epsilon)}"'))
        spans = (span for span in map(span_of, found) if span.amounts[budget][0] == epsilon)
        return next((span.first for span in spans), None)

    def replace(self, old: Sequence[Span], new: Sequence[Span]) -> None:
        gone, rows = {span.first for span in old}, [(*self._place, *row_of(span)) for span in new]
        kept = {span.first for span in new}
        for first in gone - kept:
            self._connection.execute(
                "DELETE FROM spent WHERE data_set = ? AND axis = ? AND first = ?", (*self._place, first)
            )
        self._connection.executemany("INSERT OR REPLACE INTO spent VALUES (?, ?, ?, ?, ?)", rows)


def row_of(span: Span) -> tuple[int, int, str]:
    """The columns first, end and amounts of the table `spent`."""
    pairs = [[to_text(epsilon), to_text(delta)] for epsilon, delta in span.amounts]
    return span.first, span.end, json.dumps(pairs, separators=(",", ":"))


def span_of(row: Sequence[object]) -> Span:
    """The span in a row of `row_of`. ValueError where it is none."""
    first, end, text = row
    if not (isinstance(first, int) and isinstance(end, int) and 0 <= first < end and isinstance(text, str)):
        raise ValueError(f"interval {first!r} to {end!r} is garbled")
    pairs = json.loads(text)
    return Span(first, end, tuple((from_text(epsilon), fraction_from_text(delta)) for epsilon, delta in pairs))
