"""The mechanisms that release spikes and labels, as frozen data; the guarantee stands beside the mechanism."""

from dataclasses import dataclass
from fractions import Fraction

from spikeveil.pysim.flipper import MAX_BITS, FlipSpec


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

    @property
    def flip_probability(self) -> Fraction:
        """The exact flip probability p = threshold / 2^bits."""
        return self.probability

    def epsilon_composed(self, count: int, delta: float) -> float:
        """Epsilon of `count` released bits together at `delta`, exact composition, rounded up; see `binomial`."""
        from spikeveil.host.privacy.binomial import epsilon_of_delta

        return epsilon_of_delta(self.probability, count, delta)

    def delta_composed(self, count: int, epsilon: float) -> float:
        """Delta of `count` released bits together at `epsilon`, exact composition, rounded up; see `binomial`."""
        from spikeveil.host.privacy.binomial import delta_of_epsilon

        return delta_of_epsilon(self.probability, count, epsilon)
