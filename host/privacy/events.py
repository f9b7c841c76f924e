"""What was released, as data: a mechanism and how often. Accountants are behaviour on top of it."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol, cast

from spikeveil.host.privacy.binomial import check_count
from spikeveil.host.privacy.mechanisms import KaryRandomizedResponse, RandomizedResponse

#: the mechanisms whose guarantee is proved here; a class that merely looks like one proves nothing
MECHANISMS = (RandomizedResponse, KaryRandomizedResponse)


class UnsupportedEvent(ValueError):  # noqa: N818, named for what it is
    """This accountant cannot bound the mechanism of an event."""


class NotPrivate(ValueError):  # noqa: N818, named for what it is
    """A mechanism without differential privacy (epsilon = infinity) was offered for composition."""


class PureMechanism(Protocol):
    """A mechanism with pure epsilon-differential privacy.

    `flip_probability` is p = 1 / (1 + e^epsilon), the flip probability of the binary randomised response of the same
    epsilon. That response dominates the mechanism (Kairouz, Oh, Viswanath 2015): any bound for it holds here.
    """

    @property
    def epsilon(self) -> float: ...

    @property
    def flip_probability(self) -> Fraction: ...


@dataclass(frozen=True)
class Event:
    """`count` released bits or labels that may differ between neighbours (`Unit.bits`), each by `mechanism`.

    mechanism: usually a `PureMechanism`; anything else is for other accountants. count: 0 to 10^12, else ValueError.
    """

    mechanism: object
    count: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "count", check_count(self.count))


def pure(mechanism: object) -> PureMechanism:
    """`mechanism`, if it is one of `MECHANISMS`. Raises `NotPrivate` at epsilon = inf, `UnsupportedEvent` otherwise."""
    if getattr(mechanism, "epsilon", None) == float("inf"):
        raise NotPrivate(f"{type(mechanism).__name__} is not differentially private: its epsilon is infinite")
    if type(mechanism) not in MECHANISMS:
        raise UnsupportedEvent(f"composition covers mechanisms with pure epsilon, not {type(mechanism).__name__}")
    return cast(PureMechanism, mechanism)


def grouped(events: Iterable[Event]) -> tuple[tuple[Fraction, int], ...]:
    """(flip probability, total count) in falling order of p, without what costs nothing; raises as `pure` does."""
    counts: Counter[Fraction] = Counter()
    for event in events:
        counts[pure(event.mechanism).flip_probability] += event.count
    return tuple((p, check_count(n)) for p, n in sorted(counts.items(), reverse=True) if n and p != Fraction(1, 2))
