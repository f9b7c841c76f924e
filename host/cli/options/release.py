"""Options that make a network private: what it releases, and at which epsilon."""

from dataclasses import dataclass
from typing import Any

import click

from spikeveil.host.cli.errors import usage_errors
from spikeveil.host.cli.options.common import stack
from spikeveil.host.networks.release import with_decision, with_spikes
from spikeveil.host.privacy.ledger import amount, probability
from spikeveil.host.privacy.plan import make_privacy_plan
from spikeveil.host.privacy.wording import Raster
from spikeveil.pysim import Decision, FlipSpec, NetworkSpec, OneHotDecision
from spikeveil.pysim.model.decision import MAX_CLASSES, SCORES, RandomisedDecision

KINDS = ("decision", "spikes")
RESPONSES = ("kary", "one-hot", "oue")
#: option -> the only kind of release that it is for
ONLY_FOR = {
    "classes": "decision",
    "response": "decision",
    "by": "decision",
    "spike_epsilon": "spikes",
    "record_epsilon": "spikes",
    "spike_limit": "spikes",
    "step_spike_limit": "spikes",
}
DECISION_BITS, FLIP_BITS = 32, 16  # of a random word, where --flip-bits does not say
CLAIM_DELTA = "1e-6"  # of the claim that is shown, where --delta does not say

release_options = stack(
    click.option("--release", type=click.Choice(KINDS), help="One randomised class a record, or flipped spikes."),
    click.option("--epsilon", help="Of a decision: its epsilon, which is a record's."),
    click.option(
        "--classes",
        type=click.IntRange(2, MAX_CLASSES),
        help="Of a decision.  [default: those of the labels, or one an output neuron]",
    ),
    click.option("--response", type=click.Choice(RESPONSES), help="How a decision is randomised.  [default: kary]"),
    click.option("--by", type=click.Choice(SCORES), help="A readout's potentials that are compared.  [default: final]"),
    click.option("--spike-epsilon", help="Of flipped spikes: the epsilon of ONE spike."),
    click.option("--record-epsilon", help="Of flipped spikes: the epsilon of a whole record, at --delta."),
    click.option("--delta", help=f"Delta of --record-epsilon and of the claim.  [default: {CLAIM_DELTA}]"),
    click.option("--spike-limit", type=click.IntRange(1), help="Most raw spikes of a record that are flipped."),
    click.option("--step-spike-limit", type=click.IntRange(1), help="Most raw spikes of a step that are flipped."),
    click.option(
        "--flip-bits",
        type=click.IntRange(1, 32),
        help="Bits of a random word.  [default: 32 for a decision, 16 for spikes]",
    ),
)


@dataclass(frozen=True)
class Release:
    """What a network is to release, as the options say; `apply` makes the network that does."""

    kind: str
    options: dict[str, Any]

    def apply(self, spec: NetworkSpec, steps: int | None, classes: int | None = None) -> NetworkSpec:
        """`spec` with this release, for records of `steps` steps. UsageError where an option is missing or unfit.

        `classes`: of the labels or of the network's origin, where they are known; --classes comes first.
        """
        with usage_errors():
            if self.kind == "decision":
                count = self.options["classes"] or classes or spec.outputs
                return with_decision(spec, self._decision(count), require_steps(steps))
            limits = (self.options["spike_limit"], self.options["step_spike_limit"])
            if spec.layers[-1].readout:
                raise ValueError("the last layer is a readout, which has no spikes: --release decision randomises it")
            return with_spikes(spec, self._flip(spec, steps), *limits)

    def _decision(self, classes: int) -> RandomisedDecision:
        epsilon, bits = self.options["epsilon"], self.options["flip_bits"] or DECISION_BITS
        if epsilon is None:
            raise ValueError("--release decision needs --epsilon, the record's")
        target = _number("epsilon", epsilon)
        makers = {"kary": Decision.for_epsilon, "one-hot": OneHotDecision.symmetric, "oue": OneHotDecision.oue}
        made: RandomisedDecision = makers[self.options["response"] or "kary"](target, classes, bits)
        return type(made)(**{**made.__dict__, "by": self.options["by"] or "final"})

    def _flip(self, spec: NetworkSpec, steps: int | None) -> FlipSpec:
        one, record, bits = (self.options[name] for name in ("spike_epsilon", "record_epsilon", "flip_bits"))
        if (one is None) == (record is None) or self.options["epsilon"] is not None:
            raise ValueError("--release spikes needs either --spike-epsilon or --record-epsilon, and no --epsilon")
        if one is not None:
            return FlipSpec.for_epsilon(_number("spike epsilon", one), bits or FLIP_BITS)
        raster = Raster(
            require_steps(steps), spec.outputs, self.options["spike_limit"], self.options["step_spike_limit"]
        )
        target = amount("record epsilon", record)
        made = make_privacy_plan(target, self.delta, "record", raster, 1, bits or FLIP_BITS).mechanism
        return FlipSpec(made.threshold, made.bits)

    @property
    def delta(self) -> Any:
        """The delta of the claim, exactly as typed."""
        return probability("delta", self.options["delta"] or CLAIM_DELTA)


def wants_release(options: dict[str, Any]) -> bool:
    """Whether --release is given. UsageError where it is not and an option that belongs to it is."""
    given = [name for name in ONLY_FOR if options[name] is not None]
    if options["release"] is None and given:
        raise click.UsageError(f"{_option(given[0])} needs --release {ONLY_FOR[given[0]]}")
    return options["release"] is not None


def read_release(options: dict[str, Any]) -> Release:
    """The release that the options name. UsageError for none, and for options of the other kind."""
    kind = options["release"]
    if kind is None:
        raise click.UsageError("--release must be decision or spikes")
    given = [name for name in ONLY_FOR if options[name] is not None]
    for name in given:
        if ONLY_FOR[name] != kind:
            raise click.UsageError(f"{_option(name)} is for --release {ONLY_FOR[name]}")
    with usage_errors():
        probability("delta", options["delta"] or CLAIM_DELTA)
    return Release(kind, options)


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _number(name: str, text: str) -> float:
    """An epsilon as typed. ValueError."""
    return float(amount(name, text))


def require_steps(steps: int | None) -> int:
    """`steps`, where they are known. UsageError otherwise."""
    if steps is None:
        raise click.UsageError("the steps of a record are not known: --steps says them, or --data shows them")
    return steps
