"""Decisions: one class a record, randomised at the end of the record. Golden model of `hdl/engine/decision.py`.

The winner of a record is computed on raw spikes (or raw potentials) inside the wall; what leaves is a randomised
function of the winner alone. The unit is therefore the record, and delta is 0.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from fractions import Fraction
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from spikeveil.pysim.model import checks
from spikeveil.pysim.model.logarithm import log_up

MIN_CLASSES, MAX_CLASSES = 2, 64
MAX_BITS = 32
Score = Literal["final", "sum"]
SCORES: tuple[Score, ...] = ("final", "sum")


class RandomisedDecision(ABC):
    """What a decision network releases at the end of a record: a randomised function of the winning class.

    Subclasses are frozen data with `classes` (2 to 64), `bits` (the width w of a word, 1 to 32) and `by`: how a
    readout layer's winner is found, by the potentials after the last step or by their sum over the steps.
    """

    kind: ClassVar[str]
    classes: int
    bits: int
    by: Score

    @property
    @abstractmethod
    def draws(self) -> int:
        """Words of `bits` bits that one record takes."""

    @property
    @abstractmethod
    def ratio(self) -> Fraction:
        """The largest ratio of the probabilities of one output under two winners: e^epsilon exactly."""

    @property
    @abstractmethod
    def winner_probability(self) -> Fraction:
        """The probability that the winning class is reported, exactly."""

    @property
    @abstractmethod
    def other_probability(self) -> Fraction:
        """The probability that one given other class is reported, exactly."""

    @property
    @abstractmethod
    def loss_probability(self) -> Fraction:
        """The probability that the privacy loss between two different winners is not 0, exactly."""

    @property
    def epsilon(self) -> float:
        """Epsilon of ONE record (delta 0), rounded up to the next float."""
        return log_up(self.ratio)

    @property
    @abstractmethod
    def output_neurons(self) -> int:
        """Numbers that leave a device for one record: 1 class number, or one bit a class."""

    @property
    @abstractmethod
    def output_bits(self) -> int:
        """Bits of each of these numbers."""

    @abstractmethod
    def release(self, winners: NDArray[np.int64], words: NDArray[Any]) -> NDArray[Any]:
        """What leaves for `winners` (records,), given `words` (records, draws)."""


@dataclass(frozen=True)
class Decision(RandomisedDecision):
    """k-ary randomised response on the class (the k-ary form of Warner 1965), with exact integers.

    For one word W < 2^w: W < (classes - 1) q releases the other class number floor(W / q), the others in ascending
    order; any other W releases the winner. Each other class has probability q / 2^w exactly.

    | field | bound | meaning |
    |---|---|---|
    | `classes` | 2 to 64 | c |
    | `q` | 1 to floor(2^bits / classes) | words for each of the others |
    | `bits` | 1 to 32 | w |
    | `by` | `final` or `sum` | of a readout: the potentials compared |

    epsilon = ln((2^w - (c - 1) q) / q) of one record, delta 0. Anything out of bounds raises ValueError.
    """

    classes: int
    q: int
    bits: int = MAX_BITS
    by: Score = "final"

    kind: ClassVar[str] = "kary"

    def __post_init__(self) -> None:
        _check_classes_and_bits(self)
        most = (1 << self.bits) // self.classes
        if not most:
            raise ValueError(f"decision classes must be at most 2^bits = {1 << self.bits}, not {self.classes}")
        object.__setattr__(self, "q", checks.integer("decision q", self.q, 1, most))

    @property
    def draws(self) -> int:
        """One word a record."""
        return 1

    @property
    def ratio(self) -> Fraction:
        """(2^w - (c - 1) q) / q."""
        return Fraction((1 << self.bits) - (self.classes - 1) * self.q, self.q)

    @property
    def output_neurons(self) -> int:
        """One class number."""
        return 1

    @property
    def output_bits(self) -> int:
        """Bits of a class number."""
        return (self.classes - 1).bit_length()

    @property
    def winner_probability(self) -> Fraction:
        """1 - (c - 1) q / 2^w."""
        return 1 - (self.classes - 1) * self.other_probability

    @property
    def other_probability(self) -> Fraction:
        """q / 2^w."""
        return Fraction(self.q, 1 << self.bits)

    @property
    def loss_probability(self) -> Fraction:
        """One of the two winners is released: the probabilities of both, added."""
        return self.winner_probability + self.other_probability

    @classmethod
    def for_epsilon(cls, epsilon: float, classes: int, bits: int = MAX_BITS) -> "Decision":
        """The decision with the smallest q whose epsilon is at or under `epsilon`, the record's.

        Raises ValueError where no q <= floor(2^bits / classes) reaches it, or `epsilon` is no number of 0 or more.
        """
        most = (1 << cls(classes, 1, bits).bits) // classes
        return cls(classes, _smallest("decision", epsilon, most, lambda q: cls(classes, q, bits).epsilon), bits)

    def release(self, winners: NDArray[np.int64], words: NDArray[Any]) -> NDArray[np.int64]:
        """Class numbers (records,), int64, for `winners` (records,) and one word a record, (records, 1)."""
        word = words[:, 0].astype(np.int64)
        other = word // self.q
        other += other >= winners  # the others in ascending order, the winner skipped
        return np.where(word < (self.classes - 1) * self.q, other, winners)


@dataclass(frozen=True)
class OneHotDecision(RandomisedDecision):
    """Every bit of the winner's one-hot word randomised on its own (unary encoding: Wang, Blocki, Li, Jha 2017).

    Word i decides bit i: a 1 stays 1 where the word is below `k1`, a 0 becomes 1 where it is below `k0`.

    | field | bound | meaning |
    |---|---|---|
    | `classes` | 2 to 64 | c |
    | `k1` | k0 + 1 to 2^bits - 1 | words that keep the winner's bit |
    | `k0` | 1 to k1 - 1 | words that set another bit |
    | `bits` | 1 to 32 | w |
    | `by` | `final` or `sum` | of a readout: the potentials compared |

    epsilon = ln(k1 (2^w - k0) / ((2^w - k1) k0)) of one record, delta 0: two one-hot words differ in two bits.
    Anything out of bounds raises ValueError.
    """

    classes: int
    k1: int
    k0: int
    bits: int = MAX_BITS
    by: Score = "final"

    kind: ClassVar[str] = "one_hot"

    def __post_init__(self) -> None:
        _check_classes_and_bits(self)
        object.__setattr__(self, "k1", checks.integer("decision k1", self.k1, 2, (1 << self.bits) - 1))
        object.__setattr__(self, "k0", checks.integer("decision k0", self.k0, 1, self.k1 - 1))

    @property
    def draws(self) -> int:
        """One word a class."""
        return self.classes

    @property
    def ratio(self) -> Fraction:
        """k1 (2^w - k0) / ((2^w - k1) k0)."""
        words = 1 << self.bits
        return Fraction(self.k1 * (words - self.k0), (words - self.k1) * self.k0)

    @property
    def winner_probability(self) -> Fraction:
        """k1 / 2^w."""
        return Fraction(self.k1, 1 << self.bits)

    @property
    def other_probability(self) -> Fraction:
        """k0 / 2^w."""
        return Fraction(self.k0, 1 << self.bits)

    @property
    def loss_probability(self) -> Fraction:
        """The two bits that differ come out unlike: with both alike the losses cancel."""
        p, o = self.winner_probability, self.other_probability
        return p * (1 - o) + (1 - p) * o

    @property
    def output_neurons(self) -> int:
        """One bit a class."""
        return self.classes

    @property
    def output_bits(self) -> int:
        """1."""
        return 1

    @classmethod
    def symmetric(cls, epsilon: float, classes: int, bits: int = MAX_BITS) -> "OneHotDecision":
        """k0 = 2^bits - k1, with the smallest k0 whose epsilon is at or under `epsilon`; ValueError as `Decision`."""
        words = 1 << checks.integer("decision bits", bits, 2, MAX_BITS)
        k0 = _smallest("decision", epsilon, words // 2 - 1, lambda k0: cls(classes, words - k0, k0, bits).epsilon)
        return cls(classes, words - k0, k0, bits)

    @classmethod
    def oue(cls, epsilon: float, classes: int, bits: int = MAX_BITS) -> "OneHotDecision":
        """Optimised unary encoding (Wang, Blocki, Li, Jha 2017): k1 = 2^(bits - 1) and the smallest k0 allowed."""
        half = 1 << (checks.integer("decision bits", bits, 2, MAX_BITS) - 1)
        return cls(
            classes,
            half,
            _smallest("decision", epsilon, half - 1, lambda k0: cls(classes, half, k0, bits).epsilon),
            bits,
        )

    def release(self, winners: NDArray[np.int64], words: NDArray[Any]) -> NDArray[np.bool_]:
        """Randomised one-hot words (records, classes), bool, for `winners` (records,) and words (records, classes)."""
        winner = winners[:, None] == np.arange(self.classes)
        released: NDArray[np.bool_] = words.astype(np.int64) < np.where(winner, self.k1, self.k0)
        return released


KINDS: dict[str, type[Decision] | type[OneHotDecision]] = {kind.kind: kind for kind in (Decision, OneHotDecision)}


def describe(decision: RandomisedDecision) -> dict[str, Any]:
    """A decision as JSON-ready data; `from_description` reads it."""
    if not isinstance(decision, Decision | OneHotDecision):
        raise ValueError(f"decision must be a Decision or a OneHotDecision, not {decision!r}")
    return {"kind": decision.kind, **asdict(decision)}


def from_description(description: dict[str, Any]) -> RandomisedDecision:
    """The decision that `describe` described; ValueError, TypeError or KeyError for anything else."""
    fields = dict(description)
    return KINDS[fields.pop("kind")](**fields)


def winners_by_spikes(raw: NDArray[np.bool_], classes: int) -> NDArray[np.int64]:
    """The class that spiked most in each record: (records,) from raw spikes (records, steps, neurons).

    Neuron n belongs to class n // (neurons / classes); of equal counts the lowest class wins.
    """
    records, _, neurons = raw.shape
    counts = raw.sum(axis=1).reshape(records, classes, neurons // classes).sum(axis=2)
    winners: NDArray[np.int64] = np.argmax(counts, axis=1)
    return winners


def winners_by_potential(potentials: NDArray[Any], score: Score) -> NDArray[np.int64]:
    """The class with the largest potential: (records,) from a readout's potentials (records, steps, classes).

    `score`: the potential after the last step, or the sum of those after every step. Of equals the lowest class wins.
    """
    scores = potentials[:, -1] if score == "final" else potentials.astype(np.int64).sum(axis=1)
    winners: NDArray[np.int64] = np.argmax(scores, axis=1)
    return winners


def _check_classes_and_bits(decision: RandomisedDecision) -> None:
    for name, low, high in (("classes", MIN_CLASSES, MAX_CLASSES), ("bits", 1, MAX_BITS)):
        value = checks.integer(f"decision {name}", getattr(decision, name), low, high)
        object.__setattr__(decision, name, value)
    checks.choice("decision by", decision.by, SCORES)


def _smallest(name: str, epsilon: float, most: int, cost: Any) -> int:
    """The smallest integer from 1 to `most` whose `cost`, which falls, is at or under `epsilon`."""
    if isinstance(epsilon, bool) or not isinstance(epsilon, int | float) or math.isnan(epsilon) or epsilon < 0:
        raise ValueError(f"{name} epsilon must be 0 or more, not {epsilon!r}")
    if most < 1 or cost(most) > epsilon:
        least = cost(most) if most >= 1 else math.inf
        raise ValueError(f"{name} epsilon must be at least {least:.6g} for words of this width, not {epsilon!r}")
    low, high = 1, most
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if cost(middle) <= epsilon else (middle + 1, high)
    return low
