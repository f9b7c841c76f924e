"""What was released, as data: a mechanism and how often. Accountants are behaviour on top of it."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import cast

from spikeveil.host.privacy.binomial import check_count
from spikeveil.host.privacy.decisions import dominating_flip
from spikeveil.host.privacy.mechanisms import KaryRandomizedResponse, RandomizedResponse
from spikeveil.pysim.model.decision import Decision, OneHotDecision

PureMechanism = RandomizedResponse | KaryRandomizedResponse | Decision | OneHotDecision

#: the mechanisms whose guarantee is proved here; a class that merely looks like one proves nothing
MECHANISMS: tuple[type[PureMechanism], ...] = (RandomizedResponse, KaryRandomizedResponse, Decision, OneHotDecision)


class UnsupportedEvent(ValueError):  # noqa: N818, named for what it is
    """This accountant cannot bound the mechanism of an event."""


class NotPrivate(ValueError):  # noqa: N818, named for what it is
    """A mechanism without differential privacy (epsilon = infinity) was offered for composition."""


@dataclass(frozen=True)
class Event:
    """`count` released bits, labels or decisions that may differ between neighbours (`Unit.bits`), by `mechanism`.

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


def binary_flip(mechanism: PureMechanism) -> Fraction:
    """p = 1 / (1 + e^epsilon): the flip probability of the binary randomised response of the same epsilon.

    That response dominates the mechanism (Kairouz, Oh, Viswanath 2015): any bound for it holds for the mechanism.
    """
    if isinstance(mechanism, Decision | OneHotDecision):
        return dominating_flip(mechanism)
    return mechanism.flip_probability


def grouped(events: Iterable[Event]) -> tuple[tuple[Fraction, int], ...]:
    """(flip probability, total count) of all but decisions, in falling order of p, without what costs nothing.

    Raises as `pure` does.
    """
    counts: Counter[Fraction] = Counter()
    for event in events:
        mechanism = pure(event.mechanism)
        if not isinstance(mechanism, Decision | OneHotDecision):
            counts[mechanism.flip_probability] += event.count
    return tuple((p, check_count(n)) for p, n in sorted(counts.items(), reverse=True) if n and p != Fraction(1, 2))


def grouped_decisions(events: Iterable[Event]) -> tuple[tuple[Decision | OneHotDecision, int], ...]:
    """(decision, total count) of decisions with equal losses, in rising order of epsilon, without uniform ones."""
    counts: Counter[tuple[Fraction, Fraction]] = Counter()
    examples: dict[tuple[Fraction, Fraction], Decision | OneHotDecision] = {}
    for event in events:
        if isinstance(mechanism := event.mechanism, Decision | OneHotDecision):
            losses = mechanism.ratio, mechanism.loss_probability
            counts[losses] += event.count
            examples.setdefault(losses, mechanism)
    return tuple((examples[losses], check_count(n)) for losses, n in sorted(counts.items()) if n and losses[0] != 1)
