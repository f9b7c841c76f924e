"""The mechanisms that release spikes and labels, as frozen data; the guarantee stands beside the mechanism."""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from spikeveil.pysim.model.decision import Decision
from spikeveil.pysim.model.flipper import MAX_BITS, FlipSpec

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from spikeveil.host.privacy.debias import Debiased


@dataclass(frozen=True)
class RandomizedResponse(FlipSpec):
    """Randomised response on a bit: released = spike XOR (word < threshold), word fresh and uniform on `bits` bits.

    p = threshold / 2^bits exactly. One released bit is epsilon-differentially private with
    epsilon = ln((1 - p) / p), delta = 0, where neighbours differ in that raw bit (Warner 1965; the ratio of the
    probabilities of either output under the two raw bits is at most (1 - p) / p, and reaches it). Several bits
    cost their composition: `epsilon_composed`, with the count from `Unit.bits`.

    Holds while each word is uniform and independent: under a stream cipher that is a computational assumption, under
    an LFSR it is false for an observer who knows the polynomial.
    """

    @classmethod
    def for_epsilon(cls, epsilon: float, bits: int = MAX_BITS) -> "RandomizedResponse":
        """The smallest threshold whose realised epsilon per spike is at or under `epsilon`; see `FlipSpec`."""
        spec = FlipSpec.for_epsilon(epsilon, bits)
        return cls(spec.threshold, spec.bits)

    def epsilon_composed(self, count: int, delta: float) -> float:
        """Epsilon of `count` released bits together at `delta`, exact composition, rounded up; see `binomial`."""
        from spikeveil.host.privacy.binomial import epsilon_of_delta

        return epsilon_of_delta(self.flip_probability, count, delta)

    def delta_composed(self, count: int, epsilon: float) -> float:
        """Delta of `count` released bits together at `epsilon`, exact composition, rounded up; see `binomial`."""
        from spikeveil.host.privacy.binomial import delta_of_epsilon

        return delta_of_epsilon(self.flip_probability, count, epsilon)

    def debias(self, released: "ArrayLike", bits: int) -> "Debiased":
        """What `released` ones among `bits` released bits say about the raw spikes; see `debias.Debiased`.

        released: whole numbers from 0 to `bits`, a scalar or an array of any shape (one entry a neuron, say).
        ValueError where that is not so, or where p = 1/2 (the released bits say nothing).
        """
        from spikeveil.host.privacy.debias import debias

        return debias(self.flip_probability, released, bits)


@dataclass(frozen=True)
class KaryRandomizedResponse:
    """Deprecated: use `Decision`. Randomised response on a label: with probability threshold / 2^bits it is replaced.

    `decision` gives the `Decision` of the same probabilities, whose composition is exact; this one's is an upper bound.

    A fresh uniform word of `bits` bits under `threshold` replaces the label by one of the OTHER classes, each
    equally likely (drawn exactly, for instance by rejection); otherwise the label leaves as it is. With
    r = threshold / 2^bits, the true label leaves with probability 1 - r and each other one with r / (classes - 1);
    the ratio of any output's probabilities under two labels is at most (1 - r) (classes - 1) / r, and reaches it:
    epsilon is its logarithm, delta = 0. Neighbours: two inputs with different labels, so one label costs one
    epsilon whatever the window (the k-ary form of Warner 1965).

    classes: 2 to 65536; bits: 1 to 16; threshold: 1 or more, and at most 2^bits (classes - 1) / classes, where the
    output is uniform and epsilon is 0. ValueError otherwise.
    """

    classes: int
    threshold: int
    bits: int = MAX_BITS

    def __post_init__(self) -> None:
        for name, value, top in (("classes", self.classes, 1 << 16), ("bits", self.bits, MAX_BITS)):
            least = 2 if name == "classes" else 1
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= top:
                raise ValueError(f"label {name} must be an integer from {least} to {top}, not {value!r}")
        highest = (self.classes - 1) * (1 << self.bits) // self.classes
        k = self.threshold
        if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= highest:
            raise ValueError(
                f"label threshold must be an integer from 1 to {highest} for {self.classes} classes and "
                f"{self.bits}-bit words, not {k!r}"
            )

    def decision(self) -> Decision:
        """The decision of the same probabilities, q = threshold / (classes - 1). ValueError where there is none."""
        if self.threshold % (self.classes - 1):
            raise ValueError(f"label threshold must be a multiple of {self.classes - 1}, not {self.threshold}")
        return Decision(self.classes, self.threshold // (self.classes - 1), self.bits)

    @property
    def flip_probability(self) -> Fraction:
        """Flip probability of the binary randomised response with the same epsilon, which dominates this mechanism.

        Every epsilon-DP mechanism is a post-processing of binary randomised response of that epsilon between any
        two neighbours (Kairouz, Oh, Viswanath 2015). Tight for one label, an upper bound for several.
        """
        return Fraction(self.threshold, self.threshold + ((1 << self.bits) - self.threshold) * (self.classes - 1))

    @property
    def epsilon(self) -> float:
        """Epsilon of ONE label, rounded up."""
        return self.epsilon_composed(1, 0.0)

    def epsilon_composed(self, count: int, delta: float) -> float:
        """An upper bound of the epsilon of `count` labels together at `delta`, through `flip_probability`."""
        from spikeveil.host.privacy.binomial import epsilon_of_delta

        return epsilon_of_delta(self.flip_probability, count, delta)

    def delta_composed(self, count: int, epsilon: float) -> float:
        """An upper bound of the delta of `count` labels together at `epsilon`, through `flip_probability`."""
        from spikeveil.host.privacy.binomial import delta_of_epsilon

        return delta_of_epsilon(self.flip_probability, count, epsilon)


@dataclass(frozen=True)
class SpikeSubsampling:
    """Keep each spike with probability `keep`, never make one: released = spike AND (keep). NOT differentially private.

    A released 1 proves that the raw bit was 1: that output has probability `keep` under one raw bit and 0 under
    the other, so no finite epsilon covers it. In (epsilon, delta) terms delta = `keep` for one bit at EVERY
    epsilon >= 0, and 1 - (1 - keep)^count for `count` bits: with probability delta the outcome is a certain proof.
    It thins data; it hides no spike. The accountant refuses it.

    keep: above 0, at most 1, as a Fraction, an int or a float (taken exactly). ValueError otherwise.
    """

    keep: Fraction

    def __post_init__(self) -> None:
        if isinstance(self.keep, bool) or not isinstance(self.keep, int | float | Fraction) or not 0 < self.keep <= 1:
            raise ValueError(f"keep probability must be above 0 and at most 1, not {self.keep!r}")
        object.__setattr__(self, "keep", Fraction(self.keep))

    @property
    def epsilon(self) -> float:
        """Infinite."""
        return math.inf

    @property
    def delta(self) -> float:
        """Delta of ONE bit, the same at every epsilon: the keep probability, rounded up."""
        return self.delta_composed(1)

    def epsilon_composed(self, count: int, delta: float) -> float:
        """Infinite, or 0 where `count` is 0 or `delta` is at least `delta_composed(count)`."""
        return 0.0 if delta >= self.delta_composed(count) else math.inf

    def delta_composed(self, count: int, epsilon: float = 0.0) -> float:
        """1 - (1 - keep)^count, rounded up: the chance that some spike is proved. The same at every `epsilon` >= 0."""
        from spikeveil.host.privacy.binomial import check_count, power_complement_up

        if not epsilon >= 0:
            raise ValueError(f"epsilon must be 0 or more, not {epsilon!r}")
        return power_complement_up(self.keep, check_count(count))
