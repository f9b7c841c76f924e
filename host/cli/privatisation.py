"""A network made private: its claim, and its accuracy before and after, for `privatise`, `import` and `quantise`."""

from dataclasses import dataclass
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from spikeveil.host.cli.options import keys
from spikeveil.host.cli.options.data import classes_of
from spikeveil.host.cli.options.release import Release, require_steps
from spikeveil.host.data.decoder import decide
from spikeveil.host.data.spike_files import SpikeData
from spikeveil.host.networks.release import origin_with
from spikeveil.host.privacy import decision_plan
from spikeveil.host.privacy.claim import Claim
from spikeveil.host.privacy.ledger.amounts import float_below
from spikeveil.pysim import Network, NetworkSpec, Result
from spikeveil.pysim.model.decision import Decision, RandomisedDecision, winners_by_potential, winners_by_spikes

BLOCK = 500  # records that are run at once


@dataclass(frozen=True)
class Accuracies:
    """Shares of labelled records whose class is right; None where there is no figure.

    `raw`: before anything is randomised in the last layer. `released`: under a fresh key. `expected`: of a k-ary
    decision, from `raw`. `records`: how many were run.
    """

    records: int | None = None
    raw: float | None = None
    released: float | None = None
    expected: float | None = None


@dataclass(frozen=True)
class PrivateNetwork:
    """A network that was made private, its note of origin, its claim for one record, and its accuracies."""

    spec: NetworkSpec
    origin: dict[str, Any]
    claim: Claim
    classes: int
    accuracies: Accuracies

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "releases": released_text(self.spec),
            "steps": self.claim.steps,
            "records": self.accuracies.records,
            "accuracy_before": self.accuracies.raw,
            "accuracy_after": self.accuracies.released,
            "accuracy_expected": self.accuracies.expected,
            "training_claim": self.origin.get("training_claim"),
            "claim": self.claim.to_dict(),
        }


def privatise(
    spec: NetworkSpec, release: Release, origin: dict[str, Any] | None, data: SpikeData | None, steps: int | None
) -> PrivateNetwork:
    """`spec` with `release`, for records of `steps` steps, or of those that the data, `spec` or its origin show.

    UsageError or ValueError where the release does not fit the network, or the data do not.
    """
    note = origin or {}
    spikes = None if data is None else data.spikes(spec.inputs)
    if steps is not None and spikes is not None and steps != spikes.shape[1]:
        raise click.UsageError(f"--steps must be the {spikes.shape[1]} steps of the data, not {steps}")
    known = spikes.shape[1] if spikes is not None else spec.steps or _integer(note.get("steps"))
    private = release.apply(spec, steps or known, _known_classes(spec, release, note, data))
    claim = Claim.of(private, require_steps(steps or known), source="trivium", delta=float_below(release.delta))
    classes = classes_of(private, data) if data is not None else 0
    if private.decision is not None:
        classes = private.decision.classes
    labels = None if data is None else data.labels
    measured = Accuracies() if spikes is None else measure(spec, private, spikes, labels, classes)
    return PrivateNetwork(private, origin_after(origin, spec, private, claim.steps), claim, classes, measured)


def _known_classes(spec: NetworkSpec, release: Release, note: dict[str, Any], data: SpikeData | None) -> int | None:
    """The classes of a decision by the data file or the origin; None for one an output neuron.

    UsageError where neither says and labels fit fewer classes than there are output neurons: grouped wrongly, the
    decision would be of other classes than the network's.
    """
    stated = None if data is None else data.classes
    known = release.options["classes"] or stated or _integer(note.get("classes"))
    if known or release.kind != "decision" or data is None or data.labels is None:
        return known
    top = int(data.labels.max()) + 1
    if top > spec.outputs:
        raise ValueError(f"labels must be under the {spec.outputs} output neurons, not reach {top - 1}")
    if top < spec.outputs and top > 1 and spec.outputs % top == 0:
        raise click.UsageError(
            f"labels reach {top - 1} and there are {spec.outputs} output neurons: --classes must say how many classes"
        )
    return None


