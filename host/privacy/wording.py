"""The text printed with every epsilon: the adversary, what is released, the mechanism."""

from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal, localcontext

from spikeveil.host.privacy.mechanisms import RandomizedResponse
from spikeveil.host.privacy.units import Unit
from spikeveil.pysim.model.decision import Decision, OneHotDecision, RandomisedDecision

#: noise source -> the adversary against whom the figures hold
AGAINST = {
    "trivium": "an adversary who neither has the secret 80-bit key nor can break Trivium (computational)",
    "os": "an adversary who cannot predict the operating system's random generator (computational)",
    "lfsr": "no adversary who knows the LFSR's polynomial: the figures are nominal, the true epsilon is infinite",
    "none": "no adversary: nothing is protected",
}


@dataclass(frozen=True)
class Raster:
    """The shape of one released record: T = `steps` by N = `neurons` bits of one flipped layer, under its limits.

    Raises ValueError as `Unit.bits` does.
    """

    steps: int
    neurons: int
    spike_limit: int | None = None
    step_spike_limit: int | None = None

    def __post_init__(self) -> None:
        self.bits(Unit.RECORD)

    def bits(self, unit: Unit) -> int:
        """How many released bits of one record may differ between neighbours at `unit`."""
        return unit.bits(self.steps, self.neurons, spike_limit=self.spike_limit, step_spike_limit=self.step_spike_limit)

    @property
    def released(self) -> str:
        """What is released, as a phrase."""
        limits = [
            f"at most {limit} spikes a {name} enter the flipper"
            for name, limit in (("record", self.spike_limit), ("step", self.step_spike_limit))
            if limit is not None
        ]
        shape = f"every flipped spike of one layer, {self.steps} steps of {self.neurons} neurons a record"
        return "; ".join([shape, *limits])


def mechanism_text(mechanism: RandomizedResponse) -> str:
    """The mechanism in one line."""
    p = mechanism.flip_probability
    return (
        f"randomised response, threshold {mechanism.threshold} of {mechanism.bits}-bit words: "
        f"p = {p.numerator}/{p.denominator}"
    )


def decision_text(decision: RandomisedDecision) -> str:
    """The mechanism of a decision in one line. ValueError for one that is neither k-ary nor one-hot."""
    words = f"{decision.bits}-bit words"
    if isinstance(decision, Decision):
        return f"k-ary randomised response on {decision.classes} classes, q = {decision.q} of {words}"
    if isinstance(decision, OneHotDecision):
        thresholds = f"k1 = {decision.k1} and k0 = {decision.k0}"
        return f"randomised one-hot word of {decision.classes} classes, {thresholds} of {words}"
    raise ValueError(f"decision must be a Decision or a OneHotDecision, not {decision!r}")


def decision_output(decision: RandomisedDecision, steps: int) -> str:
    """What a decision network releases, as a phrase."""
    number = "class number" if decision.output_neurons == 1 else f"word of {decision.output_neurons} bits"
    return f"one {number} a record of {steps} steps"


def up(value: float, digits: int = 6) -> str:
    """`value` to `digits` significant digits, never below it."""
    with localcontext() as context:
        context.prec, context.rounding = digits, ROUND_CEILING
        return f"{float(+Decimal(value)):.{digits}g}"