def _integer(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def released_text(spec: NetworkSpec) -> str:
    """What a network releases, in words."""
    last = spec.layers[-1]
    if spec.decision is not None:
        return f"{spec.decision} a record of {spec.steps} steps"
    if last.flip is None:
        return "nothing is randomised in the last layer"
    limits = [f"{name} {getattr(last, name)}" for name in ("spike_limit", "step_spike_limit") if getattr(last, name)]
    flip = f"spikes of layer {len(spec.layers) - 1} flipped with {last.flip.threshold}/{1 << last.flip.bits}"
    return ", ".join([flip, *limits])


def measure(
    before: NetworkSpec, after: NetworkSpec, spikes: NDArray[np.bool_], labels: NDArray[np.int64] | None, classes: int
) -> Accuracies:
    """Accuracies on `spikes` (records, steps, inputs) and `labels`. `classes`: 0 where they do not fit the outputs."""
    if labels is None or not classes:
        return Accuracies(len(spikes))
    openings = [keys.fresh("trivium", len(spec.randomised)) for spec in (before, after)]
    right = np.zeros(2)
    released: NDArray[Any] | None = None
    for start in range(0, len(spikes), BLOCK):
        x, truth = spikes[start : start + BLOCK], labels[start : start + BLOCK]
        results = [_run(spec, opening, x, start) for spec, opening in zip((before, after), openings, strict=True)]
        right[0] += (_raw_classes(before, after.decision, results[0], classes) == truth).sum()
        released = results[1].released if results[1].decisions is None else results[1].decisions
        right[1] += 0 if released is None else (decide(released, classes) == truth).sum()
    raw, shown = (float(share) for share in right / len(spikes))
    expected = None if after.decision is None else expected_accuracy(after.decision, raw)
    return Accuracies(len(spikes), raw, None if released is None else shown, expected)


def raw_accuracy(
    spec: NetworkSpec, spikes: NDArray[np.bool_], labels: NDArray[np.int64] | None, classes: int
) -> float | None:
    """The share of records whose class is right before the last layer is randomised; None without labels."""
    if labels is None or not classes:
        return None
    opening, right = keys.fresh("trivium", len(spec.randomised)), 0
    for start in range(0, len(spikes), BLOCK):
        result = _run(spec, opening, spikes[start : start + BLOCK], start)
        right += int((_raw_classes(spec, spec.decision, result, classes) == labels[start : start + BLOCK]).sum())
    return right / len(spikes)


def _run(spec: NetworkSpec, opening: keys.Opening, spikes: NDArray[np.bool_], first_record: int) -> Result:
    words = opening.words() if spec.randomised else None
    return Network(spec, words).run(spikes, lease=opening.number, first_record=first_record)


def _raw_classes(
    spec: NetworkSpec, decision: RandomisedDecision | None, result: Result, classes: int
) -> NDArray[np.int64]:
    """The class of each record before anything is randomised in the last layer; layers before it flip as they do."""
    if spec.layers[-1].readout:
        return winners_by_potential(result.potentials[-1], "final" if decision is None else decision.by)
    return winners_by_spikes(result.raw[-1], classes)


def expected_accuracy(decision: RandomisedDecision, raw: float) -> float | None:
    """How often a k-ary decision is right where the raw class is right with probability `raw`; None for one-hot."""
    return decision_plan.expected_accuracy(decision, raw) if isinstance(decision, Decision) else None


def origin_after(origin: dict[str, Any] | None, before: NetworkSpec, after: NetworkSpec, steps: int) -> dict[str, Any]:
    """The note of origin of the network that was made private: all of the one before, and this change."""
    change = {
        "made_by": "spikeveil privatise",
        "source_fingerprint": before.fingerprint,
        "releases": released_text(after),
    }
    return origin_with({**(origin or {}), "steps": steps}, change)
